"""Which TSNs have come: the cumulative TSN, gap ack blocks, duplicates (RFC 9260 §6.2)."""

from __future__ import annotations

from bisect import bisect_right

MAX_AHEAD = 0xFFFF
"""A gap ack block cannot name a TSN further from the cumulative one (RFC 9260 §3.3.4)."""
_MAX_DUPLICATES = 16


class ReceivedTsns:
    """A set of TSNs, most of them one run.

    Args:
        cumulative: the TSN before the first.

    Attributes:
        cumulative: everything up to this TSN has come.
        duplicates: TSNs to report, a bounded number.

    """

    __slots__ = ("_ends", "_starts", "cumulative", "duplicates")

    def __init__(self, cumulative: int) -> None:
        self.cumulative = cumulative
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.duplicates: list[int] = []

    @property
    def highest(self) -> int:
        """The highest TSN that has come."""
        return self._ends[-1] if self._ends else self.cumulative

    @property
    def has_gaps(self) -> bool:
        """Whether something is missing below `highest`."""
        return bool(self._starts)

    def gaps(self, limit: int) -> list[tuple[int, int]]:
        """Return up to `limit` gap ack blocks as offsets from the cumulative TSN."""
        base = self.cumulative
        blocks = zip(self._starts[:limit], self._ends, strict=False)
        return [(start - base, end - base) for start, end in blocks]

    def __contains__(self, tsn: int) -> bool:
        if tsn <= self.cumulative:
            return True
        at = bisect_right(self._starts, tsn) - 1
        return at >= 0 and tsn <= self._ends[at]

    def add(self, tsn: int) -> bool:
        """Take in a TSN; return False, and note a duplicate, if it came before. Hot."""
        starts = self._starts
        if tsn == self.cumulative + 1:
            self.cumulative = tsn
            if starts and starts[0] == tsn + 1:
                self._close_gap()
            return True
        if tsn in self:
            if len(self.duplicates) < _MAX_DUPLICATES:
                self.duplicates.append(tsn)
            return False
        ends = self._ends
        at = bisect_right(starts, tsn)
        joins_left = at > 0 and ends[at - 1] == tsn - 1
        joins_right = at < len(starts) and starts[at] == tsn + 1
        if joins_left and joins_right:
            ends[at - 1] = ends[at]
            del starts[at], ends[at]
        elif joins_left:
            ends[at - 1] = tsn
        elif joins_right:
            starts[at] = tsn
        else:
            starts.insert(at, tsn)
            ends.insert(at, tsn)
        return True

    def advance(self, cumulative: int) -> bool:
        """Count everything up to a TSN as come (RFC 3758 §3.6); return whether that was news."""
        if cumulative <= self.cumulative:
            return False
        self.cumulative = cumulative
        while self._starts and self._starts[0] <= cumulative + 1:
            self._close_gap()
        return True

    def _close_gap(self) -> None:
        self.cumulative = max(self.cumulative, self._ends[0])
        del self._starts[0], self._ends[0]
