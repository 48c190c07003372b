"""One timer structure for everything that ends by itself: a heap with lazy entries.

A deadline that moves later, as with every Refresh, costs a dictionary write and
nothing else: its old heap entry is looked at again when it comes up.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

K = TypeVar("K")


class Deadlines(Generic[K]):
    """Deadlines (monotonic seconds) by key."""

    def __init__(self) -> None:
        self._deadlines: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._entries: dict[K, float] = {}  # the heap's earliest entry of each key
        self._count = 0  # breaks ties: keys need no order

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: K, deadline: float) -> None:
        """Give `key` a deadline, or another one."""
        self._deadlines[key] = deadline
        entry = self._entries.get(key)
        if entry is None or deadline < entry:
            self._push(key, deadline)

    def discard(self, key: K) -> None:
        """Forget `key`; nothing happens if it is not known."""
        self._deadlines.pop(key, None)
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._deadlines):
            self._rebuild()

    def next(self) -> float | None:
        """Return when to look again: never later than the earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[K]:
        """Remove and return the keys whose deadline has come, in order of deadlines."""
        due: list[tuple[float, K]] = []
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._entries.get(key) == when:
                del self._entries[key]
            deadline = self._deadlines.get(key)
            if deadline is None:
                continue
            if deadline <= now:
                del self._deadlines[key]
                due.append((deadline, key))
            elif key not in self._entries:
                self._push(key, deadline)
        # An entry may have come up late: its deadline had moved, though not past `now`.
        due.sort(key=lambda entry: entry[0])
        return [key for _, key in due]

    def _push(self, key: K, deadline: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, key))
        self._entries[key] = deadline

    def _rebuild(self) -> None:
        self._entries = dict(self._deadlines)
        self._heap = [(when, index, key) for index, (key, when) in enumerate(self._entries.items())]
        self._count = len(self._heap)
        heapq.heapify(self._heap)
