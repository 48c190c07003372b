"""A deadline that moves often, and the one task that waits for it."""

from __future__ import annotations

import math

import trio


class Timer:
    """Wakes its task at a deadline, however often that is moved."""

    __slots__ = ("_deadline", "_scope", "_wakes_at")

    def __init__(self) -> None:
        self._deadline = math.inf
        self._wakes_at = math.inf
        self._scope: trio.CancelScope | None = None

    def set(self, deadline: float) -> None:
        """Move the deadline; infinity for none. Hot.

        The alarm is moved for an earlier deadline only: waking too early now and then costs less
        than moving it each time.
        """
        self._deadline = deadline
        if deadline < self._wakes_at:
            self._wakes_at = deadline
            if self._scope is not None:
                self._scope.deadline = deadline

    async def wait(self) -> None:
        """Return when the deadline has come."""
        while True:
            self._wakes_at = self._deadline
            with trio.CancelScope(deadline=self._wakes_at) as self._scope:
                await trio.sleep_forever()
            self._scope = None
            if trio.current_time() >= self._deadline:
                return
