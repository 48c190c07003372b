"""A token bucket of payload bytes (quota.bandwidth_per_allocation, quota.bandwidth_total)."""

from __future__ import annotations


class TokenBucket:
    """Lets `rate` bytes per second pass, and a second's worth at once after silence.

    Args:
        rate: bytes per second; 0 for no limit.
        now: monotonic seconds.

    """

    __slots__ = ("_rate", "_tokens", "_updated")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._updated = now

    def take(self, size: int, now: float) -> bool:
        """Take `size` bytes' tokens; False, and none taken, when there are too few. Hot."""
        if not self._rate:
            return True
        tokens = min(self._tokens + (now - self._updated) * self._rate, self._rate)
        self._updated = now
        self._tokens = tokens - size if tokens >= size else tokens
        return tokens >= size
