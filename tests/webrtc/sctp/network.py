"""Two ends of an association on a simulated network, by seed and on virtual time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

import attrs

from webrtc.sctp import Association, ChannelEvent, DataChannels, Settings

End = DataChannels | Association


@attrs.frozen(kw_only=True)
class Link:
    """What a packet meets on its way; times in seconds."""

    loss: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    max_size: int = 1200
    bytes_per_second: float | None = None
    queue_bytes: int = 100_000


class Network:
    """Carries packets between two ends.

    `drop` may be set to a function of (sender's index, packet) that says what gets lost besides.
    """

    def __init__(self, seed: int, ends: tuple[End, End], link: Link) -> None:
        self.rng = random.Random(seed)
        self.ends = ends
        self.link = link
        self.now = 1000.0
        self.sent: list[tuple[int, bytes]] = []
        self.drop: Callable[[int, bytes], bool] = lambda _sender, _packet: False
        self.events: tuple[list[ChannelEvent], list[ChannelEvent]] = ([], [])
        self._order = itertools.count()
        self._in_flight: list[tuple[float, int, int, bytes]] = []
        self._busy_until = [0.0, 0.0]

    def run(self, until: Callable[[], bool], within: float = 120.0) -> None:
        """Go on until something holds; fail if it does not in time."""
        deadline = self.now + within
        while not until():
            assert self.now < deadline, f"not within {within} s"
            assert self.step(deadline), "nothing left to happen"

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        deadline = self.now + seconds
        while self.step(deadline) and self.now < deadline:
            pass
        self.now = deadline

    def settle(self) -> None:
        """Let pass what is under way, without waiting for timers."""
        self.flush()
        while self._in_flight:
            self.step(self._in_flight[0][0])

    def step(self, limit: float) -> bool:
        """Do the next thing; return False if nothing ever happens any more."""
        self.flush()
        times = [end.next_deadline() for end in self.ends]
        due = [time for time in times if time is not None]
        if self._in_flight:
            due.append(self._in_flight[0][0])
        if not due:
            return False
        at = max(min(due), self.now)
        if at > limit:
            self.now = limit
            return True
        self.now = at
        while self._in_flight and self._in_flight[0][0] <= self.now:
            _, _, receiver, packet = heapq.heappop(self._in_flight)
            self.ends[receiver].receive(packet, self.now)
        for end in self.ends:
            deadline = end.next_deadline()
            if deadline is not None and deadline <= self.now:
                end.on_deadline(self.now)
        self.flush()
        return True

    def flush(self) -> None:
        """Put what the ends have to send on its way, and take their events."""
        for sender, end in enumerate(self.ends):
            for packet in end.take_datagrams(self.now):
                self._carry(sender, packet)
            if isinstance(end, DataChannels):
                self.events[sender].extend(end.take_events())

    def _carry(self, sender: int, packet: bytes) -> None:
        link, rng = self.link, self.rng
        self.sent.append((sender, packet))
        assert len(packet) <= link.max_size, "larger than the path takes"
        if rng.random() < link.loss or self.drop(sender, packet):
            return
        leaves = self.now
        if link.bytes_per_second is not None:
            backlog = max(self._busy_until[sender] - self.now, 0.0)
            if backlog * link.bytes_per_second + len(packet) > link.queue_bytes:
                return
            leaves += backlog + len(packet) / link.bytes_per_second
            self._busy_until[sender] = leaves
        copies = 2 if rng.random() < link.duplication else 1
        for _ in range(copies):
            if rng.random() < link.corruption:
                spoilt = bytearray(packet)
                spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
                packet = bytes(spoilt)
            arrives = leaves + link.delay + rng.random() * link.jitter
            heapq.heappush(self._in_flight, (arrives, next(self._order), 1 - sender, packet))


def channel_pair(
    seed: int = 0, link: Link | None = None, *settings: Settings
) -> tuple[Network, DataChannels, DataChannels]:
    """Return a network with data channels at both ends; `start_both` connects them."""
    rng = random.Random(seed)
    chosen = settings or (Settings(),)
    ends = (DataChannels(chosen[0], rng.randbytes), DataChannels(chosen[-1], rng.randbytes))
    return Network(seed, ends, link or Link()), *ends


def start_both(network: Network, *, max_message_size: int = 262144) -> None:
    """Have both sides begin, as WebRTC's do; the first is the DTLS client."""
    for index, end in enumerate(network.ends):
        assert isinstance(end, DataChannels)
        end.start(
            is_dtls_client=index == 0, remote_max_message_size=max_message_size, now=network.now
        )


def connected(
    seed: int = 0, link: Link | None = None, *settings: Settings
) -> tuple[Network, DataChannels, DataChannels]:
    """Return two ends with an association between them."""
    network, first, second = channel_pair(seed, link, *settings)
    start_both(network)
    network.run(
        lambda: all("ESTABLISHED" in repr(end.association.state) for end in (first, second))
    )
    return network, first, second


def association_pair(
    seed: int = 0, link: Link | None = None, *settings: Settings
) -> tuple[Network, Association, Association]:
    """Return a network with bare associations at both ends, not connected."""
    rng = random.Random(seed)
    chosen = settings or (Settings(),)
    ends = (Association(chosen[0], rng.randbytes), Association(chosen[-1], rng.randbytes))
    return Network(seed, ends, link or Link()), *ends
