"""A network with virtual time: hosts, NATs of four kinds, relays, loss, delay and reordering."""

from __future__ import annotations

import enum
import heapq
import itertools
import random
from collections.abc import Callable

import attrs

from stun import Address

Deliver = Callable[[bytes, Address], None]
"""Called with a datagram and its source."""


class NatKind(enum.Enum):
    """What is between a host and the network (RFC 3489 §5's names)."""

    NONE = "none"
    FULL_CONE = "full-cone"
    ADDRESS_RESTRICTED = "address-restricted"
    PORT_RESTRICTED = "port-restricted"
    SYMMETRIC = "symmetric"


@attrs.define
class Link:
    """How the network treats datagrams; times in seconds."""

    loss: float = 0.0
    delay: float = 0.02
    jitter: float = 0.0
    duplication: float = 0.0


class Network:
    """Carries datagrams between public addresses, and keeps the time."""

    def __init__(self, rng: random.Random, link: Link) -> None:
        self.now = 1000.0
        self.link = link
        self.is_cut = False
        self.sent = 0
        self._rng = rng
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._listeners: dict[Address, Deliver] = {}

    def listen(self, address: Address, deliver: Deliver) -> None:
        self._listeners[address] = deliver

    def unlisten(self, address: Address) -> None:
        self._listeners.pop(address, None)

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        self.sent += 1
        copies = 2 if self._rng.random() < self.link.duplication else 1
        for _ in range(copies):
            if not self.is_cut and self._rng.random() >= self.link.loss:
                delay = self.link.delay + self._rng.random() * self.link.jitter
                self.call_later(delay, lambda: self._arrive(data, source, destination))

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), action))

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    def run_next(self) -> None:
        at, _, action = heapq.heappop(self._events)
        self.now = max(self.now, at)
        action()

    def _arrive(self, data: bytes, source: Address, destination: Address) -> None:
        deliver = self._listeners.get(destination)
        if deliver is not None and not self.is_cut:
            deliver(data, source)


@attrs.define
class _Mapping:
    inside: Address
    outside: Address
    sent_to: set[Address]


class Nat:
    """One host's NAT: its outside address, mapping and filtering behaviour.

    Every kind maps a port of its own for each inside address; the symmetric one for each
    destination too.
    """

    def __init__(self, network: Network, kind: NatKind, outside: Address) -> None:
        self._network = network
        self._kind = kind
        self._outside = outside
        self._next_port = 40000
        self._mappings: dict[tuple[Address, Address | None], _Mapping] = {}
        self._inside: dict[Address, Deliver] = {}

    def listen(self, inside: Address, deliver: Deliver) -> None:
        self._inside[inside] = deliver
        if self._kind is NatKind.NONE:
            self._network.listen(inside, deliver)

    def send(self, data: bytes, inside: Address, destination: Address) -> None:
        if self._kind is NatKind.NONE:
            self._network.send(data, inside, destination)
            return
        mapping = self._mapping(inside, destination)
        mapping.sent_to.add(destination)
        self._network.send(data, mapping.outside, destination)

    def mapped(self, inside: Address, server: Address) -> Address:
        """Return what a STUN server at `server` would tell."""
        if self._kind is NatKind.NONE:
            return inside
        mapping = self._mapping(inside, server)
        mapping.sent_to.add(server)
        return mapping.outside

    def rebind(self) -> None:
        """Forget every mapping, as a NAT that restarts does."""
        for mapping in self._mappings.values():
            self._network.unlisten(mapping.outside)
        self._mappings.clear()

    def _mapping(self, inside: Address, destination: Address) -> _Mapping:
        key = inside, destination if self._kind is NatKind.SYMMETRIC else None
        mapping = self._mappings.get(key)
        if mapping is None:
            mapping = _Mapping(inside, self._outside.with_port(self._next_port), set())
            self._next_port += 1
            self._mappings[key] = mapping
            self._network.listen(mapping.outside, self._filter(mapping))
        return mapping

    def _filter(self, mapping: _Mapping) -> Deliver:
        def arrived(data: bytes, source: Address) -> None:
            hosts = {address.packed for address in mapping.sent_to}
            if (
                self._kind is NatKind.FULL_CONE
                or (self._kind is NatKind.ADDRESS_RESTRICTED and source.packed in hosts)
                or source in mapping.sent_to
            ):
                self._inside[mapping.inside](data, source)

        return arrived


class Relay:
    """A relayed transport address: lets in only those that something was sent to."""

    def __init__(self, network: Network, address: Address, deliver: Deliver) -> None:
        self._network = network
        self._address = address
        self._permitted: set[bytes] = set()
        self._deliver = deliver
        network.listen(address, self._arrived)

    def permit(self, peer: Address) -> None:
        self._permitted.add(peer.packed)

    def send(self, data: bytes, destination: Address) -> None:
        self.permit(destination)
        # To the server and on: one more trip through the network.
        delay = self._network.link.delay
        self._network.call_later(
            delay, lambda: self._network.send(data, self._address, destination)
        )

    def _arrived(self, data: bytes, source: Address) -> None:
        if source.packed in self._permitted:
            self._network.call_later(self._network.link.delay, lambda: self._deliver(data, source))


def direct_path_exists(one: NatKind, other: NatKind) -> bool:
    """Whether two hosts can reach each other without a relay, by theory."""
    hard = {one, other}
    return not (hard == {NatKind.SYMMETRIC} or hard == {NatKind.SYMMETRIC, NatKind.PORT_RESTRICTED})
