"""One data stream's check list: its pairs in order, and the triggered-check queue.

RFC 8445 §6.1.2 and §6.1.4. What concerns several lists is in `check_list_set`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from ice_client.core.pair import CandidatePair
from ice_client.core.statistics import PairState


def check_order(pair: CandidatePair) -> tuple[int, int]:
    """Sort key: highest priority first, then the lowest component (RFC 8445 §6.1.4.2)."""
    return -pair.priority, pair.component


class CheckList:
    """The pairs of one stream.

    Attributes:
        pairs: in the order of checks.

    """

    def __init__(self) -> None:
        self.pairs: list[CandidatePair] = []
        self._triggered: list[CandidatePair] = []  # each pair once: bounded by `pairs`

    def insert(self, pair: CandidatePair) -> None:
        """Put a pair in its place."""
        insort(self.pairs, pair, key=check_order)

    def remove(self, pair: CandidatePair) -> None:
        """Take a pair from the list and the triggered-check queue."""
        self.pairs.remove(pair)
        self.discard_triggered(pair)

    def sort(self) -> None:
        """Restore the order, priorities having changed."""
        self.pairs.sort(key=check_order)

    def trigger(self, pair: CandidatePair) -> None:
        """Enqueue a pair, once, for a check at the next opportunity (RFC 8445 §6.1.4.1)."""
        pair.state = PairState.WAITING
        if pair not in self._triggered:
            self._triggered.append(pair)

    def take_triggered(self) -> CandidatePair | None:
        """Take the first pair of the triggered-check queue."""
        return self._triggered.pop(0) if self._triggered else None

    def discard_triggered(self, pair: CandidatePair) -> None:
        """Take a pair from the triggered-check queue, if it is there."""
        if pair in self._triggered:
            self._triggered.remove(pair)

    @property
    def has_triggered(self) -> bool:
        """Whether a triggered check is to be sent."""
        return bool(self._triggered)

    def first_waiting(self) -> CandidatePair | None:
        """Return the pair in Waiting that is to be checked first."""
        return next((pair for pair in self.pairs if pair.state is PairState.WAITING), None)

    def of_component(self, component: int) -> Iterator[CandidatePair]:
        """Iterate over the pairs of one component, in order."""
        return (pair for pair in self.pairs if pair.component == component)

    def last_droppable(self) -> CandidatePair | None:
        """Return the pair of lowest priority that can go with the least harm: not a valid one."""
        return next((pair for pair in reversed(self.pairs) if _is_droppable(pair)), None)


def _is_droppable(pair: CandidatePair) -> bool:
    return not pair.is_valid and pair.state is not PairState.IN_PROGRESS
