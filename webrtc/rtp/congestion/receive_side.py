"""The receiver's estimate, for senders that want REMB (draft-alvestrand-rmcat-remb-03).

The same detector, fed with the sender's `abs-send-time` instead of its own notes.
"""

from __future__ import annotations

from webrtc.rtp.congestion.controller import MAX_BPS, MIN_BPS, START_BPS
from webrtc.rtp.congestion.inter_arrival import InterArrival
from webrtc.rtp.congestion.rate_control import RateControl
from webrtc.rtp.congestion.throughput import ThroughputEstimator
from webrtc.rtp.congestion.trendline import BandwidthUsage, TrendlineEstimator
from webrtc.rtp.header_extensions import ABSOLUTE_SEND_TIME_BITS
from webrtc.rtp.sequence import Unwrapper

REMB_INTERVAL = 1.0
"""Seconds between messages, unless the estimate falls."""
SEND_NOW_RATIO = 0.97
"""An estimate below this share of the last one told is told at once."""
UPDATE_INTERVAL = 0.05
"""Seconds between looks at the estimate while nothing is wrong."""


class ReceiveSideEstimator:
    """Of one transport.

    Attributes:
        bitrate_bps: the estimate.

    """

    def __init__(
        self, start_bps: float = START_BPS, min_bps: float = MIN_BPS, max_bps: float = MAX_BPS
    ) -> None:
        self._rate = RateControl(start_bps, min_bps, max_bps)
        self._inter_arrival = InterArrival()
        self._trend = TrendlineEstimator()
        self._throughput = ThroughputEstimator()
        self._times = Unwrapper(ABSOLUTE_SEND_TIME_BITS)
        self._updated_at: float | None = None
        self._told_at: float | None = None
        self._told_bps = 0.0

    @property
    def bitrate_bps(self) -> float:
        """The estimate."""
        return self._rate.bitrate_bps

    def receive(self, absolute_send_time: int, size_bytes: int, now: float) -> None:
        """Take a packet. Runs per packet."""
        sent_at = self._times.unwrap(absolute_send_time) / (1 << 18)
        self._throughput.add(now, size_bytes)
        deltas = self._inter_arrival.add(sent_at, now)
        usage = self._trend.usage if deltas is None else self._trend.add(*deltas, now)
        throughput = self._throughput.bitrate_bps
        if usage is BandwidthUsage.OVERUSING:
            if deltas is not None and self._rate.may_decrease(now, throughput):
                self._rate.update(usage, throughput, now)
        elif self._updated_at is None or now - self._updated_at >= UPDATE_INTERVAL:
            self._updated_at = now
            self._rate.update(usage, throughput, now)

    def take_remb(self, now: float) -> int | None:
        """Return a bit rate to tell the sender now, if any."""
        if self._updated_at is None:
            return None
        bitrate = self._rate.bitrate_bps
        due = self._told_at is None or now - self._told_at >= REMB_INTERVAL
        if not due and bitrate >= SEND_NOW_RATIO * self._told_bps:
            return None
        self._told_at, self._told_bps = now, bitrate
        return int(bitrate)
