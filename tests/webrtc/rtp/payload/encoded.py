"""Real encoded frames, made by PyAV."""

from __future__ import annotations

import functools

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

ENCODERS = {
    "VP8": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "VP9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "H264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=2"}),
    "AV1": ("libsvtav1", {"preset": "11", "svtav1-params": "pred-struct=1:rc=2:lookahead=0"}),
}
WIDTH, HEIGHT = 320, 240


def encoder(name: str) -> VideoCodecContext:
    codec, options = ENCODERS[name]
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = WIDTH, HEIGHT
    context.pix_fmt = "yuv420p"
    context.bit_rate = 800_000
    context.framerate = 30  # type: ignore[assignment]
    context.time_base = 1 / context.framerate
    context.gop_size = 8
    context.max_b_frames = 0
    context.options = options
    return context


@functools.cache
def frames(name: str, count: int = 12) -> tuple[tuple[bytes, bool], ...]:
    """Encoded frames of noise that moves, and whether each is a key frame."""
    context = encoder(name)
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, 8 * index, axis=1), format="rgb24")
        frame.pts = index
        packets.extend(context.encode(frame))
    packets.extend(context.encode(None))
    return tuple((bytes(packet), packet.is_keyframe) for packet in packets if packet.size)
