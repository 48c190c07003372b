"""Real encoded frames, made by PyAV."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from webrtc.media.codecs.scheduling import ordinary_threads

ENCODERS = {
    "VP8": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "VP9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "H264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=2"}),
    "AV1": ("libsvtav1", {"preset": "11", "svtav1-params": "pred-struct=1:rc=2:lookahead=0"}),
}
WIDTH, HEIGHT = 160, 120


def configure(name: str, context: VideoCodecContext) -> None:
    context.width, context.height = WIDTH, HEIGHT
    context.pix_fmt = "yuv420p"
    context.bit_rate = 800_000
    context.framerate = Fraction(30)
    context.time_base = Fraction(1, 30)
    context.gop_size = 8
    context.max_b_frames = 0
    context.options = ENCODERS[name][1]


def pictures(count: int = 12) -> Iterator[av.VideoFrame]:
    """Yield noise that moves."""
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, 8 * index, axis=1), format="rgb24")
        frame.pts = index
        yield frame


@functools.cache
def frames(name: str) -> tuple[tuple[bytes, bool], ...]:
    """Return encoded frames, and whether each is a key frame."""
    context = av.CodecContext.create(ENCODERS[name][0], "w")
    assert isinstance(context, VideoCodecContext)
    configure(name, context)
    with ordinary_threads():
        context.open()
    packets = [packet for frame in (*pictures(), None) for packet in context.encode(frame)]
    return tuple((bytes(packet), packet.is_keyframe) for packet in packets if packet.size)
