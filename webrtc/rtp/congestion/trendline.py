"""Whether a queue is growing: the slope of delay over time, against an adaptive threshold.

The detector and its threshold are GCC §5.4 and §5.5; the slope is a least-squares line through the
last groups' smoothed delays.
"""

from __future__ import annotations

import enum
import math
from collections import deque

WINDOW = 20
"""Groups that the line goes through."""
SMOOTHING = 0.9
THRESHOLD_GAIN = 4.0
MAX_DELTAS = 60
"""A slope is trusted the more, the more groups it rests on, up to here."""
INITIAL_THRESHOLD = 12.5
MIN_THRESHOLD, MAX_THRESHOLD = 6.0, 600.0
K_UP, K_DOWN = 0.0087, 0.039
"""GCC §5.4, per millisecond: how fast the threshold rises to a slope above it, and falls to one
below. A threshold that did not move would be starved by a TCP flow on the same queue."""
MAX_ADAPT_OFFSET = 15.0
"""A spike farther above the threshold than this does not move it (GCC §5.4)."""
OVERUSE_TIME = 0.01
"""Seconds that a slope must stay above the threshold (GCC §5.4)."""


class BandwidthUsage(enum.Enum):
    """What the detector says of the path."""

    NORMAL = "normal"
    UNDERUSING = "underusing"
    OVERUSING = "overusing"


class TrendlineEstimator:
    """The delay's slope, and what it says.

    Attributes:
        usage: the path's, by the last group.
        trend: seconds of delay gained per second.

    """

    def __init__(self) -> None:
        self.usage = BandwidthUsage.NORMAL
        self.trend = 0.0
        self._deltas = 0
        self._first_arrival: float | None = None
        self._accumulated = 0.0
        self._smoothed = 0.0
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._threshold = INITIAL_THRESHOLD
        self._updated_at: float | None = None
        self._overusing_for: float | None = None
        self._overuses = 0
        self._trend_before = 0.0

    def add(self, sent_delta: float, arrival_delta: float, arrival: float) -> BandwidthUsage:
        """Take the differences between two groups, in seconds. Runs per group."""
        if self._first_arrival is None:
            self._first_arrival = arrival
        self._deltas = min(self._deltas + 1, 1000)
        self._accumulated += arrival_delta - sent_delta
        self._smoothed += (1 - SMOOTHING) * (self._accumulated - self._smoothed)
        self._points.append((arrival - self._first_arrival, self._smoothed))
        if len(self._points) == WINDOW:
            self.trend = self._slope()
        self._detect(sent_delta, arrival)
        return self.usage

    def _slope(self) -> float:
        points = self._points
        mean_x = sum(x for x, _ in points) / WINDOW
        mean_y = sum(y for _, y in points) / WINDOW
        denominator = sum((x - mean_x) ** 2 for x, _ in points)
        if not denominator:
            return self.trend
        return sum((x - mean_x) * (y - mean_y) for x, y in points) / denominator

    def _detect(self, sent_delta: float, now: float) -> None:
        if self._deltas < 2:
            return
        modified = min(self._deltas, MAX_DELTAS) * self.trend * THRESHOLD_GAIN
        if modified > self._threshold:
            if self._overusing_for is None:
                # Half of the time between the groups is as good a guess as any.
                self._overusing_for = sent_delta / 2
            else:
                self._overusing_for += sent_delta
            self._overuses += 1
            if (
                self._overusing_for > OVERUSE_TIME
                and self._overuses > 1
                and self.trend >= self._trend_before
            ):
                self._overusing_for = 0.0
                self._overuses = 0
                self.usage = BandwidthUsage.OVERUSING
        else:
            self._overusing_for = None
            self._overuses = 0
            below = modified < -self._threshold
            self.usage = BandwidthUsage.UNDERUSING if below else BandwidthUsage.NORMAL
        self._trend_before = self.trend
        self._adapt(modified, now)

    def _adapt(self, modified: float, now: float) -> None:
        if self._updated_at is None:
            self._updated_at = now
        size = math.fabs(modified)
        if size <= self._threshold + MAX_ADAPT_OFFSET:
            gain = K_DOWN if size < self._threshold else K_UP
            elapsed_ms = min((now - self._updated_at) * 1000, 100)
            self._threshold += gain * (size - self._threshold) * elapsed_ms
            self._threshold = min(max(self._threshold, MIN_THRESHOLD), MAX_THRESHOLD)
        self._updated_at = now
