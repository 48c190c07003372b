"""What the controlling agent nominates, and when (RFC 8445 §8.1.1).

The RFC leaves both to the agent: one pair must be picked eventually. Here the best valid pair is
picked as soon as nothing better is under way, or after a short wait; checks go on meanwhile.
"""

from __future__ import annotations

from ice_client.core.check_list_set import CheckListSet
from ice_client.core.context import ComponentKey, Context
from ice_client.core.pair import CandidatePair
from ice_client.core.selection import Selection

_ROUND_TRIPS = 4
"""A better path of the same two hosts is not likely to need several times as long."""


class Nominator:
    """Nominates for one generation, while we are controlling.

    Args:
        context: the agent's.
        lists: the generation's pairs.
        selection: the generation's.

    """

    def __init__(self, context: Context, lists: CheckListSet, selection: Selection) -> None:
        self._context = context
        self._lists = lists
        self._selection = selection
        self._nominations = dict.fromkeys(context.component_keys, 0)

    def next_deadline(self, now: float, *, candidates_ended: bool) -> float | None:
        """Return when a component's best valid pair will have been waited with long enough."""
        due = (self._due(key, candidates_ended, now) for key in self._context.component_keys)
        return min((at for _, at in (one for one in due if one is not None)), default=None)

    def on_deadline(self, now: float, *, candidates_ended: bool) -> None:
        """Enqueue checks with USE-CANDIDATE for what is due."""
        for key in self._context.component_keys:
            due = self._due(key, candidates_ended, now)
            if due is not None and due[1] <= now:
                self._nominate(due[0])

    def _nominate(self, pair: CandidatePair) -> None:
        pair.is_nominating = True
        if self._selection.keeps_checking:
            self._nominations[pair.component_key] += 1
            pair.nomination = self._nominations[pair.component_key]
        # RFC 8445 §8.1.1: "enqueueing the pair that generated the check".
        self._lists.trigger(pair)

    def _due(
        self, key: ComponentKey, candidates_ended: bool, now: float
    ) -> tuple[CandidatePair, float] | None:
        """Return what is to be nominated next, and when."""
        if not self._context.is_controlling or self._context.settings.lite:
            return None
        pairs = list(self._lists.of_component(*key))
        valid = [pair for pair in pairs if pair.is_valid]
        if not valid or any(pair.is_nominating for pair in pairs):
            return None
        best = max(valid, key=lambda pair: pair.valid_priority)
        selected = self._selection.get(key)
        if selected is not None:
            # RFC 8445 §8.1.1: one nomination a component, unless the peer knows renomination.
            if not self._selection.keeps_checking:
                return None
            if self._selection.is_disconnected(key, now):
                return self._substitute([pair for pair in valid if pair is not selected], now)
            if selected.nomination < self._nominations[key]:
                # What was nominated after it is gone, here; the peer would stay there.
                return selected, selected.validated_at
            is_better = best.valid_priority > selected.valid_priority
            return (best, best.validated_at) if is_better else None
        if self._selection.lost_at(key) is not None:
            return self._substitute(valid, now)
        better_to_come = any(pair.is_unfinished and pair.priority > best.priority for pair in pairs)
        if not better_to_come and (candidates_ended or not best.is_relayed):
            return best, best.validated_at
        first = min(pair.validated_at for pair in valid)
        return best, first + self._wait(best)

    def _substitute(
        self, valid: list[CandidatePair], now: float
    ) -> tuple[CandidatePair, float] | None:
        """Return what may take the place of a selected pair that was lost, or is about to be.

        §8.1.1 allows no other nomination without a restart, lest the two disagree. But where
        the peer's NAT has given it a new address, the pair it uses still is the one that was
        nominated, and its checks come from there: only we see another pair. So what the peer
        has used lately may be nominated, once nothing is left to disagree about. With
        renomination, so may whatever has just been seen to work.
        """
        newest = now - self._context.settings.disconnected_after
        renominate = self._selection.keeps_checking
        alive = [
            pair
            for pair in valid
            if pair.last_request_at > newest or (renominate and self._selection.is_fresh(pair, now))
        ]
        best = max(alive, key=lambda pair: pair.valid_priority, default=None)
        return None if best is None else (best, best.validated_at)

    def _wait(self, best: CandidatePair) -> float:
        settings = self._context.settings
        # A relay's round trip says nothing of the direct path's; and it is worth more waiting.
        if best.is_relayed:
            return settings.relayed_wait
        longest = settings.nomination_wait
        if best.current_round_trip_time is None:
            return longest
        return min(longest, _ROUND_TRIPS * best.current_round_trip_time)
