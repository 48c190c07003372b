"""What can go wrong in the peer stack, as one small hierarchy: each layer roots its own here."""


class WebRtcError(Exception):
    """Root of every error raised by `webrtc`."""
