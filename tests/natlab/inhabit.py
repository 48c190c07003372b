"""Trio tasks that live in a namespace: code that opens sockets as it likes, unchanged.

`with inhabiting(net["alice"]): ...` moves the task, and the tasks it starts in the block, to
alice's namespace: whenever one of them runs, the thread is there, and at home again for
everybody else's turn. So agents of many hosts run in one process, each of which finds the
interfaces and routes of its own host.

Worker threads are not tasks: one that was started on such a task's turn would stay in the
namespace, wait for work in trio's cache, and run somebody else's program there. The block
raises at its end if there is one. Programs are run with `Namespace.command`, outside.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator

import attrs
import trio

from tests.natlab.namespace import LabError, Namespace

_namespace: contextvars.ContextVar[Namespace | None] = contextvars.ContextVar(
    "natlab_namespace", default=None
)


@attrs.define(eq=False)
class _Mover(trio.abc.Instrument):
    """Moves the thread before and after every step of a task."""

    _stay: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        namespace = task.context.get(_namespace)
        if namespace is not None:
            self.move(namespace)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.move(None)

    def move(self, namespace: Namespace | None) -> None:
        """Go to a namespace, or home with None."""
        self._stay.close()
        if namespace is not None:
            self._stay.enter_context(namespace.entered())


_mover: trio.lowlevel.RunVar[_Mover] = trio.lowlevel.RunVar("natlab_mover")


def _mover_of_this_run() -> _Mover:
    try:
        return _mover.get()
    except LookupError:
        mover = _Mover()
        trio.lowlevel.add_instrument(mover)
        _mover.set(mover)
        return mover


@contextlib.contextmanager
def inhabiting(namespace: Namespace) -> Iterator[None]:
    """Let the current task, and those it starts in the block, live in a namespace.

    A nursery that was opened outside of the block starts its tasks where `start_soon` is
    called. Blocks nest; the inner one counts.

    Raises:
        LabError: a thread was started in the block and is still in the namespace.

    """
    mover = _mover_of_this_run()
    token = _namespace.set(namespace)
    mover.move(namespace)
    try:
        yield
    finally:
        _namespace.reset(token)
        mover.move(_namespace.get())
    threads = _threads_in(namespace)
    if threads:
        raise LabError(f"worker threads were started in a namespace, and stay there: {threads}")


def _threads_in(namespace: Namespace) -> list[str]:
    """Return the ids of this process's other threads that are in a namespace."""
    inode, threads = namespace.inode, []
    for thread in os.listdir("/proc/self/task"):
        # One that has just ended is in none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.stat(f"/proc/self/task/{thread}/ns/net").st_ino == inode:
                threads.append(thread)
    return [] if _namespace.get() is namespace else threads
