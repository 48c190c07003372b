"""Every deadline of one client in one heap; a deadline that moved is found stale when it is due."""

from __future__ import annotations

import heapq
from collections.abc import Hashable


class Deadlines:
    """Deadlines by key, monotonic seconds."""

    def __init__(self) -> None:
        self._times: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._count = 0  # breaks ties, so that keys are never compared

    def set(self, key: Hashable, deadline: float | None) -> None:
        """Set or move a key's deadline; None removes it."""
        if deadline is None:
            self._times.pop(key, None)
            return
        self._times[key] = deadline
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, key))
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [entry for entry in self._heap if self._times.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def next(self) -> float | None:
        """Return the earliest deadline."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Hashable | None:
        """Remove and return a key whose deadline has come; None if there is none."""
        deadline = self.next()
        if deadline is None or deadline > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._times[key]
        return key

    def clear(self) -> None:
        """Forget them all."""
        self._times.clear()
        self._heap.clear()
