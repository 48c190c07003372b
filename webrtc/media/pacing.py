"""Gives frames out at the time that their pts says, on trio's clock."""

from __future__ import annotations

import math

import trio

MAX_LATENESS = 0.5
"""Seconds; whoever is later than that goes on from there instead of hurrying after."""


class Pacer:
    """Ties a time line of seconds to trio's clock, at the first call.

    Streams that belong together share one, and so stay together: also when one of them is late.
    Deadlines are absolute: a wait that took too long makes the next one shorter.
    """

    def __init__(self, max_lateness: float = MAX_LATENESS) -> None:
        """Make one; `max_lateness` may be infinite, for sources that skip what they missed."""
        if max_lateness < 0 or math.isnan(max_lateness):
            raise ValueError(f"lateness of {max_lateness}")
        self._max_lateness = max_lateness
        self._zero: float | None = None

    async def wait_until(self, time: float) -> float:
        """Wait until `time` on the time line; return by how many seconds it is over."""
        now = trio.current_time()
        if self._zero is None:
            self._zero = now - time
        late = now - (self._zero + time)
        if late < 0:
            await trio.sleep_until(self._zero + time)
            return max(trio.current_time() - (self._zero + time), 0.0)
        if late > self._max_lateness:
            self._zero += late
        await trio.lowlevel.checkpoint()
        return late
