"""Which packets to ask for again, and when (RFC 4585 §6.2.1).

The RFC leaves the policy open. Here: a hole is asked for at once, then once per round trip, at
most `MAX_RETRIES` times. The list is bounded; when it is full the stream is beyond repair by
retransmission, and a key frame is asked for instead.
"""

from __future__ import annotations

import math

import attrs

MAX_MISSING = 1000
"""Holes that are kept: at 2 Mbit/s, over three seconds of everything lost."""
MAX_JUMP = 3000
"""A jump ahead by more is a stream that began anew: nothing between is missing."""
MAX_RETRIES = 10
MIN_INTERVAL = 0.02
"""Seconds between two requests for the same packet: a round trip may be next to nothing."""
MAX_AGE = 3.0
"""Seconds after which a hole is not worth filling."""
REORDER_DELAY = 0.01
"""Seconds that a hole is given to close by itself, once reordering was seen."""


@attrs.define(slots=True)
class _Missing:
    since: float
    next_at: float
    retries: int = 0


class NackGenerator:
    """Holes in one stream's sequence numbers, unwrapped.

    Attributes:
        requests_sent: sequence numbers asked for, repeats included.
        recovered: holes that were filled after they were asked for.
        given_up: holes that were not filled in time.
        overflows: how often too many were missing.

    """

    def __init__(self) -> None:
        self._missing: dict[int, _Missing] = {}
        self._highest: int | None = None
        self._reordering_seen = False
        self.requests_sent = 0
        self.recovered = 0
        self.given_up = 0
        self.overflows = 0

    def __len__(self) -> int:
        return len(self._missing)

    def receive(self, number: int, now: float) -> bool:
        """Note a packet, original or retransmitted. Runs per packet.

        Returns:
            False if too much is missing: ask for a key frame.

        """
        highest = self._highest
        if highest is None or number == highest + 1:
            self._highest = number
            return True
        if number <= highest:
            missing = self._missing.pop(number, None)
            if missing is not None:
                if missing.retries:
                    self.recovered += 1
                else:
                    self._reordering_seen = True
            return True
        self._highest = number
        count = number - highest - 1
        if count > MAX_JUMP:
            self._missing.clear()
            return True
        if len(self._missing) + count > MAX_MISSING:
            self._missing.clear()
            self.overflows += 1
            return False
        first_at = now + REORDER_DELAY if self._reordering_seen else now
        for lost in range(highest + 1, number):
            self._missing[lost] = _Missing(now, first_at)
        return True

    def forget_before(self, number: float) -> None:
        """Give up on everything before: it was played, or a key frame came after it."""
        for lost in [lost for lost in self._missing if lost < number]:
            del self._missing[lost]
            self.given_up += 1

    def next_deadline(self) -> float | None:
        """Return when to call `take_requests` next."""
        if not self._missing:
            return None
        return min(missing.next_at for missing in self._missing.values())

    def take_requests(self, now: float, round_trip_time: float) -> tuple[int, ...]:
        """Return what to ask for now, ascending, unwrapped.

        Args:
            now: monotonic seconds.
            round_trip_time: seconds; an answer cannot come sooner, so neither does a repeat.

        """
        requests = []
        expired = []
        interval = max(round_trip_time, MIN_INTERVAL)
        for number, missing in self._missing.items():
            if missing.next_at > now:
                continue
            if missing.retries >= MAX_RETRIES or now - missing.since > MAX_AGE:
                expired.append(number)
                continue
            missing.retries += 1
            # Later ones come slower: ten requests at a path's round trip would all be lost in
            # the same burst. Grows to four round trips.
            missing.next_at = now + interval * math.sqrt(min(missing.retries, 16))
            requests.append(number)
        for number in expired:
            del self._missing[number]
        self.given_up += len(expired)
        self.requests_sent += len(requests)
        return tuple(sorted(requests))
