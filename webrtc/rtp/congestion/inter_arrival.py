"""Groups of packets sent together, and how their spacing changed on the way (GCC §5.2).

A group is what was sent within 5 ms, a burst of the pacer: within it, arrival times tell of the
link's speed, not of its queue. Bursts that a wireless link makes on arrival are merged, too.
"""

from __future__ import annotations

import attrs

BURST_INTERVAL = 0.005
"""Seconds of sending that make a group (GCC §5.2)."""
MAX_BURST_DURATION = 0.1
"""Seconds: a longer burst is a queue that drains, not a burst."""
MAX_CLOCK_STEP = 3.0
"""Seconds of arrival more than of sending: a clock was set, begin anew."""
MAX_REORDERED = 3
"""Groups in a row that arrive before the one before, then begin anew."""


@attrs.define(slots=True)
class _Group:
    first_sent_at: float
    sent_at: float
    first_arrival: float
    arrival: float


class InterArrival:
    """Turns packets into differences between groups."""

    def __init__(self) -> None:
        self._current: _Group | None = None
        self._previous: _Group | None = None
        self._reordered = 0

    def _begin(self, sent_at: float, arrival: float) -> None:
        self._current = _Group(sent_at, sent_at, arrival, arrival)

    def add(self, sent_at: float, arrival: float) -> tuple[float, float] | None:
        """Take a packet, in order of arrival. Runs per packet.

        Returns:
            How much later the last whole group was sent than the one before, and how much later
            it arrived, in seconds; None until two groups are whole.

        """
        current = self._current
        if current is None:
            self._begin(sent_at, arrival)
            return None
        if sent_at < current.first_sent_at:
            return None  # reordered from an earlier group
        if self._belongs(current, sent_at, arrival):
            current.sent_at = max(current.sent_at, sent_at)
            current.arrival = arrival
            return None
        previous = self._previous
        deltas = None
        if previous is not None:
            sent_delta = current.sent_at - previous.sent_at
            arrival_delta = current.arrival - previous.arrival
            if arrival_delta - sent_delta > MAX_CLOCK_STEP:
                self.reset()
                return None
            if arrival_delta < 0:
                self._reordered += 1
                if self._reordered >= MAX_REORDERED:
                    self.reset()
                return None
            self._reordered = 0
            deltas = sent_delta, arrival_delta
        self._previous = current
        self._begin(sent_at, arrival)
        return deltas

    @staticmethod
    def _belongs(group: _Group, sent_at: float, arrival: float) -> bool:
        if sent_at - group.first_sent_at <= BURST_INTERVAL:
            return True
        arrival_delta = arrival - group.arrival
        propagation_delta = arrival_delta - (sent_at - group.sent_at)
        return (
            propagation_delta < 0
            and arrival_delta <= BURST_INTERVAL
            and arrival - group.first_arrival < MAX_BURST_DURATION
        )

    def reset(self) -> None:
        """Forget all groups."""
        self._current = self._previous = None
        self._reordered = 0
