"""RFC 8656 §7.2: which relayed transport address a client gets; EVEN-PORT and reservations."""

from collections import Counter

import pytest

from stun import Address, Family
from stun import attributes as a
from tests.turnd.core.kit import (
    RELAY_IP,
    RELAY_IP6,
    World,
)
from turnd.core.settings import RelayIp
from turnd.core.tables import RelayUnavailableError


def test_family_without_relay_address_is_not_supported() -> None:
    world = World(relay_ips=(RelayIp(RELAY_IP, RELAY_IP),))
    assert world.client().allocate(a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)).code == 440
    only_ipv6 = World(relay_ips=(RelayIp(RELAY_IP6, RELAY_IP6),))
    assert only_ipv6.client().allocate().code == 440


def test_family_that_nobody_knows_is_not_supported_either() -> None:
    # RFC 8656 §7.2 point 7: 440 for what the server does not support; §8.2: 443 in Refresh.
    client = World().client()
    unknown = (a.REQUESTED_ADDRESS_FAMILY.code, b"\x03\0\0\0")
    assert client.allocate(unknown).code == 440
    assert client.allocate((a.REQUESTED_ADDRESS_FAMILY.code, b"\x01\0")).code == 400
    client.allocated()
    assert client.refresh(600, unknown).code == 443


def test_even_port_is_even() -> None:
    world = World()
    for port in range(1, 20):
        reply = world.client(port).allocated(a.EVEN_PORT.of(False))
        relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert relayed.port % 2 == 0
        assert not reply.message.has(a.RESERVATION_TOKEN)


def reserve(world: World) -> tuple[Address, bytes]:
    reply = world.client().allocated(a.EVEN_PORT.of(True))
    relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
    token = reply.message.get(a.RESERVATION_TOKEN)
    assert relayed is not None
    assert token is not None
    assert relayed.port % 2 == 0
    assert world.tables.reserved == {relayed.with_port(relayed.port + 1)}
    return relayed, token


def test_reserved_port_is_had_for_its_token_once() -> None:
    world = World()
    relayed, token = reserve(world)
    world.advance(29)
    reply = world.client(41000).allocated(a.RESERVATION_TOKEN.of(token))
    assert reply.message.get(a.XOR_RELAYED_ADDRESS) == relayed.with_port(relayed.port + 1)
    assert not world.tables.reserved
    assert world.client(42000).allocate(a.RESERVATION_TOKEN.of(token)).code == 508


def test_reservation_is_held_for_30_seconds_and_then_let_go() -> None:
    world = World()
    _, token = reserve(world)
    world.advance(30)
    assert not world.tables.reserved
    assert world.client(41000).allocate(a.RESERVATION_TOKEN.of(token)).code == 508


def test_ports_are_spread_over_the_whole_range() -> None:
    world = World(relay_ports=(50000, 50999))
    ports = Counter[int]()
    for port in range(1000, 1200):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        ports[(relayed.port - 50000) // 250] += 1
    assert sum(ports.values()) == 200
    assert all(count > 25 for count in ports.values())


def test_port_of_another_program_is_passed_over() -> None:
    world = World(relay_ports=(50000, 50003))
    world.tables.in_use = {50000, 50001, 50002}
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.port == 50003


def test_no_port_left_is_insufficient_capacity_and_a_freed_one_is_used_again() -> None:
    world = World(relay_ports=(50000, 50001))
    clients = [world.client(port) for port in (1, 2, 3)]
    clients[0].allocated()
    clients[1].allocated()
    assert clients[2].allocate().code == 508
    assert clients[0].refresh(0).code == 0
    assert clients[2].allocate().code == 0


def test_external_address_is_what_clients_are_told() -> None:
    public = Address.parse("203.0.113.5").packed
    world = World(relay_ips=(RelayIp(RELAY_IP, public),))
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.packed == public
    assert Address(RELAY_IP, relayed.port) in world.tables.relays


def test_relay_is_on_the_address_the_client_talks_to_if_it_can_be() -> None:
    other = Address.parse("192.0.2.99").packed
    world = World(relay_ips=(RelayIp(other, other), RelayIp(RELAY_IP, RELAY_IP)))
    for port in range(1, 10):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert relayed.packed == RELAY_IP


def test_reservation_that_cannot_be_taken_up_is_let_go_whole() -> None:
    world = World(relay_ports=(50000, 50001))
    relayed, token = reserve(world)
    odd = relayed.with_port(relayed.port + 1)
    world.tables.reserved.discard(odd)
    world.tables.in_use.add(odd.port)
    assert world.client(2).allocate(a.RESERVATION_TOKEN.of(token)).code == 508
    world.tables.in_use.clear()
    reply = world.client(3).allocated()
    assert reply.message.get(a.XOR_RELAYED_ADDRESS) == odd


def test_reservation_ends_though_its_allocation_ended_before() -> None:
    world = World(relay_ports=(50000, 50001))
    client = world.client()
    token = client.allocated(a.EVEN_PORT.of(True)).message.get(a.RESERVATION_TOKEN)
    assert token
    client.refresh(0)
    assert len(world.tables.reserved) == 1
    world.advance(30)
    assert not world.tables.reserved
    assert [world.client(port).allocate().code for port in (1, 2, 3)] == [0, 0, 508]


def test_pair_of_ports_is_all_or_nothing() -> None:
    world = World(relay_ports=(50000, 50003))
    world.tables.in_use = {50001, 50002}
    assert world.client().allocate(a.EVEN_PORT.of(True)).code == 508
    assert not world.tables.relays
    assert not world.tables.reserved
    world.tables.in_use.clear()
    codes = [world.client(port).allocate().code for port in range(1, 6)]
    assert codes == [0, 0, 0, 0, 508]


@pytest.mark.parametrize("way_out", ["refresh-zero", "expired"])
def test_both_ports_of_a_dual_allocation_come_back(way_out: str) -> None:
    world = World(relay_ports=(50000, 50000))
    client = world.client(1)
    dual = a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6)
    client.allocated(dual)
    assert world.client(2).allocate(dual).code == 508
    if way_out == "expired":
        world.advance(600)
    else:
        client.refresh(0)
    assert not world.tables.relays
    assert len(world.client(3).allocated(dual).message.get_all(a.XOR_RELAYED_ADDRESS)) == 2


