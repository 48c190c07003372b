"""When the next check goes out, and of which pair (RFC 8445 §6.1.4)."""

from __future__ import annotations

from collections.abc import Iterator

from ice_client.core.check_client import CheckClient
from ice_client.core.check_list_set import CheckListSet
from ice_client.core.statistics import PairState

TRIGGERED_SPACING = 0.005
"""Seconds between a check and the next triggered one (RFC 8445 §14.2's floor for all).

Ta keeps checks from opening NAT bindings and filling a link too fast. A triggered check does
neither: the peer's, no faster than its own Ta, has just come the other way, or (nominating) the
pair is known to work. Waiting for Ta would only make connecting slower.
"""


class Pacing:
    """Sends the checks of one generation, one at a time.

    Args:
        lists: the generation's pairs.
        ta: seconds between two ordinary checks.

    """

    def __init__(self, lists: CheckListSet, ta: float) -> None:
        self._lists = lists
        self._ta = ta
        self._next_ordinary_at = 0.0
        self._next_triggered_at = 0.0

    def deadlines(self) -> Iterator[float]:
        """Iterate over the times at which `on_deadline` has something to send."""
        if self._lists.has_triggered:
            yield self._next_triggered_at
        if self._lists.has_ordinary:
            yield self._next_ordinary_at

    def on_deadline(self, client: CheckClient, now: float) -> None:
        """Start the check that is due, if one is."""
        self._lists.unfreeze_new()
        pair = None
        if now >= self._next_triggered_at:
            pair = self._lists.next_triggered()
        if pair is None and now >= self._next_ordinary_at:
            pair = self._lists.next_ordinary()
        if pair is None:
            return
        pair.state = PairState.IN_PROGRESS
        self._lists.discard_triggered(pair)
        client.start(pair, self._lists.count_active(), now)
        self._next_triggered_at = now + TRIGGERED_SPACING
        self._next_ordinary_at = now + self._ta
