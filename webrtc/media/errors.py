"""What can go wrong in `webrtc.media`. What came off the network never raises: see `Decoded`."""

from webrtc.errors import WebRtcError


class MediaError(WebRtcError):
    """The root of this package's errors."""


class CodecError(MediaError):
    """A codec that could not be made, or failed for a reason of its own."""


class UnknownCodecError(CodecError):
    """A codec name that nothing here encodes or decodes."""


class MediaFileError(MediaError):
    """A file that cannot be opened, read or written, or has no stream of the kind asked for."""