def test_ports_in_use_stay_in_use_when_the_configuration_changes() -> None:
    world = World(relay_ports=(50000, 50003))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50003))
    codes = [world.client(port).allocate().code for port in (3, 4, 5)]
    assert codes == [0, 0, 508]
    held[0].refresh(0)
    assert world.client(6).allocate().code == 0


def test_relay_address_may_go_and_come_back_under_its_allocations() -> None:
    world = World(relay_ports=(50000, 50001))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50001), relay_ips=(RelayIp(RELAY_IP6, RELAY_IP6),))
    assert world.client(3).allocate().code == 440
    held[0].refresh(0)
    world.reconfigure(relay_ports=(50000, 50001))
    codes = [world.client(port).allocate().code for port in (4, 5)]
    assert codes == [0, 508]
    assert held[1].refresh(0).code == 0
    assert world.client(6).allocate().code == 0


def test_range_of_ports_may_shrink_under_its_allocations() -> None:
    world = World(relay_ports=(50000, 50001))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50000))
    assert world.client(3).allocate().code == 508
    for client in held:
        assert client.refresh(0).code == 0
    relayed = world.client(4).allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.port == 50000
    assert world.client(5).allocate().code == 508


def test_another_relay_address_is_used_when_one_is_full() -> None:
    other = Address.parse("192.0.2.99").packed
    ips = (RelayIp(RELAY_IP, RELAY_IP), RelayIp(other, other))
    world = World(relay_ips=ips, relay_ports=(50000, 50001))
    hosts = Counter[bytes]()
    for port in range(1, 5):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        hosts[relayed.packed] += 1
    assert hosts == {RELAY_IP: 2, other: 2}
    assert world.client(5).allocate().code == 508


def test_port_that_another_program_had_is_used_once_it_is_free() -> None:
    world = World(relay_ports=(50000, 50001))
    world.tables.in_use = {50000, 50001}
    assert world.client(1).allocate().code == 508
    assert world.client(1).allocate(a.EVEN_PORT.of(False)).code == 508
    assert world.client(1).allocate(a.EVEN_PORT.of(True)).code == 508
    world.tables.in_use.clear()
    assert [world.client(port).allocate().code for port in (2, 3)] == [0, 0]


@pytest.mark.parametrize("reserve", [False, True])
def test_another_relay_address_is_used_when_one_cannot_be_bound(reserve: bool) -> None:
    # As when its interface is gone: EADDRNOTAVAIL, for every port of it.
    gone, there = Address.parse("192.0.2.16").packed, Address.parse("192.0.2.17").packed
    world = World(relay_ips=(RelayIp(gone, gone), RelayIp(there, there)))
    bind = world.tables._bind

    def refuse(local: Address) -> None:
        if local.packed == gone:
            raise RelayUnavailableError("no such address here", in_use=False)
        bind(local)

    world.tables._bind = refuse  # type: ignore[method-assign]
    for port in range(1, 9):
        reply = world.client(port).allocated(*([a.EVEN_PORT.of(True)] if reserve else []))
        relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert relayed.packed == there


def test_allocation_that_breaks_half_done_leaves_nothing_open() -> None:
    world = World(relay_ports=(50000, 50001))
    bind = world.tables._bind

    def break_down(local: Address) -> None:
        if local.packed == RELAY_IP6:
            raise ZeroDivisionError
        bind(local)

    world.tables._bind = break_down  # type: ignore[method-assign]
    both = a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6)
    for port in range(1, 9):
        client = world.client(port)
        with pytest.raises(ZeroDivisionError):
            client.allocate(both)
        world.server.fail(client.five_tuple, world.now)
    assert world.tables.relays == {}
    assert world.tables.clients == {}
    world.tables._bind = bind  # type: ignore[method-assign]
    for port in (11, 12):
        world.client(port).allocated(both)
