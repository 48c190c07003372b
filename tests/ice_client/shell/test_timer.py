"""A deadline that moves, and the task that waits for it."""

import math

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ice_client.timer import Timer


async def test_it_wakes_at_the_deadline_wherever_that_was_moved(autojump_clock: MockClock) -> None:
    timer, woken = Timer(), list[float]()

    async def wait() -> None:
        while True:
            await timer.wait()
            woken.append(round(trio.current_time() - began, 6))
            timer.set(math.inf)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        timer.set(began + 5)  # before anybody waits
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        timer.set(began + 2)  # earlier
        await trio.sleep(3)
        assert woken == [2]
        timer.set(began + 4)
        timer.set(began + 9)  # later: the alarm for 4 comes, and is none
        await trio.sleep(3)
        assert woken == [2]
        await trio.sleep(4)
        assert woken == [2, 9]
        timer.set(began)  # in the past
        await trio.sleep(1)
        assert woken == [2, 9, 10]
        nursery.cancel_scope.cancel()
