"""Jitter buffers: packets in any order in, whole frames with a time to play them out."""

from webrtc.rtp.jitter.audio import AudioJitterBuffer
from webrtc.rtp.jitter.frame import EncodedFrame
from webrtc.rtp.jitter.playout import PlayoutClock
from webrtc.rtp.jitter.synchroniser import Synchroniser
from webrtc.rtp.jitter.video import VideoJitterBuffer

__all__ = [
    "AudioJitterBuffer",
    "EncodedFrame",
    "PlayoutClock",
    "Synchroniser",
    "VideoJitterBuffer",
]
