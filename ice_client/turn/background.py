"""A nursery for background tasks that leaves the block's own exceptions as they are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio


@contextlib.asynccontextmanager
async def background_tasks() -> AsyncIterator[trio.Nursery]:
    """Run tasks for the length of the block, then cancel them.

    What the block raises is raised as it is, not in an exception group: the tasks are no
    business of the caller's, and must not raise.
    """
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
