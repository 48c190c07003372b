"""ChannelData messages (RFC 8656 §12.4 to §12.6)."""

from __future__ import annotations

import attrs

from stun.attribute import pad
from stun.errors import DecodeError, EncodeError

CHANNEL_DATA_HEADER_SIZE = 4
FIRST_CHANNEL = 0x4000
LAST_CHANNEL = 0x7FFF
"""What RFC 5766 §11 allows, and clients of it use in full."""
LAST_CHANNEL_RFC8656 = 0x4FFF
"""Where RFC 8656 §12 ends; a client should stay below."""


@attrs.frozen(slots=True)
class ChannelData:
    """Application data on a channel.

    Attributes:
        channel: the channel number.
        data: the application data, at most 65,535 bytes.

    """

    channel: int
    data: bytes

    def encode(self, *, stream: bool) -> bytes:
        """Write the message; on a stream it is padded to a multiple of 4 (RFC 8656 §12.5).

        Raises:
            EncodeError: the channel number or the data's length is out of range.

        """
        if not FIRST_CHANNEL <= self.channel <= LAST_CHANNEL:
            raise EncodeError(f"0x{self.channel:x} is no channel number")
        size = len(self.data)
        if size > 0xFFFF:
            raise EncodeError(f"{size} bytes do not fit a ChannelData message")
        header = self.channel.to_bytes(2, "big") + size.to_bytes(2, "big")
        return header + self.data + (pad(size) if stream else b"")

    @classmethod
    def decode(cls, data: bytes) -> ChannelData:
        """Read a datagram, or a frame from a stream; up to three bytes of padding may follow.

        Raises:
            DecodeError: too short, no channel number, or a length that does not fit.

        """
        if len(data) < CHANNEL_DATA_HEADER_SIZE:
            raise DecodeError(f"{len(data)} bytes are fewer than ChannelData's header")
        channel = int.from_bytes(data[:2], "big")
        if not FIRST_CHANNEL <= channel <= LAST_CHANNEL:
            raise DecodeError(f"0x{channel:04x} is no channel number")
        size = int.from_bytes(data[2:4], "big")
        if not 0 <= len(data) - CHANNEL_DATA_HEADER_SIZE - size <= 3:
            raise DecodeError(f"length {size} does not fit ChannelData of {len(data)} bytes")
        return cls(channel, bytes(data[4 : 4 + size]))
