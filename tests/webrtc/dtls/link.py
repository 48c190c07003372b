"""Two endpoints on a simulated link in virtual time, by seed."""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections.abc import Sequence

import attrs

from webrtc.dtls import (
    Certificate,
    Connected,
    DtlsEndpoint,
    DtlsRole,
    DtlsSettings,
    DtlsState,
    Event,
    Fingerprint,
)


@functools.cache
def certificate(name: str = "ours") -> Certificate:
    return Certificate.generate(common_name=name)


@attrs.frozen(kw_only=True)
class LinkConditions:
    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.02
    jitter: float = 0.0
    lost: frozenset[int] = frozenset()
    """Datagrams of each direction that are lost whatever the dice say, counted from 0."""


PERFECT = LinkConditions()


class End:
    """An endpoint, everything it has said, and every datagram it has sent."""

    def __init__(self, endpoint: DtlsEndpoint) -> None:
        self.endpoint = endpoint
        self.events: list[Event] = []
        self.sent: list[bytes] = []

    @property
    def connected(self) -> Connected:
        (event,) = [event for event in self.events if isinstance(event, Connected)]
        return event


class SimulatedLink:
    """Carries datagrams between two ends; `run` goes on until nothing is left to happen."""

    def __init__(
        self,
        client: DtlsEndpoint,
        server: DtlsEndpoint,
        seed: int = 0,
        conditions: LinkConditions = PERFECT,
    ) -> None:
        self.now = 0.0
        self.ends = (End(client), End(server))
        self._conditions = conditions
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._in_flight: list[tuple[float, int, int, bytes]] = []
        self._next_number = [0, 0]

    def inject(self, destination: int, datagram: bytes, delay: float = 0.0) -> None:
        """Put a datagram of nobody's on the way to an end."""
        self._push(self.now + delay, destination, datagram)

    def collect(self) -> None:
        """Take what the endpoints have to say and to send."""
        for index, end in enumerate(self.ends):
            end.events += end.endpoint.take_events()
            for datagram in end.endpoint.take_datagrams():
                end.sent.append(datagram)
                self._carry(1 - index, datagram)

    def run(self, until: float = 60.0) -> None:
        """Let time pass, to `until` at most or to the last thing that happens."""
        self.collect()
        while (moment := self._next_moment()) is not None and moment <= until:
            self.now = max(self.now, moment)
            while self._in_flight and self._in_flight[0][0] <= self.now:
                _, _, destination, datagram = heapq.heappop(self._in_flight)
                self.ends[destination].endpoint.receive(datagram, self.now)
                self.collect()
            for end in self.ends:
                deadline = end.endpoint.next_deadline()
                if deadline is not None and deadline <= self.now:
                    end.endpoint.on_deadline(self.now)
            self.collect()

    @property
    def states(self) -> tuple[DtlsState, ...]:
        return tuple(end.endpoint.state for end in self.ends)

    def _next_moment(self) -> float | None:
        moments = [end.endpoint.next_deadline() for end in self.ends]
        if self._in_flight:
            moments.append(self._in_flight[0][0])
        return min((moment for moment in moments if moment is not None), default=None)

    def _carry(self, destination: int, datagram: bytes) -> None:
        number = self._next_number[destination]
        self._next_number[destination] += 1
        if number in self._conditions.lost or self._random.random() < self._conditions.loss:
            return
        copies = 2 if self._random.random() < self._conditions.duplication else 1
        for _ in range(copies):
            jitter = self._random.random() * self._conditions.jitter
            self._push(self.now + self._conditions.delay + jitter, destination, datagram)

    def _push(self, moment: float, destination: int, datagram: bytes) -> None:
        heapq.heappush(self._in_flight, (moment, next(self._order), destination, datagram))


def make_pair(
    client_settings: DtlsSettings | None = None,
    server_settings: DtlsSettings | None = None,
    *,
    seed: int = 0,
    conditions: LinkConditions = PERFECT,
) -> SimulatedLink:
    """Two endpoints that know each other's certificate, not started."""
    client = DtlsEndpoint(certificate("client"), client_settings or DtlsSettings())
    server = DtlsEndpoint(certificate("server"), server_settings or DtlsSettings())
    return SimulatedLink(client, server, seed, conditions)


def start(
    link: SimulatedLink,
    client_expects: Sequence[Fingerprint] | None = None,
    server_expects: Sequence[Fingerprint] | None = None,
) -> None:
    client, server = (end.endpoint for end in link.ends)
    expected = client_expects or [server.certificate.fingerprint()]
    client.start(link.now, DtlsRole.CLIENT, expected)
    expected = server_expects or [client.certificate.fingerprint()]
    server.start(link.now, DtlsRole.SERVER, expected)


def connected_pair(settings: DtlsSettings | None = None) -> SimulatedLink:
    link = make_pair(settings, settings)
    start(link)
    link.run()
    assert link.states == (DtlsState.CONNECTED, DtlsState.CONNECTED)
    return link
