"""Feedback messages: generic NACK and PLI (RFC 4585 §6), FIR (RFC 5104 §4.3.1), REMB.

REMB is draft-alvestrand-rmcat-remb-03 §2.2: an application layer feedback with a name of its own.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Self

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError

TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206
_SSRCS = struct.Struct("!II")
_NACK = struct.Struct("!HH")
_FIR = struct.Struct("!IB3x")
_REMB_NAME = b"REMB"


def pack_ssrcs(sender_ssrc: int, media_ssrc: int) -> bytes:
    """Return the head of every feedback message (RFC 4585 §6.1); raises RtpEncodeError."""
    try:
        return _SSRCS.pack(sender_ssrc, media_ssrc)
    except struct.error as error:
        raise RtpEncodeError(str(error)) from error


def parse_ssrcs(body: bytes) -> tuple[int, int]:
    """Return SSRC of packet sender and of media source; raises RtpDecodeError."""
    if len(body) < _SSRCS.size:
        raise RtpDecodeError(f"feedback of {len(body)} bytes")
    sender_ssrc, media_ssrc = _SSRCS.unpack_from(body)
    return sender_ssrc, media_ssrc


@attrs.frozen
class GenericNack:
    """Packets that are missing (RFC 4585 §6.2.1).

    Attributes:
        sender_ssrc: of who asks.
        media_ssrc: whose packets.
        sequence_numbers: best ascending: then up to 17 share an entry.

    """

    packet_type: ClassVar[int] = TRANSPORT_FEEDBACK
    format: ClassVar[int] = 1

    sender_ssrc: int
    media_ssrc: int
    sequence_numbers: tuple[int, ...]

    def pack(self) -> tuple[int, bytes]:
        """Return format and body; raises RtpEncodeError."""
        body = bytearray(pack_ssrcs(self.sender_ssrc, self.media_ssrc))
        first, mask = None, 0
        for number in self.sequence_numbers:
            if not 0 <= number < 1 << 16:
                raise RtpEncodeError(f"sequence number {number}")
            if first is not None:
                ahead = (number - first) & 0xFFFF
                if 1 <= ahead <= 16:
                    mask |= 1 << (ahead - 1)
                    continue
                body += _NACK.pack(first, mask)
            first, mask = number, 0
        if first is not None:
            body += _NACK.pack(first, mask)
        return self.format, bytes(body)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body; raises RtpDecodeError."""
        sender_ssrc, media_ssrc = parse_ssrcs(body)
        numbers = []
        if len(body) % _NACK.size:
            raise RtpDecodeError(f"NACK of {len(body)} bytes")
        for first, mask in _NACK.iter_unpack(body[_SSRCS.size :]):
            numbers.append(first)
            numbers.extend(
                (first + ahead) & 0xFFFF for ahead in range(1, 17) if mask >> (ahead - 1) & 1
            )
        return cls(sender_ssrc, media_ssrc, tuple(numbers))


@attrs.frozen
class PictureLossIndication:
    """The decoder needs a key frame (RFC 4585 §6.3.1)."""

    packet_type: ClassVar[int] = PAYLOAD_FEEDBACK
    format: ClassVar[int] = 1

    sender_ssrc: int
    media_ssrc: int

    def pack(self) -> tuple[int, bytes]:
        """Return format and body; raises RtpEncodeError."""
        return self.format, pack_ssrcs(self.sender_ssrc, self.media_ssrc)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body; raises RtpDecodeError."""
        return cls(*parse_ssrcs(body))


@attrs.frozen
class FullIntraRequest:
    """A new receiver needs a key frame (RFC 5104 §4.3.1).

    Attributes:
        sender_ssrc: of who asks.
        entries: media source and command sequence number, 8 bits: repeats carry the same.

    """

    packet_type: ClassVar[int] = PAYLOAD_FEEDBACK
    format: ClassVar[int] = 4

    sender_ssrc: int
    entries: tuple[tuple[int, int], ...]

    def pack(self) -> tuple[int, bytes]:
        """Return format and body; raises RtpEncodeError."""
        try:
            entries = b"".join(_FIR.pack(*entry) for entry in self.entries)
        except struct.error as error:
            raise RtpEncodeError(str(error)) from error
        return self.format, pack_ssrcs(self.sender_ssrc, 0) + entries

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body; raises RtpDecodeError."""
        sender_ssrc, _ = parse_ssrcs(body)
        rest = body[_SSRCS.size :]
        if len(rest) % _FIR.size:
            raise RtpDecodeError(f"FIR of {len(body)} bytes")
        return cls(sender_ssrc, tuple((ssrc, number) for ssrc, number in _FIR.iter_unpack(rest)))


@attrs.frozen
class ReceiverEstimatedMaximumBitrate:
    """REMB: what the receiver thinks its path can carry.

    Attributes:
        sender_ssrc: of the receiver.
        bitrate_bps: 18 bits of it survive the wire, rounded down.
        ssrcs: what shares the bit rate, at most 255.

    """

    packet_type: ClassVar[int] = PAYLOAD_FEEDBACK
    format: ClassVar[int] = 15

    sender_ssrc: int
    bitrate_bps: int
    ssrcs: tuple[int, ...]

    def pack(self) -> tuple[int, bytes]:
        """Return format and body; raises RtpEncodeError."""
        exponent = max(self.bitrate_bps.bit_length() - 18, 0)
        if self.bitrate_bps < 0 or exponent > 63 or len(self.ssrcs) > 255:
            raise RtpEncodeError(f"REMB of {self.bitrate_bps} bit/s, {len(self.ssrcs)} SSRCs")
        head = len(self.ssrcs) << 24 | exponent << 18 | self.bitrate_bps >> exponent
        try:
            ssrcs = struct.pack(f"!I{len(self.ssrcs)}I", head, *self.ssrcs)
        except struct.error as error:
            raise RtpEncodeError(str(error)) from error
        return self.format, pack_ssrcs(self.sender_ssrc, 0) + _REMB_NAME + ssrcs

    @classmethod
    def parse(cls, body: bytes) -> Self | None:
        """Parse a body; None if it is another application's; raises RtpDecodeError."""
        sender_ssrc, _ = parse_ssrcs(body)
        if body[8:12] != _REMB_NAME:
            return None
        if len(body) < 16 or len(body) < 16 + 4 * body[12]:
            raise RtpDecodeError(f"REMB of {len(body)} bytes")
        head = int.from_bytes(body[13:16])
        bitrate_bps = (head & 0x3FFFF) << (head >> 18)
        return cls(sender_ssrc, bitrate_bps, struct.unpack_from(f"!{body[12]}I", body, 16))
