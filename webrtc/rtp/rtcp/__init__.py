"""RTCP packets as values, and compounds of them (RFC 3550 §6, RFC 4585, RFC 5104, RFC 5506)."""

from webrtc.rtp.rtcp.compound import RtcpPacket, UnknownPacket, parse_rtcp, serialise_rtcp
from webrtc.rtp.rtcp.feedback import (
    FullIntraRequest,
    GenericNack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
)
from webrtc.rtp.rtcp.reports import (
    ApplicationDefined,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SdesItem,
    SenderReport,
    SourceDescription,
    SourceDescriptionChunk,
)
from webrtc.rtp.rtcp.transport_feedback import TransportFeedback

__all__ = [
    "ApplicationDefined",
    "FullIntraRequest",
    "GenericNack",
    "Goodbye",
    "PictureLossIndication",
    "ReceiverEstimatedMaximumBitrate",
    "ReceiverReport",
    "ReportBlock",
    "RtcpPacket",
    "SdesItem",
    "SenderReport",
    "SourceDescription",
    "SourceDescriptionChunk",
    "TransportFeedback",
    "UnknownPacket",
    "parse_rtcp",
    "serialise_rtcp",
]
