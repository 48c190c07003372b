"""Sources are read by one task from beginning to end, whoever waits for their frames."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from webrtc.source_reader import SourceReader


async def numbers(end: int, tasks: set[object], closed: trio.Event) -> AsyncIterator[int]:
    try:
        for number in range(end):
            await trio.sleep(1)
            tasks.add(trio.lowlevel.current_task())
            yield number
        raise ValueError("no more")
    finally:
        closed.set()


async def test_who_gives_up_waiting_loses_no_frame(autojump_clock: trio.testing.MockClock) -> None:
    tasks: set[object] = set()
    closed = trio.Event()
    reader = SourceReader(numbers(3, tasks, closed))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        assert await anext(reader) == 0
        with trio.move_on_after(0.5):
            await anext(reader)
        assert await anext(reader) == 1
        assert await anext(reader) == 2
        with pytest.raises(ValueError, match="no more"):
            await anext(reader)
    assert len(tasks) == 1


async def test_a_reader_that_is_closed_closes_its_generator(
    autojump_clock: trio.testing.MockClock,
) -> None:
    closed = trio.Event()
    reader = SourceReader(numbers(3, set(), closed))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        assert await anext(reader) == 0
        await reader.close()
        assert closed.is_set()
        with pytest.raises(StopAsyncIteration):
            await anext(reader)
