"""The one timer task of a transport: deadlines in `turnd.core.deadlines`, a task that waits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from turnd.core.deadlines import Deadlines

K = TypeVar("K")


class Timer(Generic[K]):
    """Calls back when a key's deadline (trio's clock, seconds) has come."""

    def __init__(self) -> None:
        self._deadlines: Deadlines[K] = Deadlines()
        self._wake = trio.Event()

    def set(self, key: K, deadline: float) -> None:
        """Give `key` a deadline, or another one."""
        soonest = self._deadlines.next()
        self._deadlines.set(key, deadline)
        if soonest is None or deadline < soonest:
            self._wake.set()

    def discard(self, key: K) -> None:
        """Forget `key`; nothing happens if it is not known."""
        self._deadlines.discard(key)

    async def run(self, on_deadline: Callable[[K], None]) -> None:
        """Call `on_deadline`, which must not raise, for every key that is due; never return."""
        while True:
            for key in self._deadlines.pop_due(trio.current_time()):
                on_deadline(key)
            soonest = self._deadlines.next()
            self._wake = trio.Event()
            with trio.move_on_at(math.inf if soonest is None else soonest):
                await self._wake.wait()
