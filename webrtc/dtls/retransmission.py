"""When a flight is sent again (RFC 6347 §4.2.4), by our clock.

OpenSSL's timer starts at a second and cannot be told otherwise. So the flight it wrote is kept
and sent again much earlier. But only OpenSSL can write its Finished anew under a new record
number, and a peer that has finished already answers no other. So it is asked as well, when its
own timer should have run out.
"""

from __future__ import annotations

from collections.abc import Sequence

_OPENSSL_TIMEOUT = 1.0
_OPENSSL_SLACK = 0.01
_IDENTITY = slice(13, 22)
"""Of a flight: type, length, message_seq and offset in its first record's first fragment."""


class FlightTimer:
    """The flight that is to be answered, and when to send it again.

    Args:
        initial_timeout: seconds before the first repetition.
        max_timeout: seconds to which the doubling goes.

    """

    def __init__(self, initial_timeout: float, max_timeout: float) -> None:
        self.flight: Sequence[bytes] = ()
        self._initial_timeout = initial_timeout
        self._max_timeout = max_timeout
        self._timeout = initial_timeout
        self._deadline: float | None = None
        self._openssl_timeout = _OPENSSL_TIMEOUT
        self._openssl_deadline: float | None = None

    def begin(self, flight: Sequence[bytes], now: float) -> bool:
        """Keep a flight that has just been sent; False if it is the one we had, written anew."""
        is_new = not self.flight or flight[0][_IDENTITY] != self.flight[0][_IDENTITY]
        self.flight = flight
        if is_new:
            self._timeout = self._initial_timeout
            self._openssl_timeout = _OPENSSL_TIMEOUT
            self._openssl_deadline = now + _OPENSSL_TIMEOUT + _OPENSSL_SLACK
            self._deadline = now + self._timeout
        return is_new

    def stop(self) -> None:
        """Repeat it no more: it was answered, or is given up."""
        self._deadline = self._openssl_deadline = None

    def forget(self) -> None:
        """Stop, and keep no flight."""
        self.stop()
        self.flight = ()

    def postpone(self, now: float) -> None:
        """Wait twice as long for the next time: the flight has just been sent again."""
        if self._deadline is not None:
            self._timeout = min(2 * self._timeout, self._max_timeout)
            self._deadline = now + self._timeout

    def due(self, now: float) -> bool:
        """Whether to send the flight again."""
        return self._deadline is not None and now >= self._deadline

    def openssl_due(self, now: float) -> bool:
        """Whether to ask OpenSSL to; it doubles its timeout then."""
        if self._openssl_deadline is None or now < self._openssl_deadline:
            return False
        self._openssl_timeout *= 2
        self._openssl_deadline = now + self._openssl_timeout + _OPENSSL_SLACK
        return True

    def next_deadline(self) -> float | None:
        """When either is due."""
        deadlines = [d for d in (self._deadline, self._openssl_deadline) if d is not None]
        return min(deadlines, default=None)
