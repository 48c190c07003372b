"""Keeping the scheduler as it was, whatever a codec's library asks of it.

SVT-AV1 makes the thread that opens it, and all of its own, SCHED_FIFO with the highest priority
where the process is root's. A peer must not starve the machine, and what it starts would
inherit that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_TASKS = Path("/proc/self/task")
_REAL_TIME = {getattr(os, name) for name in ("SCHED_FIFO", "SCHED_RR") if hasattr(os, name)}


@contextlib.contextmanager
def ordinary_threads() -> Iterator[None]:
    """Undo what happens inside to the scheduling of this process's threads.

    A thread that had a real-time policy before keeps it; where there is no ``/proc``, nothing is
    undone.
    """
    before = _real_time_threads()
    try:
        yield
    finally:
        for thread in _real_time_threads() - before:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time_threads() -> set[int]:
    found = set()
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):
                if os.sched_getscheduler(int(task.name)) in _REAL_TIME:
                    found.add(int(task.name))
    return found
