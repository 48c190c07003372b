"""A simulated path on virtual time: delay, jitter, loss and a bottleneck with a queue, by seed."""

from __future__ import annotations

import heapq
import random
from typing import Generic, TypeVar

import attrs

Item = TypeVar("Item")


@attrs.define
class Path(Generic[Item]):
    """One direction. Packets of a bottleneck keep their order; jitter alone reorders them."""

    seed: int = 0
    delay: float = 0.05
    jitter: float = 0.0
    loss: float = 0.0
    bitrate_bps: float | None = None
    queue_time: float = 0.3
    _random: random.Random = attrs.field(init=False)
    _free_at: float = 0.0
    _flight: list[tuple[float, int, Item]] = attrs.field(init=False, factory=list)
    _count: int = 0
    lost: int = 0
    overflowed: int = 0

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def send(self, item: Item, size_bytes: int, now: float) -> None:
        if self._random.random() < self.loss:
            self.lost += 1
            return
        leaves = now
        if self.bitrate_bps is not None:
            starts = max(now, self._free_at)
            if starts - now > self.queue_time:
                self.overflowed += 1
                return
            leaves = self._free_at = starts + 8 * size_bytes / self.bitrate_bps
        arrives = leaves + self.delay + self._random.random() * self.jitter
        self._count += 1
        heapq.heappush(self._flight, (arrives, self._count, item))

    def next_deadline(self) -> float | None:
        return self._flight[0][0] if self._flight else None

    def take(self, now: float) -> list[Item]:
        out = []
        while self._flight and self._flight[0][0] <= now:
            out.append(heapq.heappop(self._flight)[2])
        return out
