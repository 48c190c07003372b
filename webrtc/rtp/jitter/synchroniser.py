"""Lips and voice: delays the faster stream, by the sender reports of both (RFC 3550 §6.4.1).

A sender report ties a stream's timestamps to the sender's clock, which streams with one CNAME
share. So what was captured together can be played together.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

import attrs

from webrtc.rtp.jitter.playout import PlayoutClock
from webrtc.rtp.ntp import from_ntp

MAX_STREAMS = 64
MAX_DIFFERENCE = 5.0
"""Seconds; more is not a path's delay but clocks that have nothing to do with one another."""
MAX_STEP = 0.08
"""Seconds per adjustment: a jump would be heard."""


@attrs.define(slots=True)
class _Stream:
    group: str
    clock: PlayoutClock
    reported: tuple[float, int] | None = None
    """Seconds and timestamp of the last sender report."""


class Synchroniser:
    """Streams by their group: the CNAME, or the media stream identifier of SDP."""

    def __init__(self) -> None:
        self._streams: dict[Hashable, _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, key: Hashable, group: str, clock: PlayoutClock) -> None:
        """Add a stream; beyond `MAX_STREAMS` it plays by itself."""
        if key in self._streams or len(self._streams) < MAX_STREAMS:
            self._streams[key] = _Stream(group, clock)

    def remove(self, key: Hashable) -> None:
        """Forget a stream."""
        self._streams.pop(key, None)

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all streams but these: one that ended without a word must not delay the others."""
        for key in [key for key in self._streams if key not in keys]:
            self.remove(key)

    def receive_sender_report(self, key: Hashable, ntp_time: int, timestamp: int) -> None:
        """Take a report; `timestamp` is unwrapped like those of the stream's packets."""
        stream = self._streams.get(key)
        if stream is not None:
            stream.reported = from_ntp(ntp_time), timestamp
            self._adjust(stream.group)

    def _adjust(self, group: str) -> None:
        # The time from capture to playing, without what synchronisation adds. The unknown
        # difference of the two clocks is in it, the same for a whole group.
        latencies = []
        for stream in self._streams.values():
            clock = stream.clock
            if stream.group == group and stream.reported is not None and clock.is_running:
                seconds, timestamp = stream.reported
                latency = clock.playout_time(timestamp) - clock.extra_delay - seconds
                latencies.append((latency, clock))
        slowest = max((latency for latency, _ in latencies), default=0.0)
        for latency, clock in latencies:
            change = slowest - latency - clock.extra_delay
            if slowest - latency <= MAX_DIFFERENCE:
                clock.extra_delay += min(max(change, -MAX_STEP), MAX_STEP)
