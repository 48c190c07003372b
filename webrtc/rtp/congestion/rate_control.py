"""The delay-based bit rate: it grows by a share or a step, and falls by a share (GCC §5.5)."""

from __future__ import annotations

import enum
import math

from webrtc.rtp.congestion.trendline import BandwidthUsage

BETA = 0.85
"""What is kept of the throughput on overuse (GCC §5.5)."""
GROWTH_PER_SECOND = 1.08
"""While far from what the path carried last (GCC §5.5)."""
MIN_INCREASE_BPS = 1000
MIN_ADDITIVE_BPS = 4000
"""Per second, near convergence."""
HEADROOM = 1.5
HEADROOM_BPS = 10_000
"""The estimate outgrows the throughput by no more: who sends little learns little."""
RESPONSE_TIME = 0.1
"""Seconds beside the round trip that the path's answer takes (GCC §5.5)."""
ASSUMED_FRAMES_PER_SECOND = 30
PACKET_BITS = 1200 * 8


class _State(enum.Enum):
    HOLD = enum.auto()
    INCREASE = enum.auto()
    DECREASE = enum.auto()


class _LinkCapacity:
    """Where overuse began, lately: mean and deviation of the throughput then, in kbit/s."""

    def __init__(self) -> None:
        self.estimate: float | None = None
        self._deviation = 0.4

    def add(self, bitrate_bps: float) -> None:
        sample = bitrate_bps / 1000
        alpha = 0.05
        if self.estimate is None:
            self.estimate = sample
        else:
            self.estimate = (1 - alpha) * self.estimate + alpha * sample
        error = self.estimate - sample
        # The variance is relative to the estimate, so that it means the same at any bit rate.
        self._deviation = (1 - alpha) * self._deviation + alpha * error * error / max(
            self.estimate, 1.0
        )
        self._deviation = min(max(self._deviation, 0.4), 2.5)

    def bounds(self) -> tuple[float, float] | None:
        """Return three deviations around the mean, in bit/s."""
        if self.estimate is None:
            return None
        spread = 3 * math.sqrt(self._deviation * self.estimate)
        return max(self.estimate - spread, 0) * 1000, (self.estimate + spread) * 1000

    def reset(self) -> None:
        self.estimate = None


class RateControl:
    """The delay-based estimate.

    Attributes:
        bitrate_bps: the estimate.
        round_trip_time: in seconds; the owner keeps it up to date.

    """

    def __init__(self, start_bps: float, min_bps: float, max_bps: float) -> None:
        self.bitrate_bps = start_bps
        self.round_trip_time = 0.2
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._state = _State.HOLD
        self._capacity = _LinkCapacity()
        self._changed_at: float | None = None
        self._decreased_at: float | None = None

    def set_bitrate(self, bitrate_bps: float, now: float) -> None:
        """Take a bit rate that was found otherwise."""
        self.bitrate_bps = min(max(bitrate_bps, self._min_bps), self._max_bps)
        self._changed_at = now

    def may_decrease(self, now: float, throughput_bps: float | None) -> bool:
        """Whether the last decrease has had time to show (GCC §5.5), or was far too small."""
        if self._decreased_at is None:
            return True
        if now - self._decreased_at >= min(max(self.round_trip_time, 0.01), 0.2):
            return True
        return throughput_bps is not None and throughput_bps < self.bitrate_bps / 2

    def update(self, usage: BandwidthUsage, throughput_bps: float | None, now: float) -> float:
        """Take what the detector says; return the estimate."""
        if usage is BandwidthUsage.OVERUSING:
            self._state = _State.DECREASE
        elif usage is BandwidthUsage.UNDERUSING:
            self._state = _State.HOLD  # GCC §5.5: the queue drains, let it
        elif self._state is _State.HOLD:
            self._state = _State.INCREASE
            self._changed_at = now
        if self._state is _State.INCREASE:
            self._increase(throughput_bps, now)
        elif self._state is _State.DECREASE:
            self._decrease(throughput_bps, now)
        self.bitrate_bps = min(max(self.bitrate_bps, self._min_bps), self._max_bps)
        return self.bitrate_bps

    def _increase(self, throughput_bps: float | None, now: float) -> None:
        bounds = self._capacity.bounds()
        if throughput_bps is not None and bounds is not None and throughput_bps > bounds[1]:
            self._capacity.reset()
            bounds = None
        elapsed = min(now - self._changed_at, 1.0) if self._changed_at is not None else 0.0
        if bounds is not None:
            gain = self._additive_bps() * elapsed
        else:
            gain = self.bitrate_bps * (GROWTH_PER_SECOND**elapsed - 1)
            gain = max(gain, MIN_INCREASE_BPS * elapsed)
        increased = self.bitrate_bps + gain
        if throughput_bps is not None:
            limit = HEADROOM * throughput_bps + HEADROOM_BPS
            increased = max(min(increased, limit), self.bitrate_bps)
        self.bitrate_bps = increased
        self._changed_at = now

    def _additive_bps(self) -> float:
        """Return the increase per second: half a packet per response time (GCC §5.5)."""
        frame_bits = self.bitrate_bps / ASSUMED_FRAMES_PER_SECOND
        packet_bits = frame_bits / math.ceil(frame_bits / PACKET_BITS) if frame_bits else 0.0
        response_time = self.round_trip_time + RESPONSE_TIME
        return max(packet_bits / response_time, MIN_ADDITIVE_BPS)

    def _decrease(self, throughput_bps: float | None, now: float) -> None:
        if throughput_bps is None:
            self.bitrate_bps *= BETA
        else:
            decreased = BETA * throughput_bps
            if decreased > self.bitrate_bps and self._capacity.estimate is not None:
                decreased = BETA * self._capacity.estimate * 1000
            self.bitrate_bps = min(self.bitrate_bps, decreased)
            bounds = self._capacity.bounds()
            if bounds is not None and throughput_bps < bounds[0]:
                self._capacity.reset()
            self._capacity.add(throughput_bps)
        self._state = _State.HOLD
        self._changed_at = self._decreased_at = now
