"""What RTP's codec raises: a class for bytes that do not parse, one for values that do not fit."""

from webrtc.errors import WebRtcError


class RtpError(WebRtcError):
    """Root of what `webrtc.rtp` raises."""


class RtpDecodeError(RtpError):
    """Bytes that are not what the RFC says they should be.

    The only exception that parsing and depacketising may raise, whatever the bytes.
    """


class RtpEncodeError(RtpError):
    """A value that the wire format cannot hold (too long, out of range)."""
