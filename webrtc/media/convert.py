"""Between our frames, PyAV's, numpy's RGB, sizes and sample rates.

Everything here computes in the caller's thread: a 720p picture takes milliseconds, so go through
`trio.to_thread` with those.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from webrtc.media.frames import VIDEO_TIME_BASE, AudioFrame, Plane, Samples, VideoFrame

_LAYOUTS = {1: "mono", 2: "stereo"}
MAX_GAP = 0.04
"""Seconds that timestamps may disagree with the count of samples before we believe them."""


def layout_name(channels: int) -> str:
    """Return FFmpeg's name of a layout; raises ValueError for more than two channels."""
    try:
        return _LAYOUTS[channels]
    except KeyError:
        raise ValueError(f"{channels} channels; 1 or 2 are possible") from None


def _view(plane: av.video.plane.VideoPlane, height: int, width: int) -> Plane:
    array: Plane = np.frombuffer(memoryview(plane), np.uint8, count=plane.line_size * height)
    rows: Plane = array.reshape(height, plane.line_size)
    return rows[:, :width]


def to_av_video(frame: VideoFrame) -> av.VideoFrame:
    """Copy a picture into PyAV's."""
    made = av.VideoFrame(frame.width, frame.height, "yuv420p")
    for plane, source in zip(made.planes, (frame.y, frame.u, frame.v), strict=True):
        _view(plane, *source.shape)[:] = source
    made.pts = frame.pts
    made.time_base = frame.time_base
    return made


def from_av_video(
    frame: av.VideoFrame, pts: int | None = None, time_base: Fraction | None = None
) -> VideoFrame:
    """View PyAV's picture as ours, converted if it is no yuv420p; the arrays keep it alive."""
    if pts is None:
        pts = frame.pts or 0
        time_base = frame.time_base or VIDEO_TIME_BASE
    if frame.format.name != "yuv420p":
        frame = frame.reformat(format="yuv420p", dst_color_range="MPEG", threads=1)
    height, width = frame.height, frame.width
    y, u, v = frame.planes
    half = (height + 1) // 2, (width + 1) // 2
    return VideoFrame(
        _view(y, height, width),
        _view(u, *half),
        _view(v, *half),
        pts,
        time_base or VIDEO_TIME_BASE,
    )


def from_rgb(
    rgb: NDArray[np.uint8], pts: int = 0, time_base: Fraction = VIDEO_TIME_BASE
) -> VideoFrame:
    """Convert a height x width x 3 array of RGB; raises ValueError for other shapes."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError("RGB is an array of uint8, height x width x 3")
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    return from_av_video(picture, pts, time_base)


def to_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a height x width x 3 array of RGB."""
    array = to_av_video(frame).reformat(format="rgb24", threads=1).to_ndarray()
    return array.astype(np.uint8, copy=False)


