"""Where frames come from: the test pattern, a tone, numpy arrays, a program's own queue.

A source is an asynchronous iterator of frames, and needs no closing; files are in `files`. Those
that are paced give each frame at its time on trio's clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
import trio
from numpy.typing import NDArray

from webrtc.media.convert import from_rgb
from webrtc.media.frames import VIDEO_TIME_BASE, AudioFrame, VideoFrame
from webrtc.media.pacing import Pacer
from webrtc.media.pattern import draw_pattern
from webrtc.media.tone import DEFAULT_AMPLITUDE, draw_tone

F = TypeVar("F")

PACKET_TIME = 0.02
"""Seconds of sound in the frames that are made here."""
DEFAULT_QUEUE_SIZE = 8


class PatternVideo:
    """The test pattern, live: pictures that nobody was in time for are left out."""

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        frame_rate: float = 30,
        *,
        count: int | None = None,
        paced: bool = True,
    ) -> None:
        """Make one.

        Args:
            width: of the picture, even, at least 64.
            height: the same.
            frame_rate: pictures per second.
            count: the counter where it ends; None for no end.
            paced: whether each picture comes at its time, or as soon as it is asked for.

        Raises:
            ValueError: such a picture or rate cannot be.

        """
        if not 0 < frame_rate <= 1000:
            raise ValueError(f"{frame_rate} pictures per second")
        draw_pattern(0, width, height)
        self._size = width, height
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._count = count
        self._pacer = Pacer(math.inf) if paced else None
        self._index = 0

    def __aiter__(self) -> PatternVideo:
        return self

    async def __anext__(self) -> VideoFrame:
        if self._pacer is None:
            await trio.lowlevel.checkpoint()
        else:
            late = await self._pacer.wait_until(float(self._index / self._rate))
            self._index += int(late * self._rate)
        if self._count is not None and self._index >= self._count:
            raise StopAsyncIteration
        index = self._index
        self._index += 1
        return draw_pattern(index, *self._size, round(index / self._rate / VIDEO_TIME_BASE))


class ToneAudio:
    """A sine that never stops, in frames of 20 ms."""

    def __init__(
        self,
        frequency: float = 440,
        *,
        rate: int = 48_000,
        channels: int = 1,
        amplitude: float = DEFAULT_AMPLITUDE,
        duration: float = math.inf,
        paced: bool = True,
    ) -> None:
        """Make one; `duration` is in seconds, `amplitude` of full scale."""
        self._frequency = frequency
        self._rate = rate
        self._channels = channels
        self._amplitude = amplitude
        self._end = duration
        self._pacer = Pacer() if paced else None
        self._pts = 0

    def __aiter__(self) -> ToneAudio:
        return self

    async def __anext__(self) -> AudioFrame:
        start = self._pts / self._rate
        if start >= self._end:
            raise StopAsyncIteration
        if self._pacer is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._pacer.wait_until(start)
        frame = draw_tone(
            self._frequency,
            self._pts,
            round(self._rate * PACKET_TIME),
            rate=self._rate,
            channels=self._channels,
            amplitude=self._amplitude,
        )
        self._pts += frame.count
        return frame


class ArrayVideo:
    """RGB arrays (height x width x 3, uint8) of any iterable, at a steady rate."""

    def __init__(
        self, arrays: Iterable[NDArray[np.uint8]], frame_rate: float = 30, *, paced: bool = True
    ) -> None:
        """Make one; the arrays are converted in a thread, the iterable is asked in trio's."""
        self._arrays = iter(arrays)
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._pacer = Pacer() if paced else None
        self._index = 0

    def __aiter__(self) -> ArrayVideo:
        return self

    async def __anext__(self) -> VideoFrame:
        array = _next(self._arrays)
        time = self._index / self._rate
        self._index += 1
        frame = await trio.to_thread.run_sync(from_rgb, array, round(time / VIDEO_TIME_BASE))
        if self._pacer is not None:
            await self._pacer.wait_until(float(time))
        return frame


class ArrayAudio:
    """Arrays of int16 samples (samples, or samples x channels) of any iterable, end to end."""

    def __init__(
        self, arrays: Iterable[NDArray[np.int16]], rate: int = 48_000, *, paced: bool = True
    ) -> None:
        """Make one."""
        self._arrays = iter(arrays)
        self._rate = rate
        self._pacer = Pacer() if paced else None
        self._pts = 0

    def __aiter__(self) -> ArrayAudio:
        return self

    async def __anext__(self) -> AudioFrame:
        frame = AudioFrame(_next(self._arrays), self._rate, self._pts)
        self._pts += frame.count
        if self._pacer is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._pacer.wait_until(frame.time)
        return frame


def _next(iterator: Iterator[F]) -> F:
    try:
        return next(iterator)
    except StopIteration:
        raise StopAsyncIteration from None


class FrameQueue(Generic[F]):
    """A source that a program writes to, and a sink that it reads: the newest frames.

    When it is full the oldest frame makes room: what is live does not wait.

    Attributes:
        dropped: frames that made room.

    """

    def __init__(self, size: int = DEFAULT_QUEUE_SIZE) -> None:
        """Make one for `size` frames."""
        self._put, self._take = trio.open_memory_channel[F](size)
        self.dropped = 0

    def put(self, frame: F) -> None:
        """Add a frame; after `close` it is dropped."""
        while True:
            try:
                self._put.send_nowait(frame)
            except trio.WouldBlock:
                self._take.receive_nowait()
                self.dropped += 1
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                self.dropped += 1
                return
            else:
                return

    async def write(self, frame: F) -> None:
        """Add a frame, as sinks do."""
        self.put(frame)
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Say that no frame follows: iteration ends after those that wait."""
        self._put.close()

    def __aiter__(self) -> FrameQueue[F]:
        return self

    async def __anext__(self) -> F:
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
