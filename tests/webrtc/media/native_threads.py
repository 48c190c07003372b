"""Counts the process's threads, those that codecs made themselves too."""

from __future__ import annotations

import os

import trio


def count() -> int:
    return len(os.listdir("/proc/self/task"))


async def warmed_up() -> int:
    """Return how many there are, once trio has the one that it keeps for ten seconds."""
    await trio.to_thread.run_sync(lambda: None)
    return count()


async def assert_at_most(limit: int) -> None:
    """Who joined a thread may run again a moment before the kernel takes it off its list."""
    with trio.move_on_after(2):
        while count() > limit:
            await trio.lowlevel.checkpoint()
    assert count() <= limit
