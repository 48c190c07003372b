"""Codecs in threads: order, back-pressure, failures that stay where they are, and clean ends."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from tests.webrtc.media import native_threads
from tests.webrtc.media.pictures import FRAME_TICKS
from webrtc.media.codecs import VideoSettings, video_decoder, video_encoder
from webrtc.media.errors import MediaError
from webrtc.media.pattern import draw_pattern, read_pattern
from webrtc.media.worker import open_worker, video_decoder_worker, video_encoder_worker


def echo(value: int) -> list[int]:
    return [value]


async def test_pictures_go_through_encoder_and_decoder_in_order() -> None:
    counters = []
    async with (
        video_encoder_worker(video_encoder("VP8", VideoSettings(bit_rate=500_000))) as encoder,
        video_decoder_worker(video_decoder("VP8")) as decoder,
        trio.open_nursery() as nursery,
    ):

        async def feed() -> None:
            for n in range(30):
                await encoder.put(draw_pattern(n, 320, 240, n * FRAME_TICKS))
            encoder.finish()

        async def carry() -> None:
            async for frame in encoder:
                await decoder.put(frame)
            decoder.finish()

        nursery.start_soon(feed)
        nursery.start_soon(carry)
        async for result in decoder:
            for picture in result.frames:
                reading = read_pattern(picture)
                assert reading is not None
                counters.append(reading.counter)
    assert counters == list(range(30))


async def test_one_call_at_a_time_runs_outside_of_trios_thread() -> None:
    running = 0
    most = 0
    threads = set()

    def work(value: int) -> list[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threads.add(threading.get_ident())
        running -= 1
        return [value, -value]

    async with open_worker(work) as worker, trio.open_nursery() as nursery:

        async def feed() -> None:
            for value in range(1, 20):
                await worker.put(value)
            worker.finish()

        nursery.start_soon(feed)
        results = [value async for value in worker]
    assert results == [sign * value for value in range(1, 20) for sign in (1, -1)]
    assert most == 1
    assert threading.get_ident() not in threads


async def test_a_live_picture_is_dropped_when_the_codec_is_behind() -> None:
    go_on = threading.Event()

    def slow(value: int) -> list[int]:
        go_on.wait(5)
        return [value]

    async with open_worker(slow, queue_size=2) as worker:
        accepted = []
        for value in range(10):
            accepted.append(worker.offer(value))
            await trio.testing.wait_all_tasks_blocked()
        assert accepted == [True] * 3 + [False] * 7  # one in the thread, two that wait
        assert worker.dropped == 7
        go_on.set()
        worker.finish()
        assert [value async for value in worker] == [0, 1, 2]


async def test_put_waits_for_room() -> None:
    async with open_worker(echo, queue_size=1) as worker:
        with trio.move_on_after(0.05) as scope:
            for value in range(100):
                await worker.put(value)
        assert scope.cancelled_caught


async def test_a_codec_that_fails_tells_at_the_next_call_and_cancels_nobody() -> None:
    def fail(_: int) -> list[int]:
        raise RuntimeError("no more")

    async with open_worker(fail) as worker:
        await worker.put(1)
        with pytest.raises(MediaError, match="no more"):
            await anext(aiter(worker))
        with pytest.raises(MediaError, match="no more"):
            await worker.put(2)
        with pytest.raises(MediaError, match="no more"):
            worker.offer(3)
        await trio.lowlevel.checkpoint()


async def test_cancellation_waits_for_the_thread_and_closes_after_it() -> None:
    events = []
    entered = threading.Event()
    leave = threading.Event()

    def work(value: int) -> list[int]:
        entered.set()
        leave.wait(5)
        events.append("worked")
        return [value]

    async with trio.open_nursery() as nursery:

        async def use() -> None:
            async with open_worker(work, lambda: events.append("closed")) as worker:
                await worker.put(1)
                await trio.sleep_forever()

        nursery.start_soon(use)
        await trio.to_thread.run_sync(entered.wait, 5)
        nursery.cancel_scope.cancel()
        leave.set()
    assert events == ["worked", "closed"]


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264", "AV1"])
async def test_a_cancelled_encoder_leaves_no_thread(name: str) -> None:
    before = await native_threads.warmed_up()
    encoder = video_encoder(name, VideoSettings(threads=2))
    with trio.CancelScope() as scope:
        async with video_encoder_worker(encoder) as worker:
            for n in range(6):
                await worker.put(draw_pattern(n, 640, 480, n * FRAME_TICKS))
                await anext(aiter(worker))
            await worker.put(draw_pattern(6, 640, 480, 6 * FRAME_TICKS))
            scope.cancel()
            await anext(aiter(worker))
    assert scope.cancelled_caught
    await native_threads.assert_at_most(before)


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with open_worker(echo):
            raise KeyError("mine")


async def test_a_closed_worker_says_so() -> None:
    async with open_worker(echo) as worker:
        pass
    with pytest.raises(MediaError, match="closed"):
        await worker.put(1)
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(worker))
