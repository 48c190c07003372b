"""Tracks that can be recognised at the far end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction

import trio

from webrtc import RtpReceiver
from webrtc.media.frames import AudioFrame, VideoFrame
from webrtc.media.pattern import PatternReading, draw_pattern, read_pattern
from webrtc.media.tone import ToneReading, draw_tone, read_tone

FRAME_RATE = 20
PACKET_TIME = 0.02
RATE = 48_000


async def pictures(
    first: int = 0, width: int = 320, height: int = 240
) -> AsyncIterator[VideoFrame]:
    """The test pattern in real time, counting from `first`."""
    began = trio.current_time()
    number = 0
    while True:
        yield draw_pattern(first + number, width, height, number, Fraction(1, FRAME_RATE))
        number += 1
        await trio.sleep_until(began + number / FRAME_RATE)


async def tone(frequency: float) -> AsyncIterator[AudioFrame]:
    """A sine in real time."""
    began = trio.current_time()
    number = 0
    count = round(PACKET_TIME * RATE)
    while True:
        yield draw_tone(frequency, number * count, count, rate=RATE)
        number += 1
        await trio.sleep_until(began + number * PACKET_TIME)


async def watch(receiver: RtpReceiver, count: int) -> list[PatternReading]:
    """Read patterns until there are so many; pictures without one don't count."""
    readings = []
    async for frame in receiver:
        assert isinstance(frame, VideoFrame)
        reading = read_pattern(frame)
        if reading is not None:
            readings.append(reading)
        if len(readings) == count:
            break
    return readings


async def listen(receiver: RtpReceiver, seconds: float = 0.4) -> ToneReading:
    """Skip what may be quiet at first, then read the strongest tone."""
    frames: list[AudioFrame] = []
    async for frame in receiver:
        assert isinstance(frame, AudioFrame)
        if not frames and frame.level_dbov > 60:
            continue
        frames.append(frame)
        if sum(each.duration for each in frames) >= seconds + 0.2:
            break
    skip = round(0.2 / frames[0].duration)
    return read_tone(*frames[skip:])
