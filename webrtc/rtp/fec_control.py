"""How much FEC a stream is worth, by the loss that its receiver reports.

Where a retransmission comes in time it costs less than FEC, which is sent whether anything was
lost or not. So there is none on short paths, and none without loss; what there is grows with the
loss, and the encoder gives up its bits.
"""

from __future__ import annotations

LEAST_LOSS = 0.01
"""Below this a retransmission now and then is cheaper on any path."""
SHORT_ROUND_TRIP = 0.03
"""Seconds: a retransmission is back before the next frame."""
PER_LOSS = 2.5
"""FEC packets per packet lost: groups lose more than one at times."""
BASE = 0.05
MAX_RATIO = 0.3
RISE = 0.5
FALL = 0.15
"""How far each report moves the mean: what is gone may come back."""


class FecControl:
    """Of one stream.

    Attributes:
        loss: fraction lost, smoothed: fast up, slow down.

    """

    def __init__(self, *, repairs: bool) -> None:
        """Begin; `repairs` says whether lost packets can be sent again."""
        self.loss = 0.0
        self._repairs = repairs

    def receive(self, fraction_lost: float, round_trip_time: float | None) -> float:
        """Take a report; return how many FEC packets go with a packet.

        Args:
            fraction_lost: since the last report, 0 to 1.
            round_trip_time: in seconds; None if it is not known yet.

        """
        weight = RISE if fraction_lost > self.loss else FALL
        self.loss += weight * (fraction_lost - self.loss)
        is_short = round_trip_time is None or round_trip_time < SHORT_ROUND_TRIP
        if self.loss < LEAST_LOSS or (self._repairs and is_short):
            return 0.0
        return min(BASE + PER_LOSS * self.loss, MAX_RATIO)
