"""Spreads packets over time, so that a frame is no burst that fills the path's queue (GCC §4).

Audio goes at once; retransmissions before video; padding only while a probe wants it. The queue is
bounded, and drains within `MAX_QUEUE_TIME` whatever the target is: old video helps nobody.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from webrtc.rtp.congestion.probing import ProbeCluster

Item = TypeVar("Item")

PACING_FACTOR = 2.5
"""Times the target bit rate (GCC §4: bursts above the rate are for the encoder's key frames)."""
BURST_INTERVAL = 0.005
"""Seconds of packets that may leave together: a timer for each would cost more than it spreads."""
MAX_QUEUE_TIME = 2.0
MAX_QUEUED = 4096
"""Packets."""
PADDING_SIZE_BYTES = 400


class Priority(enum.IntEnum):
    """What goes first."""

    AUDIO = 0
    RETRANSMISSION = 1
    VIDEO = 2


@attrs.frozen
class Paced(Generic[Item]):
    """What may leave now.

    Attributes:
        item: as it was queued, or padding.
        cluster: the probe that it belongs to.

    """

    item: Item
    cluster: int | None = None


class Pacer(Generic[Item]):
    """A queue of packets, in order of priority, then of arrival.

    Attributes:
        dropped: packets that the full queue did not take.

    """

    def __init__(
        self,
        bitrate_bps: float,
        size_of: Callable[[Item], int],
        pad: Callable[[], Item | None],
    ) -> None:
        """Begin.

        Args:
            bitrate_bps: the target.
            size_of: says how many bytes an item is.
            pad: makes padding of some `PADDING_SIZE_BYTES`; None if there is nothing to make it of.

        """
        self._bitrate_bps = bitrate_bps
        self._size_of = size_of
        self._pad = pad
        self._queues: dict[Priority, deque[Item]] = {priority: deque() for priority in Priority}
        self._size_bytes = 0
        self._count = 0
        self._send_at = 0.0
        self._probes: deque[ProbeCluster] = deque(maxlen=4)
        self._probe_sent_bytes = 0
        self._probe_sent = 0
        self.dropped = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Bytes that wait."""
        return self._size_bytes

    @property
    def queue_time(self) -> float:
        """Seconds that draining takes at the target bit rate."""
        return 8 * self._size_bytes / self._bitrate_bps

    def set_bitrate(self, bitrate_bps: float) -> None:
        """Take a new target."""
        self._bitrate_bps = max(bitrate_bps, 1.0)

    def probe(self, cluster: ProbeCluster) -> None:
        """Send a burst as soon as there is anything to send."""
        self._probes.append(cluster)

    def add(self, item: Item, priority: Priority) -> bool:
        """Queue a packet; False if the queue is full. Runs per packet."""
        if self._count >= MAX_QUEUED:
            self.dropped += 1
            return False
        self._queues[priority].append(item)
        self._count += 1
        self._size_bytes += self._size_of(item)
        return True

    def next_deadline(self) -> float | None:
        """Return when to call `take`; None while nothing waits."""
        if self._queues[Priority.AUDIO]:
            return 0.0
        if not self._count and not self._probing:
            return None
        return self._send_at

    @property
    def _probing(self) -> bool:
        # A probe begins with media: without any, nobody asks how fast the path is.
        return bool(self._probes) and self._probe_sent > 0

    @property
    def _rate_bps(self) -> float:
        if self._probes:
            return self._probes[0].bitrate_bps
        return max(PACING_FACTOR * self._bitrate_bps, 8 * self._size_bytes / MAX_QUEUE_TIME)

    def take(self, now: float) -> list[Paced[Item]]:
        """Return what may leave now, in order."""
        out: list[Paced[Item]] = []
        audio = self._queues[Priority.AUDIO]
        while audio:
            out.append(self._leave(audio.popleft(), now))
        while self._send_at <= now:
            queue = self._queues[Priority.RETRANSMISSION] or self._queues[Priority.VIDEO]
            if queue:
                out.append(self._leave(queue.popleft(), now))
            elif not self._probing:
                break
            elif (padding := self._pad()) is not None:
                out.append(self._send(padding, now))
            else:
                self._end_probe()  # there is nothing to go on with: better none than a slow one
        return out

    def _leave(self, item: Item, now: float) -> Paced[Item]:
        self._count -= 1
        self._size_bytes -= self._size_of(item)
        return self._send(item, now)

    def _send(self, item: Item, now: float) -> Paced[Item]:
        cluster = self._probes[0].identifier if self._probes else None
        self._count_sent(self._size_of(item), now)
        return Paced(item, cluster)

    def _count_sent(self, size_bytes: int, now: float) -> None:
        # Time that was not used is not saved up for a burst.
        self._send_at = max(self._send_at, now - BURST_INTERVAL) + 8 * size_bytes / self._rate_bps
        if not self._probes:
            return
        self._probe_sent += 1
        self._probe_sent_bytes += size_bytes
        probe = self._probes[0]
        if self._probe_sent >= probe.packets and self._probe_sent_bytes >= probe.size_bytes:
            self._end_probe()

    def _end_probe(self) -> None:
        self._probes.popleft()
        self._probe_sent = self._probe_sent_bytes = 0
