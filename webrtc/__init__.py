"""WebRTC for trio.

async with PeerConnection(ice_servers=["stun:stun.example.org"]) as pc:
    channel = pc.create_data_channel("chat")
    await signalling.send((await pc.set_local_description()).to_json())
    ...
    await channel.send("hello")
    async for message in channel:
        print(message)

`webrtc.sdp`, `webrtc.dtls`, `webrtc.sctp` and `webrtc.rtp` are the protocols without I/O,
`webrtc.media` encodes and decodes, `webrtc.transport` joins them on ICE.
"""

try:
    import av  # noqa: F401
    import google_crc32c  # noqa: F401
    import numpy  # noqa: F401
    import pylibsrtp  # noqa: F401
except ModuleNotFoundError as error:
    # Who installed turnd for its server alone has none of them.
    name = (error.name or "").replace("_", "-")
    message = f"webrtc needs {name} and more: pip install turnd[webrtc]"
    raise ModuleNotFoundError(message, name=error.name) from error

from ice_client import (
    AgentOptions,
    AgentState,
    IceServer,
    InterfaceFilter,
    Policy,
    ServerFailure,
)
from webrtc.configuration import Configuration
from webrtc.connection_state import ConnectionState, GatheringState
from webrtc.data_channel import ChannelClosedError, DataChannel
from webrtc.dtls import Certificate
from webrtc.encoding import EncodingParameters, SimulcastError
from webrtc.errors import WebRtcError
from webrtc.negotiation import Signalling, negotiate
from webrtc.peer_connection import PeerConnection
from webrtc.peer_states import ConnectionClosedError, ConnectionFailedError
from webrtc.receiver import RtpReceiver
from webrtc.sctp import ChannelOptions, ChannelState
from webrtc.sdp import BundlePolicy, DescriptionType, Direction, MediaKind, SignalingState
from webrtc.sender import EncodedSource, RtpSender
from webrtc.signalling import Description, IceCandidate, SignallingError
from webrtc.transceiver import RtpTransceiver, TrackEvent

__all__ = [
    "AgentOptions",
    "AgentState",
    "BundlePolicy",
    "Certificate",
    "ChannelClosedError",
    "ChannelOptions",
    "ChannelState",
    "Configuration",
    "ConnectionClosedError",
    "ConnectionFailedError",
    "ConnectionState",
    "DataChannel",
    "Description",
    "DescriptionType",
    "Direction",
    "EncodedSource",
    "EncodingParameters",
    "GatheringState",
    "IceCandidate",
    "IceServer",
    "InterfaceFilter",
    "MediaKind",
    "PeerConnection",
    "Policy",
    "RtpReceiver",
    "RtpSender",
    "RtpTransceiver",
    "ServerFailure",
    "SignalingState",
    "Signalling",
    "SignallingError",
    "SimulcastError",
    "TrackEvent",
    "WebRtcError",
    "negotiate",
]
