"""What carries a bundle: ICE, DTLS, SRTP, RTP and SCTP on one component (RFC 7983, RFC 9143)."""

from webrtc.transport.events import (
    CandidateGathered,
    ChannelsChanged,
    DtlsChanged,
    IceChanged,
    RtpChanged,
    TransportEvent,
)
from webrtc.transport.settings import TransportSettings
from webrtc.transport.transport import PeerTransport

__all__ = [
    "CandidateGathered",
    "ChannelsChanged",
    "DtlsChanged",
    "IceChanged",
    "PeerTransport",
    "RtpChanged",
    "TransportEvent",
    "TransportSettings",
]
