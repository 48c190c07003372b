"""What can go wrong in `webrtc.sctp`."""

from __future__ import annotations

from webrtc.errors import WebRtcError


class SctpError(WebRtcError):
    """The root of this package's errors."""


class SctpDecodeError(SctpError):
    """Bytes that are not what the RFC says they should be.

    The only exception that decoding may raise, whatever the bytes.
    """


class SctpStateError(SctpError):
    """What was asked for cannot be had in the state the association or channel is in."""


class MessageTooLongError(SctpError):
    """A message is longer than the peer takes (RFC 8841 §6)."""


class SendBufferFullError(SctpError):
    """More is queued than `Settings.send_buffer` allows; wait for a low-buffer event."""


class NoStreamError(SctpError):
    """Every stream identifier is in use, or the one asked for is."""
