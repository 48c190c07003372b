"""Sources give the right frames at the right time: virtual time, so that seconds cost nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trio
import trio.testing

from webrtc.media.convert import to_rgb
from webrtc.media.frames import VideoFrame
from webrtc.media.pacing import Pacer
from webrtc.media.pattern import read_pattern
from webrtc.media.sinks import BlackHole, pump
from webrtc.media.sources import ArrayAudio, ArrayVideo, FrameQueue, PatternVideo, ToneAudio
from webrtc.media.tone import read_tone


def counter_of(frame: VideoFrame) -> int:
    reading = read_pattern(frame)
    assert reading is not None
    return reading.counter


async def test_pictures_come_when_their_pts_says(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    count = 0
    async for frame in PatternVideo(64, 64, 25, count=100):
        assert trio.current_time() - began == pytest.approx(frame.time, abs=1e-4)
        assert counter_of(frame) == count
        count += 1
    assert count == 100
    assert trio.current_time() - began == pytest.approx(4)  # the last one had its time too


@pytest.mark.parametrize("rate", [30000 / 1001, 12.5])
async def test_odd_frame_rates_do_not_drift(
    rate: float, autojump_clock: trio.testing.MockClock
) -> None:
    frames = [frame async for frame in PatternVideo(64, 64, rate, count=1000, paced=False)]
    assert frames[-1].time == pytest.approx(999 / rate, abs=1e-4)
    assert trio.current_time() == 0


async def test_a_camera_leaves_out_what_nobody_was_in_time_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = PatternVideo(64, 64, 10)
    assert counter_of(await anext(source)) == 0
    await trio.sleep(5.05)
    assert counter_of(await anext(source)) == 50
    # ... and is in time again with the next.
    frame = await anext(source)
    assert counter_of(frame) == 51
    assert trio.current_time() == pytest.approx(5.1)


async def test_sound_catches_up_what_it_missed(autojump_clock: trio.testing.MockClock) -> None:
    source = ToneAudio(440, rate=48_000, channels=2)
    frames = [await anext(source)]
    await trio.sleep(0.2)
    before = trio.current_time()
    frames += [await anext(source) for _ in range(10)]
    assert trio.current_time() == before
    frames += [await anext(source) for _ in range(90)]
    assert trio.current_time() == pytest.approx(2.0)
    assert [frame.pts for frame in frames] == [960 * n for n in range(101)]
    reading = read_tone(*frames)
    assert reading.frequency == pytest.approx(440, abs=0.1)
    assert reading.purity > 0.999


async def test_a_tone_can_end(autojump_clock: trio.testing.MockClock) -> None:
    hole = BlackHole()
    await pump(ToneAudio(duration=1), hole)
    assert hole.count == 50


async def test_a_pacer_goes_on_from_where_it_is_much_too_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pacer = Pacer(max_lateness=0.5)
    assert await pacer.wait_until(100.0) == 0  # the first is now, whatever its time
    await trio.sleep(3)
    assert await pacer.wait_until(101.0) == pytest.approx(2)
    now = trio.current_time()
    assert await pacer.wait_until(101.5) == 0
    assert trio.current_time() - now == pytest.approx(0.5)


async def test_streams_of_one_pacer_stay_together(autojump_clock: trio.testing.MockClock) -> None:
    pacer = Pacer()
    times: dict[str, float] = {}

    async def play(name: str, step: float) -> None:
        for index in range(round(2 / step) + 1):
            await pacer.wait_until(index * step)
        times[name] = trio.current_time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, "video", 0.04)
        nursery.start_soon(play, "audio", 0.02)
    assert times["video"] == pytest.approx(times["audio"])


@pytest.mark.parametrize("lateness", [-1, math.nan])
def test_a_pacer_refuses_nonsense(lateness: float) -> None:
    with pytest.raises(ValueError, match="lateness"):
        Pacer(lateness)


async def test_arrays_become_pictures_and_arrays_again() -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    arrays = [np.full((48, 64, 3), colour, np.uint8) for colour in colours]
    frames = [frame async for frame in ArrayVideo(arrays, 10, paced=False)]
    assert [frame.pts for frame in frames] == [0, 9000, 18000]
    for frame, colour in zip(frames, colours, strict=True):
        assert np.abs(to_rgb(frame).astype(int) - colour).max() <= 3


async def test_arrays_become_sound_at_their_time(autojump_clock: trio.testing.MockClock) -> None:
    arrays = [np.full(80 * n, n, np.int16) for n in (1, 2, 3)]
    frames = [frame async for frame in ArrayAudio(arrays, 8_000)]
    assert [frame.pts for frame in frames] == [0, 80, 240]
    assert [frame.channels for frame in frames] == [1, 1, 1]
    assert trio.current_time() == pytest.approx(0.03)


async def test_a_queue_keeps_the_newest_frames() -> None:
    queue: FrameQueue[int] = FrameQueue(3)
    for value in range(10):
        await queue.write(value)
    queue.close()
    queue.put(99)
    assert [value async for value in queue] == [7, 8, 9]
    assert queue.dropped == 8


async def test_a_queue_wakes_its_reader() -> None:
    queue: FrameQueue[int] = FrameQueue()
    got = []

    async def read() -> None:
        got.append(await anext(queue))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        queue.put(1)
        await trio.testing.wait_all_tasks_blocked()
        assert got == [1]
