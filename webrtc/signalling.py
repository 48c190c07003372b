"""What two peers tell each other over signalling, in the JSON that browsers write and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from webrtc.errors import WebRtcError
from webrtc.sdp import DescriptionType


class SignallingError(WebRtcError):
    """A message that is no description and no candidate."""


@attrs.frozen
class Description:
    """A session description on its way (W3C: RTCSessionDescriptionInit).

    Attributes:
        type: offer, answer, pranswer or rollback.
        sdp: the text; empty for a rollback. Not shown by repr: it has the ICE password.

    """

    type: DescriptionType = attrs.field(converter=DescriptionType)
    sdp: str = attrs.field(default="", repr=lambda sdp: f"<{len(sdp)} characters>")

    def to_json(self) -> dict[str, str]:
        """Return what a browser's `setRemoteDescription` takes."""
        return {"type": self.type.value, "sdp": self.sdp}

    @classmethod
    def from_json(cls, value: str | Mapping[str, Any]) -> Description:
        """Read what a browser's `JSON.stringify` made of a description.

        Raises:
            SignallingError: it is none.

        """
        value = _object(value)
        kind, sdp = value.get("type"), value.get("sdp", "")
        if kind not in [each.value for each in DescriptionType] or not isinstance(sdp, str):
            raise SignallingError("a description has a type and sdp")
        return cls(kind, sdp)


@attrs.frozen(kw_only=True)
class IceCandidate:
    """A candidate on its way (W3C: RTCIceCandidateInit).

    Attributes:
        candidate: ``candidate:…``, or empty: there are no more in this generation.
        sdp_mid: of the media section it is for.
        sdp_m_line_index: of that section, from 0; used where there is no `sdp_mid`.
        username_fragment: of the generation it is of.

    """

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None
    username_fragment: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what a browser's `addIceCandidate` takes."""
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdp_mid,
            "sdpMLineIndex": self.sdp_m_line_index,
            "usernameFragment": self.username_fragment,
        }

    @classmethod
    def from_json(cls, value: str | Mapping[str, Any]) -> IceCandidate:
        """Read what a browser's `JSON.stringify` made of a candidate.

        Raises:
            SignallingError: it is none.

        """
        value = _object(value)
        text, mid = value.get("candidate", ""), value.get("sdpMid")
        index, fragment = value.get("sdpMLineIndex"), value.get("usernameFragment")
        if not isinstance(text, str):
            raise SignallingError("a candidate is text")
        if not isinstance(mid, str | None) or not isinstance(fragment, str | None):
            raise SignallingError("sdpMid and usernameFragment are text")
        if not isinstance(index, int | None) or isinstance(index, bool):
            raise SignallingError("sdpMLineIndex is a number")
        return cls(candidate=text, sdp_mid=mid, sdp_m_line_index=index, username_fragment=fragment)


def _object(value: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise SignallingError(f"not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise SignallingError("a JSON object is wanted")
    return value
