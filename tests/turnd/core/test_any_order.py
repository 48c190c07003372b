"""Requests, ends of streams and time in any order: what must hold after every one of them.

The model knows only what a client is told: who was granted what, and for how long. All
else is compared within the server: rows against allocations, ports and quotas against rows.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stun import Address, Family, Message, Method, RawAttribute
from stun import attributes as a
from tests.turnd.core.kit import PEER, PEER6, REALM, RELAY_IP, TCP, UDP, Client, World
from turnd.core.allocation import Allocation
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import AllocationClosed, AllocationMoved, AllocationOpened, Transmit
from turnd.core.settings import Lifetimes, Limits

PORTS = (50000, 50005)
CLIENTS = [
    (Transport.UDP, 1, "alice"),
    (Transport.UDP, 2, "alice"),
    (Transport.UDP, 3, "bob"),
    (Transport.DTLS, 4, "bob"),
    (Transport.TCP, 5, "alice"),
    (Transport.TLS, 6, "bob"),
    (Transport.TCP, 7, "alice"),
]
PEERS = [
    PEER,
    PEER.with_port(9001),
    Address.parse("8.8.4.4", 1),
    PEER6,
    Address.parse("127.0.0.1", 1),
    Address(RELAY_IP, PORTS[0]),
    Address(RELAY_IP, 22),
]

clients = st.integers(0, 4 * len(CLIENTS) - 1)
allowed = st.lists(st.sampled_from(PEERS[:3]), min_size=1, max_size=2)
peers = allowed | st.lists(st.sampled_from(PEERS), min_size=0, max_size=3)
lifetimes = st.sampled_from([None, 0, 1, 700, 2**32 - 1])
families = st.sampled_from([None, Family.IPV4, Family.IPV6])
odd = st.sampled_from(
    [(a.LIFETIME.code, b"\1"), (a.EVEN_PORT.code, b""), (0x7FFF, b""), (0xFFFF, b"optional")]
)
flaws = st.sampled_from(["password", "user", "nonce", "unsigned"])


@attrs.define
class Grant:
    """What the model knows of one allocation: its client, and when each family ends."""

    five_tuple: FiveTuple
    ends: dict[Family, float]


class AnyOrder(RuleBasedStateMachine):
    """A server with few ports, small quotas and everything turned on."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            mobility=True,
            relay_ports=PORTS,
            limits=Limits(
                allocations=6,
                allocations_per_address=5,
                permissions_per_allocation=3,
                channels_per_allocation=2,
                connections_per_allocation=2,
            ),
            realms={REALM: Limits(allocations_per_user=3)},
            lifetimes=Lifetimes(nonce=100_000),
        )
        self.clients = [
            self.world.client(port, transport=transport, user=user)
            for transport, port, user in CLIENTS
        ]
        self.data_connections = [
            self.world.client(100, transport=Transport.TCP, user="alice"),
            self.world.client(101, transport=Transport.TLS, user="bob"),
        ]
        for client in self.clients + self.data_connections:
            client.learn_nonce()
        self.grants: dict[int, Grant] = {}
        self.tokens: list[bytes] = [bytes(8)]
        self.tickets: list[bytes] = [b"0" * 32]
        self.last: tuple[Client, bytes, bytes, float] | None = None

    # What is done

    @initialize(
        plain=st.sets(st.integers(0, 3)), mobile=st.sets(st.integers(0, 3)), tcp=st.booleans()
    )
    def some_are_there_already(self, plain: set[int], mobile: set[int], tcp: bool) -> None:
        for number in sorted(plain | mobile):
            ticket = [a.MOBILITY_TICKET.of(b"")] if number in mobile else []
            listed = [a.REQUESTED_TRANSPORT.of(UDP), *ticket]
            self.ask(self.clients[number], Method.ALLOCATE, *listed)
        if tcp:
            for client in self.clients[4:6]:
                self.ask(client, Method.ALLOCATE, a.REQUESTED_TRANSPORT.of(TCP))

    def pick(self, who: int) -> Client:
        """Choose a client, more often than not one that holds an allocation."""
        holders = [
            each for each in self.clients if self.world.server.has_allocation(each.five_tuple)
        ]
        pool = holders if holders and who % 4 else self.clients
        return pool[who // 4 % len(pool)]

    def note(self, outputs: list[Any]) -> None:
        """Follow the events as a log would."""
        for output in outputs:
            if isinstance(output, AllocationOpened):
                ends = {
                    each.local.family: self.world.now + output.lifetime for each in output.relayed
                }
                assert output.allocation not in self.grants
                self.grants[output.allocation] = Grant(output.five_tuple, ends)
            elif isinstance(output, AllocationMoved):
                assert self.grants[output.allocation].five_tuple == output.old_five_tuple
                self.grants[output.allocation].five_tuple = output.five_tuple
            elif isinstance(output, AllocationClosed):
                assert self.grants.pop(output.allocation).five_tuple == output.five_tuple

    def answers(self, outputs: list[Any]) -> list[Message]:
        return [Message.decode(each.data) for each in outputs if isinstance(each, Transmit)]

    def ask(
        self, client: Client, method: Method, *attributes: RawAttribute, **more: Any
    ) -> Message | None:
        data = client.encode(method, attributes, **more)
        outputs = self.world.server.receive(data, client.five_tuple, self.world.now)
        self.note(outputs)
        answers = self.answers(outputs)
        assert len(answers) == 1 or (method is Method.CONNECT and not answers)
        if not answers:
            return None
        (answer,) = answers
        assert answer.transaction_id == Message.decode(data).transaction_id
        assert answer.method == method
        error = answer.get(a.ERROR_CODE)
        event(f"{method.name} {error.code if error else 'success'}")
        remembered = method in {Method.ALLOCATE, Method.REFRESH}
        if remembered:
            self.last = None
        if error is not None:
            return None
        if remembered and not client.five_tuple.transport.is_stream:
            self.last = (client, data, answer.raw, self.world.now)
        self.tokens += answer.get_all(a.RESERVATION_TOKEN)
        self.tickets += answer.get_all(a.MOBILITY_TICKET)
        return answer

    def grant_of(self, five_tuple: FiveTuple) -> Grant:
        (found,) = [each for each in self.grants.values() if each.five_tuple == five_tuple]
        return found

    @rule(
        who=clients,
        protocol=st.sampled_from([UDP] * 6 + [TCP] * 3 + [99]),
        lifetime=lifetimes,
        family=families,
        more=st.sampled_from(["", "", "", "dual", "even", "pair", "token", "ticket", "odd"]),
        data=st.data(),
    )
    def allocate(
        self,
        who: int,
        protocol: int,
        lifetime: int | None,
        family: Family | None,
        more: str,
        data: st.DataObject,
    ) -> None:
        listed = [a.REQUESTED_TRANSPORT.of(protocol)]
        listed += [] if lifetime is None else [a.LIFETIME.of(lifetime)]
        listed += [] if family is None else [a.REQUESTED_ADDRESS_FAMILY.of(family)]
        if more == "dual":
            listed.append(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6))
        elif more in {"even", "pair"}:
            listed.append(a.EVEN_PORT.of(more == "pair"))
        elif more == "token":
            listed.append(a.RESERVATION_TOKEN.of(data.draw(st.sampled_from(self.tokens))))
        elif more == "ticket":
            listed.append(a.MOBILITY_TICKET.of(b""))
        elif more == "odd":
            listed.append(data.draw(odd))
        client = self.clients[who % len(self.clients)]
        held = self.world.server.has_allocation(client.five_tuple)
        answer = self.ask(client, Method.ALLOCATE, *listed)
        if answer is not None:
            assert not held
            relayed = answer.get_all(a.XOR_RELAYED_ADDRESS)
            ends = self.grant_of(client.five_tuple).ends
            assert {address.family for address in relayed} == set(ends)
            for address in relayed:
                assert PORTS[0] <= address.port <= PORTS[1]
                assert more not in {"even", "pair"} or address.port % 2 == 0

    @rule(who=clients, lifetime=lifetimes, family=families, ticket=st.booleans(), data=st.data())
    def refresh(
        self,
        who: int,
        lifetime: int | None,
        family: Family | None,
        ticket: bool,
        data: st.DataObject,
    ) -> None:
        listed = [] if lifetime is None else [a.LIFETIME.of(lifetime)]
        listed += [] if family is None else [a.REQUESTED_ADDRESS_FAMILY.of(family)]
        if ticket:
            listed.append(a.MOBILITY_TICKET.of(data.draw(st.sampled_from(self.tickets))))
        client = self.pick(who)
        five_tuple = client.five_tuple
        answer = self.ask(client, Method.REFRESH, *listed)
        if answer is None:
            return
        granted = answer.get(a.LIFETIME)
        assert granted is not None
        if not self.world.server.has_allocation(five_tuple):
            assert granted == lifetime == 0
            return
        ends = self.grant_of(five_tuple).ends
        for each in [family] if family else list(ends):
            if granted:
                ends[each] = self.world.now + granted
            else:
                del ends[each]

    @rule(who=clients, to=peers)
    def create_permission(self, who: int, to: list[Address]) -> None:
        client = self.pick(who)
        answer = self.ask(client, Method.CREATE_PERMISSION, peers=to)
        rows = self.world.tables.permissions
        if answer is not None and not self.allocation_of(client).tcp:
            number = self.allocation_of(client).number
            assert all(rows[number, peer.packed][0] == self.world.now + 300 for peer in to)

    @rule(who=clients, to=peers, number=st.sampled_from([0x4000, 0x4001, 0x7FFF, 0x3FFF]))
    def channel_bind(self, who: int, to: list[Address], number: int) -> None:
        client = self.pick(who)
        answer = self.ask(client, Method.CHANNEL_BIND, a.CHANNEL_NUMBER.of(number), peers=to)
        if answer is not None:
            row = self.world.tables.channels[self.allocation_of(client).number, number]
            assert row == (to[0], self.world.now + 600)

    @rule(who=clients, to=peers)
    def connect(self, who: int, to: list[Address]) -> None:
        controls = [
            each
            for each in self.clients
            if (found := self.state.allocation_of(each.five_tuple)) is not None and found.tcp
        ]
        client = controls[who // 4 % len(controls)] if controls and who % 4 else self.pick(who)
        self.ask(client, Method.CONNECT, peers=to)

    @rule(what=st.sampled_from(["connected", "connected", "unreachable", "closed"]), data=st.data())
    def peer_connection_changes(self, what: str, data: st.DataObject) -> None:
        known = sorted(self.state.connections._by_number)
        number = data.draw(st.sampled_from([*known, 4711]))
        server = self.world.server
        if what == "connected":
            answers = self.answers(server.peer_connected(number, self.world.now))
            assert len(answers) <= 1
            event(f"connected: {len(answers)} answers")
        elif what == "unreachable":
            assert len(self.answers(server.peer_unreachable(number))) <= 1
        else:
            server.connection_closed(number)

    @rule(peer=st.sampled_from(PEERS), data=st.data())
    def peer_arrives(self, peer: Address, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([*self.world.tcp_relay.relays, 4711]))
        connection, outputs = self.world.server.peer_arrived(number, peer, self.world.now)
        assert (connection is None) == (outputs == [])
        event(f"arrived: {'closed' if connection is None else 'announced'}")

    @rule(who=clients, data=st.data())
    def connection_bind(self, who: int, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([*sorted(self.state.connections._by_number), 4711]))
        client = self.data_connections[who // 4 % 2] if who % 4 else self.pick(who)
        self.ask(client, Method.CONNECTION_BIND, a.CONNECTION_ID.of(number))

    @rule(who=clients, method=st.sampled_from(Method), flaw=flaws)
    def forged_request_changes_nothing(self, who: int, method: Method, flaw: str) -> None:
        client = self.pick(who)
        forged = attrs.evolve(client, count=1_000_000)
        if flaw == "password":
            forged.password = "guess"
        elif flaw == "user":
            forged.user = {"alice": "bob", "bob": "alice"}[client.user]
        elif flaw == "nonce":
            forged.nonce = b"x" + client.nonce
        elif method is Method.BINDING:
            return
        if flaw == "user" and not self.world.server.has_allocation(client.five_tuple):
            return
        before = self.picture()
        listed = [a.LIFETIME.of(0), a.REQUESTED_TRANSPORT.of(UDP), a.CHANNEL_NUMBER.of(0x4000)]
        data = forged.encode(method, listed, peers=[PEER], signed=flaw != "unsigned")
        outputs = self.world.server.receive(data, client.five_tuple, self.world.now)
        assert len(self.answers(outputs)) <= 1
        assert self.picture() == before

    @rule()
    def retransmission_gets_the_same_answer(self) -> None:
        if self.last is None:
            return
        client, data, answer, then = self.last
        if self.world.now - then >= 40:
            return
        if Message.decode(answer).method == Method.REFRESH and not Message.decode(answer).has(
            a.MOBILITY_TICKET
        ):
            return  # a plain Refresh is idempotent as it is
        event("retransmitted")
        before = self.picture()
        outputs = self.world.server.receive(data, client.five_tuple, self.world.now)
        assert [each.raw for each in self.answers(outputs)] == [answer]
        assert self.picture() == before

    @rule(who=clients)
    def stream_ends(self, who: int) -> None:
        five_tuple = self.pick(who).five_tuple
        if five_tuple.transport is not Transport.UDP:
            self.note(self.world.server.client_gone(five_tuple, self.world.now))

    @rule(who=clients)
    def session_fails(self, who: int) -> None:
        five_tuple = self.pick(who).five_tuple
        self.note(self.world.server.fail(five_tuple, self.world.now))
        assert not self.world.server.has_allocation(five_tuple)

    @rule(ports=st.sets(st.integers(*PORTS)))
    def other_programs_take_ports(self, ports: set[int]) -> None:
        self.world.tables.in_use = ports

    @rule(seconds=st.sampled_from([0.5, 29.0, 30.0, 299.0, 301.0, 600.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.note(self.world.advance(seconds))
        for grant in self.grants.values():
            for family, end in list(grant.ends.items()):
                if end <= self.world.now:
                    del grant.ends[family]

    # What must hold

    @property
    def state(self) -> Any:
        return self.world.server._state

    def allocation_of(self, client: Client) -> Allocation:
        found: Allocation | None = self.state.allocation_of(client.five_tuple)
        assert found is not None
        return found

    def picture(self) -> Any:
        """All that requests may change, as values."""
        tables, state = self.world.tables, self.state
        return [
            dict(tables.relays),
            dict(tables.clients),
            set(tables.reserved),
            dict(tables.permissions),
            dict(tables.channels),
            dict(state.deadlines._deadlines),
            dict(self.world.tcp_relay.relays),
            sorted(state.connections._by_number),
        ]

    @invariant()
    def server_agrees_with_what_clients_were_told(self) -> None:
        live = {each.number: (each.five_tuple, set(each.relayed)) for each in self.allocations()}
        told = {number: (each.five_tuple, set(each.ends)) for number, each in self.grants.items()}
        assert live == told

    def allocations(self) -> list[Allocation]:
        return list(self.state.allocations)

    @invariant()
    def rows_are_those_of_allocations(self) -> None:
        tables = self.world.tables
        over_udp = [each for each in self.allocations() if not each.tcp]
        assert tables.clients == {each.number: each.five_tuple for each in over_udp}
        assert tables.relays == {
            relayed.local: each.number for each in over_udp for relayed in each.relayed.values()
        }
        assert {key: deadline for key, (deadline, _) in tables.permissions.items()} == {
            (each.number, ip): end for each in over_udp for ip, end in each.permissions.items()
        }
        assert tables.channels == {
            (each.number, number): row for each in over_udp for number, row in each.channels.items()
        }
        for each in over_udp:
            assert each.channel_of == {peer: n for n, (peer, _) in each.channels.items()}
        over_tcp = {each.number for each in self.allocations() if each.tcp}
        assert set(self.world.tcp_relay.relays) == over_tcp
        tcp_relays = {
            relayed.local
            for each in self.allocations()
            if each.tcp
            for relayed in each.relayed.values()
        }
        assert set(self.state.tcp_relayed) == tcp_relays

    @invariant()
    def ports_in_use_are_those_of_allocations_and_reservations(self) -> None:
        held = [r.local for each in self.allocations() for r in each.relayed.values()]
        held_by = self.state.reservations._by_token
        reserved = [each.relayed.local for each in held_by.values()]
        assert self.world.tables.reserved == set(reserved)
        assert len(set(held + reserved)) == len(held + reserved)
        assert self.state.addresses._in_use == set(held + reserved)
        for packed, pool in self.state.addresses._pools.items():
            used = sum(address.packed == packed for address in held + reserved)
            assert len(pool) == PORTS[1] - PORTS[0] + 1 - used

    @invariant()
    def quotas_count_allocations(self) -> None:
        allocations = self.allocations()
        counts = self.state.allocations
        assert counts._per_realm == Counter(each.realm for each in allocations)
        assert counts._per_user == Counter(
            (each.realm, each.credential.owner) for each in allocations
        )
        assert sum(counts._per_address.values()) == len(allocations) <= 6
        assert all(count <= 3 for count in counts._per_user.values())

    @invariant()
    def everything_ends_by_itself(self) -> None:
        deadlines = self.state.deadlines._deadlines
        for each in self.allocations():
            for family in each.relayed:
                assert deadlines["relay", each.number, family] > self.world.now
        for token in self.state.reservations._by_token:
            assert deadlines["reservation", token] > self.world.now
        relays = sum(len(each.relayed) for each in self.allocations())
        assert sum(key[0] == "relay" for key in deadlines) == relays
        assert sum(key[0] == "reservation" for key in deadlines) == len(self.state.reservations)

    @invariant()
    def limits_of_an_allocation_hold(self) -> None:
        numbers = {each.number for each in self.allocations()}
        for each in self.allocations():
            assert len(each.permissions) <= 3
            assert len(each.channels) <= 2
        by_allocation = Counter(
            connection.allocation for connection in self.state.connections._by_number.values()
        )
        assert set(by_allocation) <= numbers
        assert all(count <= 2 for count in by_allocation.values())

    @invariant()
    def tickets_lead_to_live_allocations(self) -> None:
        live = set(map(id, self.allocations()))
        assert all(id(each) in live for each in self.state.allocations._by_ticket.values())

    def teardown(self) -> None:
        """Everything is released when the server stops."""
        self.note(self.world.server.close_all(self.world.now))
        self.world.advance(30)
        assert not self.grants
        tables = self.world.tables
        rows = (tables.relays, tables.clients, tables.permissions, tables.channels)
        assert not any(rows)
        assert not tables.reserved
        assert not self.world.tcp_relay.relays
        assert len(self.state.connections) == 0
        self.ports_in_use_are_those_of_allocations_and_reservations()
        self.quotas_count_allocations()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
