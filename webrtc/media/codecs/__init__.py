"""Encoders and decoders by codec name; see `base` for what they look like."""

from webrtc.media.codecs.av_video import VideoSettings
from webrtc.media.codecs.base import (
    AudioDecoder,
    AudioEncoder,
    CodecName,
    Decoded,
    VideoDecoder,
    VideoEncoder,
)
from webrtc.media.codecs.factory import (
    AudioSettings,
    audio_decoder,
    audio_encoder,
    video_decoder,
    video_encoder,
)

__all__ = [
    "AudioDecoder",
    "AudioEncoder",
    "AudioSettings",
    "CodecName",
    "Decoded",
    "VideoDecoder",
    "VideoEncoder",
    "VideoSettings",
    "audio_decoder",
    "audio_encoder",
    "video_decoder",
    "video_encoder",
]
