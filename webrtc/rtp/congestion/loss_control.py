"""The loss-based bit rate (GCC §6): up below 2 % of loss, down above 10 %, still between."""

from __future__ import annotations

import math
from collections import deque

from webrtc.rtp.congestion.rate_control import BETA

LOW_LOSS = 0.02
HIGH_LOSS = 0.10
GROWTH = 1.08
GROWTH_BPS = 1000
DECREASE_INTERVAL = 0.3
"""Seconds beside a round trip between two decreases: the far end reports what was before."""
HISTORY = 1.0
"""Seconds: growth starts from the least of this time, so that it is 8 % a second at most."""
MIN_PACKETS = 40
MAX_PACKETS = 200
"""A fraction of fewer says little; with so many it is taken for what it is."""
CONFIDENCE = 1.0
"""Deviations that a loss must be above `HIGH_LOSS` to be acted on before: of 40 packets on a path
that always loses 5 %, every twentieth time more than 10 % are lost."""


class LossControl:
    """The loss-based estimate.

    Attributes:
        bitrate_bps: the estimate.
        loss: fraction of the last packets, 0 to 1.

    """

    def __init__(self, start_bps: float, min_bps: float, max_bps: float) -> None:
        self.bitrate_bps = start_bps
        self.loss = 0.0
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._lost = 0
        self._total = 0
        self._decreased_at: float | None = None
        self._history: deque[tuple[float, float]] = deque()

    def receive(
        self,
        lost: int,
        total: int,
        ceiling_bps: float,
        round_trip_time: float,
        now: float,
        throughput_bps: float | None = None,
    ) -> float:
        """Take a count of packets; return the estimate.

        Args:
            lost: packets of `total` that did not arrive.
            total: packets reported on.
            ceiling_bps: what the delay allows: the loss-based rate does not run ahead of it, else
                it would take long to come down when loss begins.
            round_trip_time: in seconds.
            now: monotonic seconds.
            throughput_bps: what arrives all the same; a full queue's loss does not push the rate
                far below what the queue lets through.

        """
        self._lost += lost
        self._total += total
        self.bitrate_bps = min(self.bitrate_bps, ceiling_bps)
        self._count()
        if self.loss <= LOW_LOSS:
            self._increase(ceiling_bps, now)
        elif self.loss > HIGH_LOSS and (
            self._decreased_at is None
            or now - self._decreased_at >= DECREASE_INTERVAL + round_trip_time
        ):
            decreased = (1 - 0.5 * self.loss) * self.bitrate_bps
            floor = BETA * throughput_bps if throughput_bps is not None else 0.0
            self.bitrate_bps = min(self.bitrate_bps, max(decreased, floor))
            self._decreased_at = now
            self.loss = 0.05  # act on each measurement once
        self.bitrate_bps = min(max(self.bitrate_bps, self._min_bps), self._max_bps)
        return self.bitrate_bps

    def _count(self) -> None:
        """Take the fraction, as soon as it says something."""
        lost, total = max(self._lost, 0), self._total
        if total < MIN_PACKETS:
            return
        loss = lost / total
        is_high = lost - CONFIDENCE * math.sqrt(lost) > HIGH_LOSS * total
        if loss <= HIGH_LOSS or is_high or total >= MAX_PACKETS:
            self.loss = loss
            self._lost = self._total = 0

    def raise_to(self, bitrate_bps: float) -> None:
        """Take a bit rate that was found to arrive, if it is more."""
        self.bitrate_bps = max(self.bitrate_bps, bitrate_bps)

    def _increase(self, ceiling_bps: float, now: float) -> None:
        history = self._history
        while history and history[0][0] < now - HISTORY:
            history.popleft()
        while history and history[-1][1] >= self.bitrate_bps:
            history.pop()
        history.append((now, self.bitrate_bps))
        grown = history[0][1] * GROWTH + GROWTH_BPS
        self.bitrate_bps = min(max(self.bitrate_bps, grown), ceiling_bps)
