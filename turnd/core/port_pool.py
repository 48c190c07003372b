"""Relay ports of one IP address, handed out at random (RFC 6056 §3.3.1, RFC 8656 §7.2)."""

from __future__ import annotations

from array import array
from collections.abc import Callable

RandomBelow = Callable[[int], int]
"""A cryptographically random whole number in [0, n), as `secrets.randbelow`."""

_PAIR_TRIES = 32


class PortPool:
    """The ports of one relay IP address that no allocation or reservation holds.

    Taking and giving back cost the same however many are taken: free ports stand in
    an array without order, and each port knows its place in it.
    """

    def __init__(self, low: int, high: int, random_below: RandomBelow) -> None:
        self._low = low
        self._random_below = random_below
        self._free = array("H", range(low, high + 1))
        self._place = array("l", range(len(self._free)))

    def __len__(self) -> int:
        return len(self._free)

    def take(self) -> int | None:
        """Take a random free port; None when none is left."""
        if not self._free:
            return None
        port = self._free[self._random_below(len(self._free))]
        self._remove(port)
        return port

    def take_even(self, *, with_next: bool) -> int | None:
        """Take a random free even port, and the next-higher one with it if asked.

        Returns:
            the even port, or None when there is no such port (pair).

        """
        count = len(self._free)
        for _ in range(min(_PAIR_TRIES, count)):
            port = self._free[self._random_below(count)]
            if self._fits(port, with_next):
                return self._take_run(port, with_next)
        # Nearly full: look at every port once, from a random one on.
        start = self._random_below(count) if count else 0
        for index in range(count):
            port = self._free[(start + index) % count]
            if self._fits(port, with_next):
                return self._take_run(port, with_next)
        return None

    def take_this(self, port: int) -> bool:
        """Take that port; False when it is not free or not of this pool."""
        if not self._is_free(port):
            return False
        self._remove(port)
        return True

    def give_back(self, port: int) -> None:
        """Make a taken port free again; one that is free, or not of this pool, stays as it is."""
        if not 0 <= port - self._low < len(self._place) or self._is_free(port):
            return
        self._place[port - self._low] = len(self._free)
        self._free.append(port)

    def _fits(self, port: int, with_next: bool) -> bool:
        return port % 2 == 0 and (not with_next or self._is_free(port + 1))

    def _take_run(self, port: int, with_next: bool) -> int:
        self._remove(port)
        if with_next:
            self._remove(port + 1)
        return port

    def _is_free(self, port: int) -> bool:
        index = port - self._low
        return 0 <= index < len(self._place) and self._place[index] >= 0

    def _remove(self, port: int) -> None:
        place = self._place[port - self._low]
        last = self._free.pop()
        if last != port:
            self._free[place] = last
            self._place[last - self._low] = place
        self._place[port - self._low] = -1
