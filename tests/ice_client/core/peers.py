"""One end of a simulated call: an agent, its sockets, and what happened to it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import attrs

from ice_client.core import (
    AgentState,
    Base,
    Candidate,
    CandidateType,
    ConsentLost,
    Credentials,
    Event,
    Foundations,
    IceAgent,
    PairSelected,
    Role,
    SelectedPair,
    Settings,
    Transmit,
    local_candidate,
)
from stun import Address
from tests.ice_client.core.network import Nat, NatKind, Network, Relay

STUN_SERVER = Address.parse("198.51.100.1", 3478)
CONNECTED = {AgentState.CONNECTED, AgentState.COMPLETED}
_DATA = b"\x80data:"


@attrs.frozen
class Received:
    """Application data, and the way it came."""

    data: bytes
    base: Base
    source: Address


class Peer:
    """A host with one agent.

    Args:
        network: what it is on.
        rng: seeded; its randomness.
        number: 1 or 2; decides its addresses.
        nat: what it is behind.
        has_relay: it has an allocation.
        hosts: how many host addresses it has; only the first leads anywhere.
        role: see `IceAgent`.
        settings: see `IceAgent`.

    """

    def __init__(
        self,
        network: Network,
        rng: random.Random,
        number: int,
        nat: NatKind,
        role: Role,
        settings: Settings,
        *,
        has_relay: bool = False,
        hosts: int = 1,
    ) -> None:
        self.network = network
        self.events: list[Event] = []
        self.received: list[Received] = []
        self.heard_at = network.now
        self.sent_at = network.now
        self.is_renomination = settings.renomination
        self._rng = rng
        self._settings = settings
        self._number = number
        self._nat_kind = nat
        self._has_relay = has_relay
        self._hosts = hosts
        self._nat = Nat(network, nat, Address.parse(f"203.0.113.{number}"))
        self._relays: dict[Base, Relay] = {}
        self._foundations = Foundations()
        self._candidates: list[tuple[int, Candidate]] = []
        self.agent = IceAgent(role, self.new_credentials(), rng.randbytes, settings)

    def new_credentials(self) -> Credentials:
        return Credentials.generate(self._rng.randbytes)

    @property
    def is_connected(self) -> bool:
        return self.agent.state in CONNECTED

    def gather(self, tell: Callable[[int, Candidate | None], None], spread: float) -> None:
        """Gather within `spread` seconds, telling of each candidate, then of the end (None).

        A generation's sockets are used again by the next one.
        """
        self._candidates.clear()  # a NAT may have given its address for a socket anew
        self._make_candidates()
        agent = self.agent
        generation = agent.local_credentials
        last = 0.0
        for stream, candidate in self._candidates:
            delay = self._rng.random() * spread
            last = max(last, delay)
            self.network.call_later(delay, self._found(generation, stream, candidate, tell))

        def end() -> None:
            if agent.local_credentials == generation:
                agent.end_of_local_candidates(self.network.now)
                tell(0, None)

        self.network.call_later(last + 0.001, end)

    def _found(
        self,
        generation: Credentials,
        stream: int,
        candidate: Candidate,
        tell: Callable[[int, Candidate | None], None],
    ) -> Callable[[], None]:
        def found() -> None:
            if self.agent.local_credentials != generation:
                return
            told = attrs.evolve(candidate, username_fragment=generation.username_fragment)
            if self.agent.add_local_candidate(told, self.network.now, stream):
                tell(stream, told)

        return found

    def _make_candidates(self) -> None:
        port = 5000
        for stream, components in enumerate(self._settings.components):
            for component in range(1, components + 1):
                self._make_component(stream, component, port)
                port += 10

    def _make_component(self, stream: int, component: int, port: int) -> None:
        network = f"203.0.113.{self._number}" if self._nat_kind is NatKind.NONE else ""
        host = Address.parse(network or f"10.0.{self._number}.1", port)
        self._listen(host)
        make = self._foundations
        preference = 65535

        def add(kind: CandidateType, address: Address, base: Address | None = None) -> None:
            server = None if kind is CandidateType.HOST else STUN_SERVER
            candidate = local_candidate(
                kind,
                address,
                make,
                component=component,
                base=base,
                server=server,
                related_address=base,
                local_preference=preference,
            )
            self._candidates.append((stream, candidate))

        add(CandidateType.HOST, host)
        mapped = self._nat.mapped(host, STUN_SERVER)
        if mapped != host and not self._settings.lite:
            add(CandidateType.SERVER_REFLEXIVE, mapped, host)
        if self._has_relay and not self._settings.lite:
            relayed = Address.parse(f"198.51.100.{10 + self._number}", port)
            base = Base(relayed)
            if base not in self._relays:
                self._relays[base] = Relay(
                    self.network, relayed, lambda data, source: self._arrived(data, base, source)
                )
            add(CandidateType.RELAYED, relayed)
        for extra in range(1, self._hosts):
            preference = 65535 - extra
            # An interface that leads nowhere: its checks are lost.
            add(CandidateType.HOST, Address.parse(f"172.16.{self._number}.{extra}", port))

    def add_remote_candidate(self, candidate: Candidate, stream: int) -> None:
        """Take one of the other's, and let it in at our relays (RFC 8445 §7.2.1)."""
        for relay in self._relays.values():
            relay.permit(candidate.address)
        self.agent.add_remote_candidate(candidate, self.network.now, stream)

    def _listen(self, inside: Address) -> None:
        base = Base(inside)
        self._nat.listen(inside, lambda data, source: self._arrived(data, base, source))

    def _arrived(self, data: bytes, base: Base, source: Address) -> None:
        if self.agent.receive(data, base, source, self.network.now):
            self.heard_at = self.network.now
        elif self.agent.is_valid_source(base, source):
            self.received.append(Received(data, base, source))

    def send_data(self, text: bytes, component: int = 1, stream: int = 0) -> None:
        pair = self.agent.send_pair(component, stream)
        if pair is not None:
            self._send(_DATA + text, pair.base, pair.destination)

    def _send(self, data: bytes, base: Base, destination: Address) -> None:
        if base in self._relays:
            self._relays[base].send(data, destination)
        elif not base.address.host.startswith("172.16."):
            self._nat.send(data, base.address, destination)

    def flush(self) -> None:
        """Do what the agent has put out."""
        queue = deque(self.agent.take_outputs())
        while queue:
            output = queue.popleft()
            if isinstance(output, Transmit):
                self.sent_at = self.network.now
                self._send(output.data, output.base, output.destination)
            else:
                self.events.append(output)

    def rebind(self) -> None:
        self._nat.rebind()

    def selections(self) -> list[SelectedPair]:
        return [event.pair for event in self.events if isinstance(event, PairSelected)]

    def lost_consent(self) -> bool:
        return any(isinstance(event, ConsentLost) for event in self.events)
