"""SDP and JSEP without I/O: descriptions as values, offers and answers (RFC 8866, RFC 9429).

`parse_description` and `str()` turn text into `SessionDescription` and back. A `JsepSession` makes
and takes descriptions; the values of `parameters` say what was agreed on, `events` what changed.
"""

from webrtc.sdp.attributes import Direction, ExtMap, Flag
from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.codec_table import DEFAULT_CODECS
from webrtc.sdp.description import (
    Bandwidth,
    DescriptionType,
    MediaSection,
    SessionDescription,
)
from webrtc.sdp.errors import (
    CandidateTargetError,
    InvalidDescriptionError,
    ModifiedDescriptionError,
    SdpError,
    SdpParseError,
    SignalingStateError,
    StaleCandidateError,
)
from webrtc.sdp.events import (
    DataChanged,
    Event,
    ParametersChanged,
    RemoteCandidateAdded,
    RemoteTrackAdded,
    RemoteTrackRemoved,
    SignalingState,
    SignalingStateChanged,
    TransceiverAdded,
    TransceiverRemoved,
    TransceiverStopped,
    TransportChanged,
    TransportRemoved,
)
from webrtc.sdp.parameters import (
    DataParameters,
    ReceiveParameters,
    RemoteTransport,
    SendParameters,
    SimulcastLayer,
    Sources,
    Transport,
)
from webrtc.sdp.parser import parse_description
from webrtc.sdp.perfect_negotiation import Decision, PerfectNegotiation
from webrtc.sdp.session import JsepSession
from webrtc.sdp.settings import BundlePolicy, JsepSettings
from webrtc.sdp.transceiver import Transceiver
from webrtc.sdp.trickle import TrickledCandidate

__all__ = [
    "DEFAULT_CODECS",
    "Bandwidth",
    "BundlePolicy",
    "CandidateTargetError",
    "Codec",
    "DataChanged",
    "DataParameters",
    "Decision",
    "DescriptionType",
    "Direction",
    "Event",
    "ExtMap",
    "Flag",
    "InvalidDescriptionError",
    "JsepSession",
    "JsepSettings",
    "MediaKind",
    "MediaSection",
    "ModifiedDescriptionError",
    "ParametersChanged",
    "PerfectNegotiation",
    "ReceiveParameters",
    "RemoteCandidateAdded",
    "RemoteTrackAdded",
    "RemoteTrackRemoved",
    "RemoteTransport",
    "SdpError",
    "SdpParseError",
    "SendParameters",
    "SessionDescription",
    "SignalingState",
    "SignalingStateChanged",
    "SignalingStateError",
    "SimulcastLayer",
    "Sources",
    "StaleCandidateError",
    "Transceiver",
    "TransceiverAdded",
    "TransceiverRemoved",
    "TransceiverStopped",
    "Transport",
    "TransportChanged",
    "TransportRemoved",
    "TrickledCandidate",
    "parse_description",
]
