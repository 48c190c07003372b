"""Probes: short bursts above the estimate, and what their arrival tells of the path.

When they are sent, and how fast, is `ProbeSchedule`'s to say.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

MIN_PACKETS = 5
MIN_DURATION = 0.015
"""Seconds: a shorter burst measures the clock rather than the path."""
MAX_CLUSTERS = 8
MIN_ARRIVED = 0.8
"""Of a cluster's packets: with fewer, its rate would flatter the path."""
MAX_RATIO = 2.0
"""Arrived faster than it was sent by this: the burst was queued before it was timed."""
FULL_RATIO = 0.9
"""Arrived slower than it was sent by this: the path was full."""
CAPACITY_SHARE = 0.95
"""Of what a full path let through: leave it room to drain."""


@attrs.frozen
class ProbeCluster:
    """A burst to send.

    Attributes:
        identifier: tells its packets from others.
        bitrate_bps: to send it at.
        packets: at least so many.
        size_bytes: and at least so much.

    """

    identifier: int
    bitrate_bps: float
    packets: int
    size_bytes: int

    @classmethod
    def at(
        cls, identifier: int, bitrate_bps: float, duration: float = MIN_DURATION
    ) -> ProbeCluster:
        """Return the smallest burst that measures this rate, for some seconds."""
        return cls(identifier, bitrate_bps, MIN_PACKETS, round(bitrate_bps * duration / 8))


@attrs.define(slots=True)
class _Arrived:
    packets: int = 0
    size_bytes: int = 0
    first_sent: float = 0.0
    last_sent: float = 0.0
    last_sent_bytes: int = 0
    first_arrival: float = 0.0
    first_arrival_bytes: int = 0
    last_arrival: float = 0.0

    def bitrate_bps(self) -> float | None:
        """Return the path's rate; None if the times tell none."""
        sending = self.last_sent - self.first_sent
        arriving = self.last_arrival - self.first_arrival
        if sending <= 0 or arriving <= 0:
            return None
        # n packets have n - 1 gaps: the last sent and the first to arrive are outside of them.
        sent_bps = 8 * (self.size_bytes - self.last_sent_bytes) / sending
        arrived_bps = 8 * (self.size_bytes - self.first_arrival_bytes) / arriving
        if arrived_bps > MAX_RATIO * sent_bps:
            return None
        if arrived_bps < FULL_RATIO * sent_bps:
            return CAPACITY_SHARE * arrived_bps
        return min(sent_bps, arrived_bps)


class ProbeEstimator:
    """Rates of clusters, from the packets of them that arrived."""

    def __init__(self) -> None:
        self._clusters: OrderedDict[int, tuple[ProbeCluster, _Arrived]] = OrderedDict()

    def begin(self, cluster: ProbeCluster) -> None:
        """Expect a cluster's packets."""
        self._clusters[cluster.identifier] = cluster, _Arrived()
        if len(self._clusters) > MAX_CLUSTERS:
            self._clusters.popitem(last=False)

    def add(self, identifier: int, sent_at: float, arrival: float, size_bytes: int) -> float | None:
        """Take a packet, in order of arrival; return the path's rate if the cluster tells it."""
        expected = self._clusters.get(identifier)
        if expected is None:
            return None
        cluster, entry = expected
        if not entry.packets:
            entry.first_sent = sent_at
            entry.first_arrival, entry.first_arrival_bytes = arrival, size_bytes
        entry.packets += 1
        entry.size_bytes += size_bytes
        if sent_at >= entry.last_sent:
            entry.last_sent, entry.last_sent_bytes = sent_at, size_bytes
        entry.first_sent = min(entry.first_sent, sent_at)
        entry.last_arrival = max(entry.last_arrival, arrival)
        if entry.packets < MIN_ARRIVED * cluster.packets:
            return None
        if entry.size_bytes < MIN_ARRIVED * cluster.size_bytes:
            return None
        return entry.bitrate_bps()
