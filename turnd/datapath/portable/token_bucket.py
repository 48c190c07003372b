"""A token bucket of payload bytes (quota.bandwidth_per_allocation, quota.bandwidth_total)."""

from __future__ import annotations


class TokenBucket:
    """Lets `rate` bytes per second pass, and a second's worth at once after silence.

    A packet larger than a second's worth passes when the bucket is full, and leaves a debt
    that the time after it pays: a low limit slows large packets down, but does not bar them.

    Args:
        rate: bytes per second, more than 0.
        now: monotonic seconds.

    """

    __slots__ = ("_tokens", "_updated", "rate")

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate)
        self._updated = now

    def take(self, size: int, now: float) -> bool:
        """Take `size` bytes' tokens; False, and none taken, when there are too few. Hot."""
        tokens = min(self._tokens + (now - self._updated) * self.rate, float(self.rate))
        self._updated = now
        passes = tokens >= min(size, self.rate)
        self._tokens = tokens - size if passes else tokens
        return passes

    def give_back(self, size: int) -> None:
        """Undo `take`: the packet went nowhere for another reason."""
        self._tokens += size


def bucket_of(rate: int, now: float) -> TokenBucket | None:
    """Return a full bucket, or None where a rate of 0 stands for no limit."""
    return TokenBucket(rate, now) if rate else None
