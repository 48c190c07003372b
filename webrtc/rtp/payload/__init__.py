"""Payload formats: encoded frames to RTP payloads and back, by the codec's RFC.

A packetiser keeps what its stream needs (picture identifiers); a depacketiser keeps nothing: which
payloads make a frame is the jitter buffer's business.
"""

from webrtc.rtp.payload.av1 import Av1Depacketiser, Av1Packetiser
from webrtc.rtp.payload.base import Depacketiser, Packetiser, PayloadInfo
from webrtc.rtp.payload.formats import PAYLOAD_FORMATS, PayloadFormat, find_format
from webrtc.rtp.payload.h264 import H264Depacketiser, H264Packetiser
from webrtc.rtp.payload.vp8 import Vp8Depacketiser, Vp8Packetiser
from webrtc.rtp.payload.vp9 import Vp9Depacketiser, Vp9Packetiser
from webrtc.rtp.payload.whole import WholeDepacketiser, WholePacketiser

__all__ = [
    "PAYLOAD_FORMATS",
    "Av1Depacketiser",
    "Av1Packetiser",
    "Depacketiser",
    "H264Depacketiser",
    "H264Packetiser",
    "Packetiser",
    "PayloadFormat",
    "PayloadInfo",
    "Vp8Depacketiser",
    "Vp8Packetiser",
    "Vp9Depacketiser",
    "Vp9Packetiser",
    "WholeDepacketiser",
    "WholePacketiser",
    "find_format",
]
