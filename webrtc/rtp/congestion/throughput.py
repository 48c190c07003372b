"""What arrives: the bit rate that the far end acknowledges (GCC §5.5's R_hat)."""

from __future__ import annotations

from collections import deque

WINDOW = 0.5
"""Seconds that the rate is taken over (GCC §5.5)."""
MIN_SPAN = 0.15
"""Seconds of arrivals before there is a rate."""
MIN_PACKETS = 8
MAX_PACKETS = 8192


class ThroughputEstimator:
    """A windowed rate over arrival times."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=MAX_PACKETS)
        self._size_bytes = 0

    def add(self, arrival: float, size_bytes: int) -> None:
        """Take a packet. Runs per packet."""
        arrivals = self._arrivals
        if len(arrivals) == MAX_PACKETS:
            self._size_bytes -= arrivals[0][1]
        arrivals.append((arrival, size_bytes))
        self._size_bytes += size_bytes
        while arrivals[0][0] < arrival - self._window:
            self._size_bytes -= arrivals.popleft()[1]

    @property
    def bitrate_bps(self) -> float | None:
        """The rate over the window; None while there is too little to tell."""
        arrivals = self._arrivals
        if len(arrivals) < MIN_PACKETS:
            return None
        span = arrivals[-1][0] - arrivals[0][0]
        if span < MIN_SPAN:
            return None
        # The first packet opens the span: its bits came before it.
        return 8 * (self._size_bytes - arrivals[0][1]) / span
