"""Time for the cores: one timer for all of a transport's, and the wall clock for RTCP."""

from __future__ import annotations

import math
import time

import trio

_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


def ntp_offset() -> float:
    """Return seconds since 1900 at the zero of trio's clock, for sender reports."""
    return time.time() + _NTP_EPOCH - trio.current_time()


class Timer:
    """A deadline that moves with every packet, and one task that waits for it."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._wakes_at = math.inf
        self._moved = trio.Event()

    def set(self, deadline: float) -> None:
        """Move the deadline. Hot.

        The task is woken for an earlier one only: waking too early now and then costs less than
        being moved each time.
        """
        self._deadline = deadline
        if deadline < self._wakes_at:
            self._moved.set()

    async def wait(self) -> None:
        """Return when the deadline has come."""
        while True:
            self._moved = trio.Event()
            self._wakes_at = self._deadline
            with trio.move_on_at(self._wakes_at):
                await self._moved.wait()
            if trio.current_time() >= self._deadline:
                return
