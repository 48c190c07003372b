"""A bandwidth limit for byte streams: whoever is too fast is told how long to wait.

Datagrams over the limit are dropped (`turnd/datapath`); a stream's bytes can't be, so
its source is read later and TCP's own flow control slows the sender down.
"""

from __future__ import annotations

_BURST = 1.0
"""Seconds of full rate that may go at once after a pause."""


class Pace:
    """A token bucket that may go into debt.

    Args:
        rate: bytes per second, 0 for no limit; may be changed later.
        now: monotonic seconds.

    """

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._tokens = rate * _BURST
        self._updated_at = now

    def delay(self, size: int, now: float) -> float:
        """Take `size` bytes out; return the seconds to wait before passing them on."""
        if not self.rate:
            return 0.0
        refilled = self._tokens + (now - self._updated_at) * self.rate
        self._tokens = min(refilled, self.rate * _BURST) - size
        self._updated_at = now
        return max(0.0, -self._tokens / self.rate)
