"""When to ask for a key frame: soon, and not so often that the answers choke the path."""

from __future__ import annotations

GRACE = 0.2
"""Seconds that a new stream has for its first key frame, which mostly comes by itself."""
MIN_INTERVAL = 0.3
MAX_INTERVAL = 3.0


class KeyFrameRequests:
    """Of one stream.

    Attributes:
        sent: how many were sent.

    """

    def __init__(self) -> None:
        self.sent = 0
        self._wanted_at: float | None = None
        self._interval = MIN_INTERVAL

    def want(self, now: float, *, is_new_stream: bool = False) -> None:
        """Ask, until `satisfy`."""
        if self._wanted_at is None:
            self._wanted_at = now + (GRACE if is_new_stream else 0.0)

    def satisfy(self) -> None:
        """Stop asking: one came."""
        self._wanted_at = None
        self._interval = MIN_INTERVAL

    def next_deadline(self) -> float | None:
        """Return when the next request is due."""
        return self._wanted_at

    def take(self, now: float, round_trip_time: float) -> bool:
        """Return whether to send a request now; the wait for the next one doubles."""
        if self._wanted_at is None or now < self._wanted_at:
            return False
        self._wanted_at = now + self._interval + round_trip_time
        self._interval = min(2 * self._interval, MAX_INTERVAL)
        self.sent += 1
        return True
