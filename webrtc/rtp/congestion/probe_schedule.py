"""When to probe, and how fast: at the start, as long as it finds more, and now and then later.

Without probes the estimate grows 8 % a second, and a call would take half a minute to look well.
The first ones are libwebrtc's. The later ones bring back what a false alarm cost, a busy machine's
or a gust of loss, and find a path that became faster; they get rarer.
"""

from __future__ import annotations

from webrtc.rtp.congestion.probing import MIN_DURATION, ProbeCluster

FIRST_PROBES = (3.0, 6.0)
"""Times the start rate."""
NEXT_PROBE = 2.0
"""Times what is known."""
PROBE_AGAIN = 0.7
"""A probe that found this share of what it was sent at was too slow to find the path's limit."""
WANTED_SHARE = 1.5
"""Times what is wanted: no probe is faster. Key frames and repair have to go through, too."""
MIN_INTERVAL = 1.0
MAX_INTERVAL = 8.0
"""Seconds between the later probes: twice as many each time."""
MAX_MISLED_INTERVAL = 60.0
"""Likewise, after probes that found more than there was."""
PER_JITTER = 4.0
MAX_DURATION = 0.06
"""Seconds. Jitter stretches a short burst, which would be taken for a slow path: the later probes
are longer by this many times the jitter."""
DEEP_FALL = 0.66
"""Share that is left of the estimate after a fall that may have been a false alarm."""
TRUSTED_AFTER = 5.0
"""Seconds. A fall within these after a probe that found more was the probe's fault: what polices a
rate lets bursts pass."""


class ProbeSchedule:
    """Of one transport.

    Attributes:
        wanted_bps: what there is a use for; None if that is not known.
        jitter: of arrivals, in seconds; the owner keeps it up to date.

    """

    def __init__(self, start_bps: float, max_bps: float) -> None:
        self.wanted_bps: float | None = None
        self.jitter = 0.0
        self._max_bps = max_bps
        self._rates = [factor * start_bps for factor in FIRST_PROBES]
        self._identifier = 0
        self._probed_bps = 0.0
        self._interval = MIN_INTERVAL
        self._next_at: float | None = None
        self._found_at: float | None = None

    def take(self) -> list[ProbeCluster]:
        """Return the bursts that are to be sent."""
        limit = self._max_bps
        if self.wanted_bps is not None:
            limit = min(limit, WANTED_SHARE * self.wanted_bps)
        duration = min(MIN_DURATION + PER_JITTER * self.jitter, MAX_DURATION)
        clusters = []
        for rate in self._rates:
            bitrate = min(rate, limit)
            if bitrate > self._probed_bps:
                self._probed_bps = bitrate
                self._identifier += 1
                clusters.append(ProbeCluster.at(self._identifier, bitrate, duration))
        self._rates.clear()
        return clusters

    def find(self, found_bps: float, estimate_bps: float, now: float) -> None:
        """Take what a probe found, where the estimate was another."""
        if found_bps <= estimate_bps:
            return
        self._found_at = now
        if found_bps >= PROBE_AGAIN * self._probed_bps and self._is_wanted(found_bps):
            self._rates = [NEXT_PROBE * found_bps]

    def fall(self, before_bps: float, after_bps: float, now: float) -> None:
        """Take a fall of the estimate: no probe before the queue has had time to drain."""
        was_misled = self._found_at is not None and now - self._found_at < TRUSTED_AFTER
        earliest = now + MIN_INTERVAL
        if was_misled:
            self._found_at = None
            self._interval = min(2 * self._interval, MAX_MISLED_INTERVAL)
            self._next_at = now + self._interval
        elif after_bps < DEEP_FALL * before_bps:
            self._interval = MIN_INTERVAL
            self._next_at = earliest
        elif self._next_at is not None:
            self._next_at = max(self._next_at, earliest)

    def look(self, estimate_bps: float, now: float) -> None:
        """Schedule a probe if it is time for one; call this while the path is calm."""
        if self._next_at is None:
            self._next_at = now + self._interval
        if now < self._next_at or self._rates:
            return
        if self._is_wanted(estimate_bps):
            self._probed_bps = estimate_bps
            self._rates = [NEXT_PROBE * estimate_bps]
            self._interval = max(min(2 * self._interval, MAX_INTERVAL), self._interval)
        self._next_at = now + self._interval

    def _is_wanted(self, known_bps: float) -> bool:
        """Whether there is a use for more than is known."""
        wanted = self._max_bps if self.wanted_bps is None else self.wanted_bps
        return known_bps < min(wanted, self._max_bps)
