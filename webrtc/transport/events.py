"""What a transport tells its peer connection: the whole vocabulary."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ice_client import AgentState, Candidate
from webrtc.dtls import DtlsState
from webrtc.rtp import RtpEvent
from webrtc.sctp import ChannelEvent


@attrs.frozen(slots=True)
class IceChanged:
    """The ICE agent is in another state."""

    state: AgentState


@attrs.frozen(slots=True)
class CandidateGathered:
    """One of our candidates; None: there are no more in this generation."""

    candidate: Candidate | None


@attrs.frozen(slots=True)
class DtlsChanged:
    """DTLS is in another state; `detail` says why, if it failed."""

    state: DtlsState
    detail: str = ""


@attrs.frozen(slots=True)
class ChannelsChanged:
    """Something happened to the data channels, or to the association below them."""

    event: ChannelEvent


@attrs.frozen(slots=True)
class RtpChanged:
    """Something happened to the media."""

    event: RtpEvent


TransportEvent: TypeAlias = (
    IceChanged | CandidateGathered | DtlsChanged | ChannelsChanged | RtpChanged
)
