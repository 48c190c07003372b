"""What somebody who watches a video sees of the network: frames per second, and freezes."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import attrs
import trio

from webrtc import RtpReceiver
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import read_pattern


@attrs.define
class Viewer:
    """Reads the counters of a test pattern, and when they were shown.

    Attributes:
        counters: of the pictures that could be read, in the order in which they were shown.
        times: when.
        broken: pictures that were shown with the wrong colours, or without a counter.

    """

    counters: list[int] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    broken: int = 0

    async def watch(self, receiver: RtpReceiver) -> None:
        """Read until the track ends."""
        async for frame in receiver:
            assert isinstance(frame, VideoFrame)
            reading = read_pattern(frame)
            if reading is None or not reading.is_intact:
                self.broken += 1
                continue
            self.counters.append(reading.counter)
            self.times.append(trio.current_time())

    def since(self, moment: float) -> Viewer:
        """Return what was seen from a moment on."""
        first = sum(time < moment for time in self.times)
        return Viewer(self.counters[first:], self.times[first:], self.broken)

    @property
    def frames_per_second(self) -> float:
        """Of the time between the first picture and the last; 0 if there are no two."""
        if len(self.times) < 2:
            return 0.0
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])

    @property
    def freezes(self) -> list[float]:
        """Seconds of each freeze."""
        return freezes(self.times)

    def __str__(self) -> str:
        longest = max(self.freezes, default=0.0)
        return (
            f"{self.frames_per_second:.1f} frames/s, {len(self.freezes)} freezes"
            f" (the longest {longest:.2f} s), {self.broken} broken pictures"
        )


def freezes(times: Sequence[float]) -> list[float]:
    """Return how long each freeze was, as W3C's webrtc-stats counts them (freezeCount).

    An interval is one if it exceeds three times the average, and the average by 150 ms.
    """
    intervals = [after - before for before, after in itertools.pairwise(times)]
    if not intervals:
        return []
    average = statistics.fmean(intervals)
    return [each for each in intervals if each > max(3 * average, average + 0.15)]
