"""The check list set: pruning, the limit of pairs, freezing, and whose check is next.

RFC 8445 §6.1.2.4 to §6.1.2.6 and §6.1.4.2. A generation owns one; it holds every pair there is.
"""

from __future__ import annotations

from collections.abc import Iterator

from ice_client.core.candidate import Base, Candidate
from ice_client.core.check_list import CheckList
from ice_client.core.events import Role
from ice_client.core.pair import CandidatePair, PairKey
from ice_client.core.statistics import PairState
from stun import Address

_BEFORE_CHECK = frozenset({PairState.FROZEN, PairState.WAITING})
_ACTIVE = frozenset({PairState.WAITING, PairState.IN_PROGRESS})
_LIKELY_REQUESTS = 4
"""After so many requests, 3.5 s with the least RTO, a check is not likely to succeed any more."""


class CheckListSet:
    """The check lists of all streams.

    Args:
        streams: how many there are.
        max_pairs: in all lists (RFC 8445 §6.1.2.5).

    """

    def __init__(self, streams: int, max_pairs: int) -> None:
        self.lists = [CheckList() for _ in range(streams)]
        self._max_pairs = max_pairs
        self._by_key: dict[PairKey, CandidatePair] = {}
        self._turn = 0

    def __iter__(self) -> Iterator[CandidatePair]:
        return (pair for check_list in self.lists for pair in check_list.pairs)

    def find(self, base: Base, remote: Address) -> CandidatePair | None:
        """Return the pair of that 5-tuple. Runs per packet."""
        return self._by_key.get((base, remote))

    def of_component(self, stream: int, component: int) -> Iterator[CandidatePair]:
        """Iterate over the pairs of one component, in order."""
        return self.lists[stream].of_component(component)

    def add(
        self, stream: int, local: Candidate, remote: Candidate, role: Role
    ) -> CandidatePair | None:
        """Form a pair, Frozen.

        Return None if it is redundant with one of higher priority (RFC 8445 §6.1.2.4), or
        was the first to go over the limit.
        """
        pair = CandidatePair(stream=stream, component=local.component, local=local, remote=remote)
        pair.compute_priority(role)
        known = self._by_key.get(pair.key)
        if known is not None:
            # One whose check was sent stays: a new pair could not do better on that 5-tuple.
            if known.state not in _BEFORE_CHECK or known.priority >= pair.priority:
                return None
            pair.state = known.state
            self.remove(known)
        self._insert(pair)
        self._enforce_limit()
        return pair if self._by_key.get(pair.key) is pair else None

    def remove(self, pair: CandidatePair) -> None:
        """Forget a pair."""
        self.lists[pair.stream].remove(pair)
        del self._by_key[pair.key]

    def trigger(self, pair: CandidatePair) -> None:
        """Enqueue a pair for a triggered check."""
        self.lists[pair.stream].trigger(pair)

    def discard_triggered(self, pair: CandidatePair) -> None:
        """Take a pair from the triggered-check queue."""
        self.lists[pair.stream].discard_triggered(pair)

    def replace_remote(self, old: Candidate, new: Candidate, role: Role) -> None:
        """Put a signalled candidate in the place of the peer-reflexive one it turned out to be."""
        for pair in self:
            if pair.remote is old:
                pair.remote = new
        self.compute_priorities(role)

    def compute_priorities(self, role: Role) -> None:
        """Compute every priority anew: candidates or our role changed (RFC 8445 §6.1.2.3)."""
        for check_list in self.lists:
            for pair in check_list.pairs:
                pair.compute_priority(role)
            check_list.sort()

    def unfreeze_new(self) -> None:
        """Give pairs that were formed since the last call the state they start with.

        Of each foundation the first pair is Waiting, by stream, component and priority
        (RFC 8445 §6.1.2.6), also where one that was trickled before it is under way: the peer,
        who may know the first one alone, has to meet us there (RFC 8838 §12, rule 1). Of a
        foundation that has succeeded every pair is (rule 2).
        """
        topmost: dict[tuple[str, str], CandidatePair] = {}
        succeeded: set[tuple[str, str]] = set()
        for pair in sorted(self, key=lambda one: (one.stream, one.component, -one.priority)):
            topmost.setdefault(pair.foundation, pair)
            if pair.state is PairState.SUCCEEDED:
                succeeded.add(pair.foundation)
        for pair in self:
            if pair.state is PairState.FROZEN and (
                pair.foundation in succeeded or topmost[pair.foundation] is pair
            ):
                pair.state = PairState.WAITING

    def unfreeze_foundation(self, foundation: tuple[str, str]) -> None:
        """Set the Frozen pairs of a foundation to Waiting: one succeeded (RFC 8445 §7.2.5.3.3)."""
        for pair in self:
            if pair.state is PairState.FROZEN and pair.foundation == foundation:
                pair.state = PairState.WAITING

    @property
    def has_triggered(self) -> bool:
        """Whether a triggered check is to be sent."""
        return any(check_list.has_triggered for check_list in self.lists)

    @property
    def has_ordinary(self) -> bool:
        """Whether `next_ordinary` would find a pair."""
        holding = self._foundations_held()
        return any(
            pair.state is PairState.WAITING
            or (pair.state is PairState.FROZEN and pair.foundation not in holding)
            for pair in self
        )

    def count_active(self) -> int:
        """Return how many pairs are in Waiting or In-Progress (RFC 8445 §14.3)."""
        return sum(pair.state in _ACTIVE for pair in self)

    def next_triggered(self) -> CandidatePair | None:
        """Take the next pair to be checked from the triggered-check queues, list after list."""
        for check_list in self._in_turn():
            pair = check_list.take_triggered()
            if pair is not None:
                return pair
        return None

    def next_ordinary(self) -> CandidatePair | None:
        """Return the next pair for an ordinary check (RFC 8445 §6.1.4.2 steps 2 to 4)."""
        for check_list in self._in_turn():
            pair = check_list.first_waiting()
            if pair is None:
                self._unfreeze_idle(check_list)
                pair = check_list.first_waiting()
            if pair is not None:
                return pair
        return None

    def _in_turn(self) -> Iterator[CheckList]:
        """Iterate over the lists, starting after the one that the last check was of."""
        start = self._turn
        for place in range(len(self.lists)):
            index = (start + place) % len(self.lists)
            self._turn = index + 1
            yield self.lists[index]

    def _unfreeze_idle(self, check_list: CheckList) -> None:
        # RFC 8445 §6.1.4.2 step 2: of each foundation of which no check is under way, in any
        # list, one pair. What failed before tells nothing of the others.
        holding = self._foundations_held()
        for pair in check_list.pairs:
            if pair.state is PairState.FROZEN and pair.foundation not in holding:
                pair.state = PairState.WAITING
                holding.add(pair.foundation)

    def _foundations_held(self) -> set[tuple[str, str]]:
        """Return the foundations whose Frozen pairs wait for the result of another.

        The RFC has them wait until a check has failed, most of a minute. Meanwhile the peer,
        who may have had luck with another pair and gone on, uses up all its requests against
        our NAT, which only a check of ours could open. So a check holds others up no longer
        than it is likely to succeed; they are sent sooner, but not more of them.
        """
        return {
            pair.foundation
            for pair in self
            if pair.state in _ACTIVE and pair.requests_sent < _LIKELY_REQUESTS
        }

    def _insert(self, pair: CandidatePair) -> None:
        self.lists[pair.stream].insert(pair)
        self._by_key[pair.key] = pair

    def _enforce_limit(self) -> None:
        # RFC 8445 §6.1.2.5: evenly, that is from the longest list first.
        while len(self._by_key) > self._max_pairs:
            for check_list in sorted(self.lists, key=lambda one: len(one.pairs), reverse=True):
                pair = check_list.last_droppable()
                if pair is not None:
                    self.remove(pair)
                    break
            else:
                return  # all are valid or under way, which the limit has let in before
