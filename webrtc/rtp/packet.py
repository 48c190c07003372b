"""The RTP packet as it is on the wire (RFC 3550 §5.1), header extensions still as bytes.

A forwarder never needs more than this; what the extensions mean is `header_extensions`.
"""

from __future__ import annotations

import struct

import msgspec

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError

HEADER_SIZE_BYTES = 12
VERSION = 2

ONE_BYTE_PROFILE = 0xBEDE
"""RFC 8285 §4.2."""
TWO_BYTE_PROFILE = 0x1000
"""RFC 8285 §4.3: the low four bits are the application's."""

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")


class RtpPacket(msgspec.Struct, frozen=True, gc=False):
    """One RTP packet. A msgspec struct, since one is made for every packet: attrs costs thrice.

    Attributes:
        payload_type: 7 bits.
        sequence_number: 16 bits.
        timestamp: 32 bits, in units of the payload's clock rate.
        ssrc: synchronization source.
        payload: without padding.
        marker: what it means is the payload format's.
        csrcs: contributing sources, at most 15.
        extension_profile: of the header extension; None where there is none.
        extension: its bytes, a multiple of four.
        padding_size: bytes of padding, its last byte included; 0 without.

    """

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension_profile: int | None = None
    extension: bytes = b""
    padding_size: int = 0

    @property
    def header_size(self) -> int:
        """Bytes before the payload."""
        size = HEADER_SIZE_BYTES + 4 * len(self.csrcs)
        if self.extension_profile is not None:
            size += 4 + len(self.extension)
        return size

    @property
    def size(self) -> int:
        """Bytes on the wire, before SRTP."""
        return self.header_size + len(self.payload) + self.padding_size


def parse_rtp(data: bytes) -> RtpPacket:
    """Parse a packet. Runs per packet.

    Raises:
        RtpDecodeError: not RTP of version 2, or cut short.

    """
    size = len(data)
    if size < HEADER_SIZE_BYTES:
        raise RtpDecodeError(f"RTP packet of {size} bytes")
    first, second, sequence_number, timestamp, ssrc = _HEADER.unpack_from(data)
    if first == 0x80:  # no padding, extension or CSRC: nothing left to check
        return RtpPacket(second & 0x7F, sequence_number, timestamp, ssrc, data[12:], second > 0x7F)
    if first >> 6 != VERSION:
        raise RtpDecodeError(f"RTP version {first >> 6}")
    offset = HEADER_SIZE_BYTES
    csrcs: tuple[int, ...] = ()
    count = first & 0x0F
    if count:
        if size < offset + 4 * count:
            raise RtpDecodeError("RTP packet ends within its CSRCs")
        csrcs = struct.unpack_from(f"!{count}I", data, offset)
        offset += 4 * count
    profile: int | None = None
    extension = b""
    if first & 0x10:
        if size < offset + 4:
            raise RtpDecodeError("RTP packet ends within its extension's header")
        profile, words = _EXTENSION.unpack_from(data, offset)
        offset += 4 + 4 * words
        if size < offset:
            raise RtpDecodeError("RTP packet ends within its extension")
        extension = data[offset - 4 * words : offset]
    padding = 0
    end = size
    if first & 0x20:
        padding = data[-1]
        end = size - padding
        if not padding or end < offset:
            raise RtpDecodeError(f"{padding} bytes of padding in {size - offset} of payload")
    return RtpPacket(
        second & 0x7F,
        sequence_number,
        timestamp,
        ssrc,
        data[offset:end],
        second > 0x7F,
        csrcs,
        profile,
        extension,
        padding,
    )


def serialise_rtp(
    packet: RtpPacket, extension_profile: int | None = None, extension: bytes = b""
) -> bytes:
    """Return the packet's bytes. Runs per packet.

    Args:
        packet: the packet.
        extension_profile: of a header extension in place of the packet's own.
        extension: its bytes.

    Raises:
        RtpEncodeError: a field is out of range.

    """
    profile = extension_profile
    if profile is None:
        profile, extension = packet.extension_profile, packet.extension
    csrcs = packet.csrcs
    padding = packet.padding_size
    try:
        if profile is None and not csrcs and not padding:
            return (
                _HEADER.pack(
                    0x80,
                    packet.payload_type | 0x80 if packet.marker else packet.payload_type,
                    packet.sequence_number,
                    packet.timestamp,
                    packet.ssrc,
                )
                + packet.payload
            )
        if len(csrcs) > 15 or padding > 255:
            raise RtpEncodeError(f"{len(csrcs)} CSRCs, {padding} bytes of padding")
        first = 0x80 | len(csrcs)
        if padding:
            first |= 0x20
        if profile is not None:
            first |= 0x10
        parts = [
            _HEADER.pack(
                first,
                packet.payload_type | 0x80 if packet.marker else packet.payload_type,
                packet.sequence_number,
                packet.timestamp,
                packet.ssrc,
            )
        ]
        if csrcs:
            parts.append(struct.pack(f"!{len(csrcs)}I", *csrcs))
        if profile is not None:
            if len(extension) % 4:
                raise RtpEncodeError(f"extension of {len(extension)} bytes")
            parts.append(_EXTENSION.pack(profile, len(extension) // 4))
            parts.append(extension)
    except struct.error as error:
        raise RtpEncodeError(str(error)) from error
    parts.append(packet.payload)
    if padding:
        parts.append(bytes(padding - 1) + bytes((padding,)))
    return b"".join(parts)


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP where both share a port (RFC 5761 §4).

    RTCP's packet types 192-223 are RTP payload types 64-95 with the marker set, which a session
    that multiplexes does not use.
    """
    return len(data) >= 2 and 192 <= data[1] <= 223
