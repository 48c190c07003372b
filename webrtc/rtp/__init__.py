"""RTP and RTCP for WebRTC, without sockets or clocks of their own.

session = RtpSession(SessionConfig(cname, ExtensionMap({1: MID_URI, 3: ...})), secrets.randbelow)
session.add_receiver(ReceiverConfig("0", codecs))
session.add_sender(SenderConfig("0", ssrc, codecs, rtx_ssrc=..., rtx_payload_types={96: 97}))
session.send_frame(ssrc, encoded, timestamp, now)
session.receive(datagram, now)           # after SRTP
session.on_deadline(now)                 # at session.next_deadline()
session.take_datagrams()                 # to SRTP
session.take_events()                    # FrameReceived, KeyFrameRequested, TargetBitrateChanged…
"""

from webrtc.rtp.codec import Codec, CodecRole
from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError, RtpError
from webrtc.rtp.events import (
    FrameReceived,
    KeyFrameRequested,
    LossReported,
    PacketReceived,
    RtpEvent,
    StreamEnded,
    TargetBitrateChanged,
)
from webrtc.rtp.header_extensions import SUPPORTED_URIS, ExtensionMap, HeaderExtensions
from webrtc.rtp.jitter import EncodedFrame
from webrtc.rtp.packet import RtpPacket, is_rtcp, parse_rtp, serialise_rtp
from webrtc.rtp.receiver import ReceiverConfig
from webrtc.rtp.send_stream import SenderConfig
from webrtc.rtp.session import Datagram, RtpSession, SessionConfig
from webrtc.rtp.statistics import ReceiveStatistics, RemoteSendStatistics, SendStatistics

__all__ = [
    "SUPPORTED_URIS",
    "Codec",
    "CodecRole",
    "Datagram",
    "EncodedFrame",
    "ExtensionMap",
    "FrameReceived",
    "HeaderExtensions",
    "KeyFrameRequested",
    "LossReported",
    "PacketReceived",
    "ReceiveStatistics",
    "ReceiverConfig",
    "RemoteSendStatistics",
    "RtpDecodeError",
    "RtpEncodeError",
    "RtpError",
    "RtpEvent",
    "RtpPacket",
    "RtpSession",
    "SendStatistics",
    "SenderConfig",
    "SessionConfig",
    "StreamEnded",
    "TargetBitrateChanged",
    "is_rtcp",
    "parse_rtp",
    "serialise_rtp",
]
