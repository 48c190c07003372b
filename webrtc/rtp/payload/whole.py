"""Formats where a packet's payload is one encoded frame: Opus, G.711, G.722, telephone events."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.base import PayloadInfo

_ALONE = PayloadInfo(starts_frame=True, is_key_frame=True)


class WholePacketiser:
    """A frame is a payload (RFC 7587 §4.2, RFC 3551 §4.5)."""

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the frame as it is; raises RtpEncodeError if it is too large."""
        if len(frame) > max_size:
            raise RtpEncodeError(f"frame of {len(frame)} bytes cannot be cut")
        return [frame]


class WholeDepacketiser:
    """A payload is a frame."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say that it stands alone."""
        del payload
        return _ALONE

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the one payload."""
        return b"".join(payloads)


@attrs.frozen
class TelephoneEvent:
    """A DTMF digit or other event (RFC 4733 §2.3).

    Attributes:
        event: 0-9 the digits, 10 `*`, 11 `#`, 12-15 A-D.
        duration: so far, in timestamp units.
        volume: in -dBm0, 0 to 63.
        is_end: the key was let go; sent three times.

    """

    event: int
    duration: int
    volume: int = 10
    is_end: bool = False

    def pack(self) -> bytes:
        """Return its four bytes; raises RtpEncodeError."""
        if not (0 <= self.event < 256 and 0 <= self.volume < 64 and 0 <= self.duration < 1 << 16):
            raise RtpEncodeError(f"event {self}")
        return bytes((self.event, self.is_end << 7 | self.volume)) + self.duration.to_bytes(2)

    @classmethod
    def parse(cls, payload: bytes) -> TelephoneEvent:
        """Parse a payload's first event; raises RtpDecodeError."""
        if len(payload) < 4:
            raise RtpDecodeError(f"telephone event of {len(payload)} bytes")
        return cls(payload[0], int.from_bytes(payload[2:4]), payload[1] & 0x3F, payload[1] > 0x7F)
