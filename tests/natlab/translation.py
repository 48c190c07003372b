"""The table of a NAT: mapping and filtering of RFC 4787, nothing else.

No packets, no clock and no sockets in here: endpoints and `now` come in, endpoints go out.
`tests.natlab.routers` rewrites packets by what this says.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator

import attrs

from tests.natlab.behaviour import Behaviour, PortAssignment
from tests.natlab.packet import Endpoint

_PORTS = range(1024, 65_536)


@attrs.define(slots=True)
class Mapping:
    """An outside port that stands for an inside endpoint.

    Attributes:
        protocol: IP's number.
        inside: the endpoint behind the NAT.
        remote: what of the remote endpoint it was made for (`Dependence.key`).
        port: on the NAT's outside address.
        deadline: when it goes.
        permitted: keys of the remote endpoints that may send, and until when.

    """

    protocol: int
    inside: Endpoint
    remote: Hashable
    port: int
    deadline: float
    permitted: dict[Hashable, float] = attrs.field(factory=dict)


@attrs.define
class TranslationTable:
    """All mappings of a NAT that has one outside address.

    Args:
        behaviour: what it does.
        seed: of random ports, so that a run repeats.
        ports: those it has.

    """

    behaviour: Behaviour
    seed: int = 0
    ports: range = _PORTS
    _by_inside: dict[tuple[int, Endpoint, Hashable], Mapping] = attrs.field(factory=dict)
    _by_port: dict[tuple[int, int], Mapping] = attrs.field(factory=dict)
    _retired: set[tuple[int, int]] = attrs.field(factory=set)
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __iter__(self) -> Iterator[Mapping]:
        return iter(tuple(self._by_port.values()))

    def outbound(self, protocol: int, inside: Endpoint, remote: Endpoint, now: float) -> int | None:
        """Take a packet from inside: return its outside port, None if no port is left.

        Makes or refreshes the mapping and lets the remote endpoint answer.
        """
        key = self.behaviour.mapping.key(remote)
        mapping = self._by_inside.get((protocol, inside, key))
        if mapping is not None and mapping.deadline <= now:
            self._remove(mapping)
            mapping = None
        deadline = now + self.behaviour.lifetime
        if mapping is None:
            port = self._free_port(protocol, inside[1], now)
            if port is None:
                return None
            mapping = Mapping(protocol, inside, key, port, deadline)
            self._by_inside[protocol, inside, key] = mapping
            self._by_port[protocol, port] = mapping
        mapping.deadline = deadline
        mapping.permitted[self.behaviour.filtering.key(remote)] = deadline
        return mapping.port

    def inbound(self, protocol: int, port: int, remote: Endpoint, now: float) -> Endpoint | None:
        """Take a packet from outside: return whom it is for, None if it is filtered."""
        mapping = self._by_port.get((protocol, port))
        if mapping is None or mapping.deadline <= now:
            return None
        allowed_until = mapping.permitted.get(self.behaviour.filtering.key(remote))
        return None if allowed_until is None or allowed_until <= now else mapping.inside

    def inside_of(self, protocol: int, port: int, now: float) -> Endpoint | None:
        """Return the inside endpoint of a port, whoever asks: for ICMP errors (RFC 5508 §4)."""
        mapping = self._by_port.get((protocol, port))
        return None if mapping is None or mapping.deadline <= now else mapping.inside

    def port_of(self, protocol: int, inside: Endpoint, remote: Endpoint, now: float) -> int | None:
        """Return the port of a mapping without making or refreshing it: for ICMP errors."""
        mapping = self._by_inside.get((protocol, inside, self.behaviour.mapping.key(remote)))
        return None if mapping is None or mapping.deadline <= now else mapping.port

    def rebind(self) -> None:
        """Forget all mappings, as a NAT does that restarts.

        Ports of before are not given again, so that even a NAT which preserves ports shows
        the change.
        """
        self._retired.update(self._by_port)
        self._by_inside.clear()
        self._by_port.clear()

    def _remove(self, mapping: Mapping) -> None:
        self._by_inside.pop((mapping.protocol, mapping.inside, mapping.remote), None)
        self._by_port.pop((mapping.protocol, mapping.port), None)

    def _free_port(self, protocol: int, wanted: int, now: float) -> int | None:
        if self.behaviour.ports is PortAssignment.RANDOM:
            wanted = self._random.choice(self.ports)
        for step in range(len(self.ports)):
            port = self.ports[(wanted - self.ports.start + step) % len(self.ports)]
            if (protocol, port) in self._retired:
                continue
            mapping = self._by_port.get((protocol, port))
            if mapping is None:
                return port
            if mapping.deadline <= now:
                self._remove(mapping)
                return port
        return None
