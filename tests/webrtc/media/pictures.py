"""Pictures and helpers that the tests of media share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from webrtc.media.codecs import CodecName, VideoDecoder, VideoEncoder, VideoSettings
from webrtc.media.codecs.av_video import AvVideoEncoder
from webrtc.media.codecs.libvpx import VpxEncoder
from webrtc.media.frames import EncodedFrame, VideoFrame

WIDTH, HEIGHT = 320, 240
FRAME_TICKS = 3000
"""Of 30 pictures per second."""

ENCODERS: dict[str, Callable[[VideoSettings], VideoEncoder]] = {
    "VP8": lambda settings: VpxEncoder(CodecName.VP8, settings),
    "VP9": lambda settings: VpxEncoder(CodecName.VP9, settings),
    "H264": lambda settings: AvVideoEncoder(CodecName.H264, settings),
    "AV1": lambda settings: AvVideoEncoder(CodecName.AV1, settings),
    "VP8 by PyAV": lambda settings: AvVideoEncoder(CodecName.VP8, settings),
    "VP9 by PyAV": lambda settings: AvVideoEncoder(CodecName.VP9, settings),
}


def make_encoder(name: str, bit_rate: int = 300_000, **settings: int) -> VideoEncoder:
    return ENCODERS[name](VideoSettings(bit_rate=bit_rate, **settings))


def camera(count: int) -> list[VideoFrame]:
    """Pan over a landscape with the noise of a sensor: no rate control meets its target at ease."""
    draw = np.random.default_rng(1)
    land = np.cumsum(np.cumsum(draw.normal(0, 1, (HEIGHT, 1200)), 0), 1)
    land = (land - land.min()) / np.ptp(land) * 200 + 20 + draw.normal(0, 8, land.shape)
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    pictures = []
    for index in range(count):
        left = int(400 + 300 * np.sin(index / 20))
        part = land[:, left : left + WIDTH] + draw.normal(0, 2, (HEIGHT, WIDTH))
        luma = part.clip(0, 255).astype(np.uint8)
        pictures.append(VideoFrame(luma, grey, grey, index * FRAME_TICKS))
    return pictures


def encode_all(encoder: VideoEncoder, pictures: list[VideoFrame]) -> list[EncodedFrame]:
    return [encoded for picture in pictures for encoded in encoder.encode(picture)]


def decode_all(decoder: VideoDecoder, frames: list[EncodedFrame]) -> list[VideoFrame]:
    return [picture for frame in frames for picture in decoder.decode(frame).frames]


def rate_of(frames: list[EncodedFrame], pictures: int) -> float:
    """Return bits per second, at 30 pictures per second."""
    return sum(len(frame.data) for frame in frames) * 8 * 30 / pictures
