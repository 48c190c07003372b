"""Retransmission (RFC 4588): the sender's history, and the RTX payload format of both sides."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from webrtc.rtp.errors import RtpDecodeError
from webrtc.rtp.header_extensions import HeaderExtensions
from webrtc.rtp.packet import RtpPacket

ORIGINAL_SEQUENCE_NUMBER_SIZE = 2
"""RFC 4588 §4: the payload begins with the original sequence number."""
MAX_PACKETS = 2048
MAX_BYTES = 4 << 20
MAX_AGE = 3.0
"""Seconds: a receiver that plays in real time has no use for older ones."""


class _Sent(msgspec.Struct, gc=False):
    packet: RtpPacket
    extensions: HeaderExtensions
    sent_at: float
    resent_at: float | None = None


class RetransmissionHistory:
    """What was sent lately, by sequence number: bounded in packets, bytes and age."""

    def __init__(
        self,
        max_packets: int = MAX_PACKETS,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE,
    ) -> None:
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def size_bytes(self) -> int:
        """Bytes of payload that are held."""
        return self._size_bytes

    def add(self, packet: RtpPacket, extensions: HeaderExtensions, now: float) -> None:
        """Keep a packet. Runs per packet."""
        sent = self._sent
        old = sent.pop(packet.sequence_number, None)
        if old is not None:
            self._size_bytes -= len(old.packet.payload)
        sent[packet.sequence_number] = _Sent(packet, extensions, now)
        self._size_bytes += len(packet.payload)
        while (
            len(sent) > self._max_packets
            or self._size_bytes > self._max_bytes
            or now - next(iter(sent.values())).sent_at > self._max_age
        ):
            _, dropped = sent.popitem(last=False)
            self._size_bytes -= len(dropped.packet.payload)

    def take(
        self, sequence_number: int, now: float, round_trip_time: float
    ) -> tuple[RtpPacket, HeaderExtensions] | None:
        """Return a packet to send again.

        None if it is gone, or was sent again less than a round trip ago: then the request crossed
        the answer, and a second copy would only add to what the path cannot carry.
        """
        entry = self._sent.get(sequence_number)
        if entry is None or now - entry.sent_at > self._max_age:
            return None
        if entry.resent_at is not None and now - entry.resent_at < round_trip_time:
            return None
        entry.resent_at = now
        return entry.packet, entry.extensions

    def best_padding(self, size_bytes: int) -> tuple[RtpPacket, HeaderExtensions] | None:
        """Return the latest packet of at least this payload, else the latest, to send as padding.

        A retransmission that nobody asked for carries more than zeros do: it may fill a hole.
        """
        if not self._sent:
            return None
        for count, entry in enumerate(reversed(self._sent.values())):
            if len(entry.packet.payload) >= size_bytes or count >= 8:
                return entry.packet, entry.extensions
        entry = next(reversed(self._sent.values()))
        return entry.packet, entry.extensions


def wrap_rtx(packet: RtpPacket, *, ssrc: int, payload_type: int, sequence_number: int) -> RtpPacket:
    """Return the packet as a retransmission of the RTX stream (RFC 4588 §4)."""
    return msgspec.structs.replace(
        packet,
        ssrc=ssrc,
        payload_type=payload_type,
        sequence_number=sequence_number,
        payload=packet.sequence_number.to_bytes(ORIGINAL_SEQUENCE_NUMBER_SIZE) + packet.payload,
    )


def unwrap_rtx(packet: RtpPacket, *, ssrc: int, payload_type: int) -> RtpPacket | None:
    """Return the original packet, or None for padding that carries none.

    Args:
        packet: of the RTX stream.
        ssrc: of the original stream.
        payload_type: of the original, by the `apt` parameter (RFC 4588 §8.6).

    Raises:
        RtpDecodeError: a payload too short to hold the original sequence number.

    """
    payload = packet.payload
    if not payload:
        return None
    if len(payload) < ORIGINAL_SEQUENCE_NUMBER_SIZE:
        raise RtpDecodeError(f"RTX payload of {len(payload)} bytes")
    return msgspec.structs.replace(
        packet,
        ssrc=ssrc,
        payload_type=payload_type,
        sequence_number=int.from_bytes(payload[:ORIGINAL_SEQUENCE_NUMBER_SIZE]),
        payload=payload[ORIGINAL_SEQUENCE_NUMBER_SIZE:],
        padding_size=0,
    )