def scale(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """Return the picture in another size (bilinear), stretched; itself if the size is its own."""
    if (width, height) == (frame.width, frame.height):
        return frame
    scaled = to_av_video(frame).reformat(width, height, interpolation="BILINEAR", threads=1)
    return from_av_video(scaled, frame.pts, frame.time_base)


def to_av_audio(frame: AudioFrame) -> av.AudioFrame:
    """Copy sound into PyAV's frame."""
    interleaved = frame.samples.reshape(1, -1)
    made = av.AudioFrame.from_ndarray(interleaved, "s16", layout_name(frame.channels))
    made.sample_rate = frame.rate
    made.time_base = Fraction(1, frame.rate)
    made.pts = frame.pts
    return made


def samples_of(frame: av.AudioFrame) -> Samples:
    """Return the samples of PyAV's interleaved 16-bit frame, samples x channels."""
    array = frame.to_ndarray().astype(np.int16, copy=False)
    return array.reshape(-1, len(frame.layout.channels))


class Resampler:
    """FFmpeg's conversion of sound to interleaved 16 bits, in the caller's thread.

    PyAV's own `AudioResampler` makes a thread per processor for each stream.
    """

    def __init__(self, first: av.AudioFrame, rate: int, channels: int) -> None:
        """Make one for frames of the same kind as `first`."""
        graph = av.filter.Graph()
        graph.threads = 1
        source = graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format,
            layout=first.layout,
            time_base=first.time_base or Fraction(1, first.sample_rate),
        )
        wanted = graph.add(
            "aformat",
            sample_rates=str(rate),
            sample_fmts="s16",
            channel_layouts=layout_name(channels),
        )
        graph.link_nodes(source, wanted, graph.add("abuffersink")).configure()
        self._graph = graph

    def convert(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """Return what is ready."""
        self._graph.push(frame)
        parts: list[av.AudioFrame] = []
        while True:
            try:
                part = self._graph.pull()
            except (BlockingIOError, EOFError):
                return parts
            if isinstance(part, av.AudioFrame):
                parts.append(part)


class AudioConverter:
    """Turns one stream of sound into a sample rate and a number of channels.

    Keeps the resampler's tail between frames; a gap or a jump back in the input starts anew there.

    Attributes:
        rate: samples per second of what comes out.
        channels: of what comes out.

    """

    def __init__(self, rate: int, channels: int) -> None:
        """Make one; raises ValueError for channels that cannot be."""
        layout_name(channels)
        self.rate = rate
        self.channels = channels
        self._resampler: Resampler | None = None
        self._input: tuple[int, int] | None = None
        self._next_in = 0
        self._next_out = 0

    def convert(self, frame: AudioFrame) -> AudioFrame:
        """Return what is ready: about as long as `frame`, possibly of no samples."""
        if (frame.rate, frame.channels) == (self.rate, self.channels):
            self._resampler = self._input = None
            return frame
        kind = frame.rate, frame.channels
        apart = abs(frame.pts - self._next_in) / frame.rate
        converted = to_av_audio(frame)
        if self._resampler is None or self._input != kind or apart > MAX_GAP:
            self._resampler = Resampler(converted, self.rate, self.channels)
            self._input = kind
            self._next_out = round(frame.pts * self.rate / frame.rate)
            self._next_in = frame.pts
        self._next_in += frame.count
        converted.pts = None  # we count: the resampler's rounding must not move samples
        parts = [samples_of(part) for part in self._resampler.convert(converted)]
        samples = np.concatenate(parts) if parts else np.empty((0, self.channels), np.int16)
        result = AudioFrame(samples, self.rate, self._next_out)
        self._next_out += result.count
        return result


class AudioChunker:
    """Cuts one stream of sound into frames of the same length.

    Attributes:
        size: samples of each frame that comes out.

    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"frames of {size} samples")
        self.size = size
        self._kept: Samples | None = None
        self._rate = 0
        self._pts = 0

    def push(self, frame: AudioFrame) -> list[AudioFrame]:
        """Return the frames that are full now; what is left waits for the next call.

        What waits is dropped, less than a frame, where the input jumps.
        """
        kept, self._rate = self._kept, frame.rate
        apart = abs(frame.pts - self._pts - (0 if kept is None else len(kept))) / frame.rate
        if kept is None or apart > MAX_GAP or kept.shape[1] != frame.channels:
            samples, self._pts = frame.samples, frame.pts
        else:
            samples = np.concatenate((kept, frame.samples))
        size = self.size
        whole = len(samples) // size * size
        frames = [
            AudioFrame(samples[start : start + size], frame.rate, self._pts + start)
            for start in range(0, whole, size)
        ]
        self._kept = samples[whole:]
        self._pts += whole
        return frames

    def rest(self) -> AudioFrame | None:
        """Return what waits, shorter than a frame, and forget it; None if nothing does."""
        kept, self._kept = self._kept, None
        if kept is None or not len(kept):
            return None
        return AudioFrame(kept, self._rate, self._pts)
