"""What a track was like at its source and where it was played: numbers for `webrtc.stats`."""

from __future__ import annotations

import math
from collections import deque

import trio

from webrtc.media.frames import AudioFrame, VideoFrame

MAX_RATE = 256
"""Frames per second that are told apart."""
FREEZE_FACTOR = 3
FREEZE_AT_LEAST = 0.15
"""W3C webrtc-stats, freezeCount: a picture that comes after thrice the usual time, or 150 ms more
than that time, ends a freeze."""
USUAL_OF = 30
"""Pictures whose mean interval is the usual one."""


class SourceMeter:
    """Of what a sender's source gives.

    Attributes:
        frames: pictures.
        width: of the last picture.
        height: likewise.
        level: of the last sound, 0 to 1.
        energy: sum of squared levels by their seconds.
        duration: seconds of sound.

    """

    def __init__(self) -> None:
        self.frames = 0
        self.width: int | None = None
        self.height: int | None = None
        self.level: float | None = None
        self.energy = 0.0
        self.duration = 0.0
        self._seen_at: deque[float] = deque(maxlen=MAX_RATE)
        self._unheard = 0.0

    def see(self, frame: VideoFrame) -> None:
        """Count a picture."""
        self.frames += 1
        self.width, self.height = frame.width, frame.height
        self._seen_at.append(trio.current_time())

    def hear(self, frame: AudioFrame) -> None:
        """Count sound; how loud it was comes from the encoder, which has measured it."""
        self.duration += frame.duration
        self._unheard += frame.duration

    def hear_level(self, level_dbov: int) -> None:
        """Take the level of what was heard last, as RFC 6464 has it."""
        self.level = 10 ** (-level_dbov / 20)
        self.energy += self.level**2 * self._unheard
        self._unheard = 0.0

    @property
    def frames_per_second(self) -> int:
        """Pictures of the last second."""
        since = trio.current_time() - 1
        return sum(at > since for at in self._seen_at)


class PlaybackMeter:
    """Of what a receiver's reader is given.

    Attributes:
        frames: pictures.
        width: of the last picture.
        height: likewise.
        freezes: pictures that came far too late.
        frozen: seconds that these took.
        intervals: seconds between pictures, in sum.
        squared_intervals: the sum of their squares.
        decode_time: seconds of decoding.
        waited: seconds from the arrival of frames to their playing, in sum of frames or samples.
        emitted: frames (video) or samples (audio) in that sum.
        samples: of sound.
        duration: seconds of sound.
        energy: sum of squared levels by their seconds.
        level: of the last sound, 0 to 1.

    """

    def __init__(self) -> None:
        self.frames = 0
        self.width: int | None = None
        self.height: int | None = None
        self.freezes = 0
        self.frozen = self.intervals = self.squared_intervals = 0.0
        self.decode_time = self.waited = 0.0
        self.emitted = self.samples = 0
        self.duration = self.energy = 0.0
        self.level: float | None = None
        self._shown_at: deque[float] = deque(maxlen=MAX_RATE)
        self._last: deque[float] = deque(maxlen=USUAL_OF)

    def show(self, frame: VideoFrame, received_at: float, now: float) -> None:
        """Count a picture that is to be seen now."""
        if self._shown_at:
            self._count_interval(now - self._shown_at[-1])
        self._shown_at.append(now)
        self.frames += 1
        self.width, self.height = frame.width, frame.height
        self.waited += max(now - received_at, 0.0)
        self.emitted += 1

    def _count_interval(self, interval: float) -> None:
        self.intervals += interval
        self.squared_intervals += interval * interval
        if len(self._last) >= 2:
            usual = sum(self._last) / len(self._last)
            if interval >= max(FREEZE_FACTOR * usual, usual + FREEZE_AT_LEAST):
                self.freezes += 1
                self.frozen += interval
        self._last.append(interval)

    def play(self, frame: AudioFrame, received_at: float, now: float) -> None:
        """Count sound that is to be heard now."""
        self.samples += frame.count
        self.emitted += frame.count
        self.waited += max(now - received_at, 0.0) * frame.count
        self.duration += frame.duration
        level = frame.level_dbov
        self.level = 10 ** (-level / 20)
        self.energy += math.pow(self.level, 2) * frame.duration

    @property
    def frames_per_second(self) -> int:
        """Pictures of the last second."""
        since = trio.current_time() - 1
        return sum(at > since for at in self._shown_at)
