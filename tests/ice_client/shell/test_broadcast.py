"""Iterators over what happens: each its own, bounded, ended with their source."""

from __future__ import annotations

import gc

import trio
import trio.testing

from ice_client.broadcast import MEMORY, Broadcast
from ice_client.pending import Pending


async def test_every_reader_gets_what_comes_after_it_began() -> None:
    source: Broadcast[int] = Broadcast()
    first = source.subscribe()
    source.publish(1)
    second = source.subscribe()
    source.publish(2)
    source.close()
    assert [each async for each in first] == [1, 2]
    assert [each async for each in second] == [2]


async def test_a_reader_that_waits_is_woken() -> None:
    source: Broadcast[int] = Broadcast()
    reader = source.subscribe()
    got = []

    async def read() -> None:
        got.append(await anext(reader))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        source.publish(7)
    assert got == [7]


async def test_a_reader_far_behind_loses_the_oldest() -> None:
    source: Broadcast[int] = Broadcast()
    reader = source.subscribe()
    for number in range(MEMORY + 5):
        source.publish(number)
    source.close()
    assert [each async for each in reader] == list(range(5, MEMORY + 5))


async def test_a_reader_that_nobody_has_is_forgotten() -> None:
    source: Broadcast[int] = Broadcast()
    source.subscribe()
    gc.collect()
    assert len(source.readers) == 0


def test_tickets_call_once_when_the_last_is_closed() -> None:
    calls: list[None] = []
    pending = Pending(lambda: calls.append(None))
    one, other = pending.open(), pending.open()
    one.close()
    one.close()
    assert calls == []
    with other:
        pass
    assert len(calls) == 1
