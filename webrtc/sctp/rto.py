"""The retransmission timeout (RFC 9260 §6.3.1)."""

from __future__ import annotations

from webrtc.sctp.settings import Settings

_ALPHA = 1 / 8
_BETA = 1 / 4


class RetransmissionTimeout:
    """Smooths round trips and backs off.

    Args:
        settings: bounds, and the first value.

    Attributes:
        seconds: the timeout now.
        smoothed: round trip time, None before the first measurement.

    """

    __slots__ = ("_settings", "_variation", "seconds", "smoothed")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._variation = 0.0
        self.seconds = settings.rto_initial
        self.smoothed: float | None = None

    def measured(self, round_trip: float) -> None:
        """Take in a round trip of something that was sent only once (Karn's rule)."""
        if self.smoothed is None:
            self.smoothed = round_trip
            self._variation = round_trip / 2
        else:
            error = abs(self.smoothed - round_trip)
            self._variation += _BETA * (error - self._variation)
            self.smoothed += _ALPHA * (round_trip - self.smoothed)
        rto = self.smoothed + max(4 * self._variation, self._settings.rto_spread)
        self.seconds = min(max(rto, self._settings.rto_min), self._settings.rto_max)

    def back_off(self) -> None:
        """Double it (§6.3.3 E2)."""
        self.seconds = min(2 * self.seconds, self._settings.rto_max)
