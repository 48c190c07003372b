"""What can go wrong in `webrtc.sdp`: text, states, and descriptions that cannot be agreed on."""

from __future__ import annotations

from webrtc.errors import WebRtcError


class SdpError(WebRtcError):
    """The root of this package's errors."""


class SdpParseError(SdpError):
    """A line that is malformed; the only exception that parsing raises, whatever the text.

    Attributes:
        line_number: of the line, from 1; 0 where the text as a whole is wrong.
        line: its text, cut to 100 characters.

    """

    def __init__(self, reason: str, line_number: int = 0, line: str = "") -> None:
        self.line_number = line_number
        self.line = line[:100]
        where = f"line {line_number} {self.line!r}: " if line_number else ""
        super().__init__(f"{where}{reason}")


class SignalingStateError(SdpError):
    """What was asked for cannot be done in this signaling state (W3C: InvalidStateError)."""


class InvalidDescriptionError(SdpError):
    """A peer's description that breaks a rule of offer and answer (W3C: InvalidAccessError)."""


class ModifiedDescriptionError(SdpError):
    """A local description that is not what was created last (W3C: InvalidModificationError)."""


class CandidateTargetError(SdpError):
    """A trickled candidate that belongs to no section of the descriptions (W3C: OperationError)."""


class StaleCandidateError(CandidateTargetError):
    """A trickled candidate of an ICE session that was left, or of an offer that was taken back."""
