"""ULPFEC (RFC 5109): packets that are the exclusive-or of others, and recovery of single losses.

One level of protection over whole packets, as WebRTC uses it: the FEC packets travel in the media
stream's own sequence space inside RED (RFC 5109 §14.2), and each protects up to 48 packets.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.packet import HEADER_SIZE_BYTES, RtpPacket, parse_rtp, serialise_rtp
from webrtc.rtp.sequence import Unwrapper

SHORT_MASK_BITS = 16
LONG_MASK_BITS = 48
HEADER_SIZE = 10
MAX_PACKETS = 192
"""Media packets that are kept for recovery: four masks' worth."""
MAX_FEC_PACKETS = 48
_LONG_MASK = 0x40
_EXTENSION = 0x80


@attrs.frozen
class FecPacket:
    """A FEC payload with one level (RFC 5109 §7.3, §7.4).

    Attributes:
        base: sequence number of the mask's first bit.
        offsets: which packets are protected, after the base.
        recovery: eight bytes, the exclusive-or of the RTP headers' first two bytes, timestamp and
            length (in the order of `_head`).
        payload: exclusive-or of what follows the fixed headers.

    """

    base: int
    offsets: tuple[int, ...]
    recovery: bytes
    payload: bytes

    def pack(self) -> bytes:
        """Return the payload of a FEC packet; raises RtpEncodeError."""
        highest = max(self.offsets, default=-1)
        if not 0 <= highest < LONG_MASK_BITS or min(self.offsets) < 0:
            raise RtpEncodeError(f"FEC over offsets {self.offsets}")
        long = highest >= SHORT_MASK_BITS
        width = LONG_MASK_BITS if long else SHORT_MASK_BITS
        mask = 0
        for offset in self.offsets:
            mask |= 1 << (width - 1 - offset)
        first = self.recovery[0] & 0x3F | (_LONG_MASK if long else 0)
        return b"".join(
            (
                bytes((first, self.recovery[1])),
                self.base.to_bytes(2),
                self.recovery[2:6],
                self.recovery[6:8],
                len(self.payload).to_bytes(2),
                mask.to_bytes(width // 8),
                self.payload,
            )
        )

    @classmethod
    def parse(cls, data: bytes) -> FecPacket:
        """Parse the payload of a FEC packet; levels after the first are left out.

        Raises:
            RtpDecodeError: cut short, or of an extension that nobody defined.

        """
        if len(data) < HEADER_SIZE + 4:
            raise RtpDecodeError(f"FEC packet of {len(data)} bytes")
        if data[0] & _EXTENSION:
            raise RtpDecodeError("FEC packet with the reserved extension flag")
        width = LONG_MASK_BITS if data[0] & _LONG_MASK else SHORT_MASK_BITS
        length = int.from_bytes(data[10:12])
        start = 12 + width // 8
        if len(data) < start + length:
            raise RtpDecodeError("FEC packet ends within its payload")
        mask = int.from_bytes(data[12:start])
        offsets = tuple(place for place in range(width) if mask >> (width - 1 - place) & 1)
        if not offsets:
            raise RtpDecodeError("FEC packet that protects nothing")
        return cls(
            int.from_bytes(data[2:4]),
            offsets,
            bytes((data[0] & 0x3F, data[1])) + data[4:10],
            data[start : start + length],
        )


def _head(data: bytes) -> bytes:
    """Return what §7.3 protects of a header: two bytes, timestamp, length of the rest."""
    return data[:2] + data[4:8] + (len(data) - HEADER_SIZE_BYTES).to_bytes(2)


def _xor(parts: Sequence[bytes]) -> bytes:
    """Return the exclusive-or, the shorter ones filled with zeros at their end."""
    size = max(map(len, parts))
    value = 0
    for part in parts:
        value ^= int.from_bytes(part.ljust(size, b"\0"))
    return value.to_bytes(size)


def protect(packets: Sequence[RtpPacket], base: int | None = None) -> FecPacket:
    """Return a FEC packet over these media packets, as they were before RED.

    Args:
        packets: at most 48 sequence numbers apart.
        base: sequence number of the mask's first bit; the first packet's by default.

    Raises:
        RtpEncodeError: none, or too far apart.

    """
    if not packets:
        raise RtpEncodeError("FEC over no packet")
    first = packets[0].sequence_number if base is None else base
    wires = [serialise_rtp(packet) for packet in packets]
    offsets = tuple(sorted((packet.sequence_number - first) & 0xFFFF for packet in packets))
    if offsets[-1] >= LONG_MASK_BITS:
        raise RtpEncodeError(f"FEC over {offsets[-1] + 1} sequence numbers")
    recovery = bytearray(_xor([_head(wire) for wire in wires]))
    recovery[0] &= 0x3F
    return FecPacket(
        first, offsets, bytes(recovery), _xor([wire[HEADER_SIZE_BYTES:] for wire in wires])
    )


class FecEncoder:
    """Makes FEC packets for a stream, so many for each group of media packets.

    Attributes:
        ratio: FEC packets per media packet, 0 to 1; a controller sets it by the loss that is
            reported.

    """

    def __init__(self, ratio: float = 0.0, max_group: int = 24) -> None:
        """Begin a stream; `max_group` bounds the delay that recovery takes, in packets."""
        self.ratio = ratio
        self._max_group = min(max_group, LONG_MASK_BITS)
        self._group: list[RtpPacket] = []
        self._ready: list[FecPacket] = []
        self._owed = 0.0

    def add(self, packet: RtpPacket) -> list[FecPacket]:
        """Take a media packet; return what to send after it.

        A group ends with a frame (the marker), or when it is large. Its packets are dealt to its
        FEC packets in turn, so that a burst as long as there are FEC packets is repaired.
        """
        if self.ratio <= 0:
            self._group.clear()
            self._owed = 0.0
            return []
        group = self._group
        if group and (packet.sequence_number - group[0].sequence_number) & 0xFFFF >= LONG_MASK_BITS:
            group.clear()
        group.append(packet)
        # What rounding gave this group too much the next ones go without: small frames have a
        # packet or two, and would cost twice what was asked for.
        self._owed += self.ratio
        count = min(round(self._owed), len(group))
        if len(group) >= self._max_group or (packet.marker and count > 0):
            count = max(count, 1)
            self._owed -= count
            base = group[0].sequence_number
            self._ready += [protect(group[start::count], base) for start in range(count)]
            group.clear()
        if not packet.marker and len(self._ready) < MAX_FEC_PACKETS:
            return []  # between frames, where its sequence numbers are in nobody's way
        ready, self._ready = self._ready, []
        return ready


class FecDecoder:
    """Recovers single losses of one stream; what it keeps is bounded.

    Attributes:
        is_used: whether a FEC packet ever came.
        recovered: packets that came back.
        discarded: FEC packets that were malformed in what they recovered.

    """

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._unwrapper = Unwrapper()
        self._media: OrderedDict[int, bytes] = OrderedDict()
        self._fec: OrderedDict[tuple[int, tuple[int, ...]], FecPacket] = OrderedDict()
        self.is_used = False
        self.recovered = 0
        self.discarded = 0

    def add_media(self, packet: RtpPacket) -> list[RtpPacket]:
        """Take a media packet (without RED); return what it lets recover."""
        self._keep(self._unwrapper.unwrap(packet.sequence_number), serialise_rtp(packet))
        return self._recover() if self._fec else []

    def add_fec(self, data: bytes) -> list[RtpPacket]:
        """Take the payload of a FEC packet; return what it lets recover.

        Raises:
            RtpDecodeError: malformed.

        """
        packet = FecPacket.parse(data)
        self.is_used = True
        base = self._unwrapper.peek(packet.base)
        self._fec[base, packet.offsets] = packet
        while len(self._fec) > MAX_FEC_PACKETS:
            self._fec.popitem(last=False)
        return self._recover()

    def _keep(self, number: int, wire: bytes) -> None:
        self._media[number] = wire
        while len(self._media) > MAX_PACKETS:
            self._media.popitem(last=False)

    def _recover(self) -> list[RtpPacket]:
        recovered = []
        again = True
        while again:  # what one FEC packet brings back may complete another's group
            again = False
            for key, fec in list(self._fec.items()):
                numbers = [key[0] + offset for offset in fec.offsets]
                missing = [number for number in numbers if number not in self._media]
                if len(missing) > 1:
                    continue
                del self._fec[key]
                if not missing:
                    continue
                packet = self._rebuild(fec, numbers, missing[0])
                if packet is not None:
                    recovered.append(packet)
                    again = True
        return recovered

    def _rebuild(self, fec: FecPacket, numbers: list[int], missing: int) -> RtpPacket | None:
        wires = [self._media[number] for number in numbers if number != missing]
        head = _xor([fec.recovery, *map(_head, wires)])
        size = int.from_bytes(head[6:8])
        payload = _xor([fec.payload, *(wire[HEADER_SIZE_BYTES:] for wire in wires)])[:size]
        wire = (
            bytes((head[0] & 0x3F | 0x80, head[1]))
            + (missing & 0xFFFF).to_bytes(2)
            + head[2:6]
            + struct.pack("!I", self._ssrc)
            + payload
        )
        if len(payload) < size:
            self.discarded += 1
            return None
        try:
            packet = parse_rtp(wire)
        except RtpDecodeError:
            self.discarded += 1
            return None
        self._keep(missing, wire)
        self.recovered += 1
        return packet
