"""Background tasks that outlive a cancellation until their owner ends them.

When a relay's block is cancelled, its Refresh(0) still has to be sent and answered: the tasks
that do so must not be cancelled with the block, but after it. So each is shielded, and the
block's end, which always comes, cancels the shields.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import trio

from ice_client.turn.background import background_tasks


class ShieldedTasks:
    """Where tasks run; made by `shielded_tasks`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scopes: set[trio.CancelScope] = set()
        self._ended = False

    def start_soon(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a function that must not raise, until it returns or `end` is called."""

        async def run() -> None:
            with self.shielded():
                await function(*args)

        self._nursery.start_soon(run)

    async def start(self, function: Callable[..., Awaitable[object]], *args: object) -> Any:
        """Run a function as `trio.Nursery.start` does; it calls `shielded` once it has started."""
        return await self._nursery.start(function, *args)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Keep all cancellations but that of `end` away."""
        with trio.CancelScope(shield=True) as scope:
            if self._ended:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def end(self) -> None:
        """Cancel every task."""
        self._ended = True
        for scope in self._scopes:
            scope.cancel()


@contextlib.asynccontextmanager
async def shielded_tasks() -> AsyncIterator[ShieldedTasks]:
    """Run tasks for the length of the block, then cancel them; else as `background_tasks`."""
    async with background_tasks() as nursery:
        tasks = ShieldedTasks(nursery)
        try:
            yield tasks
        finally:
            tasks.end()
