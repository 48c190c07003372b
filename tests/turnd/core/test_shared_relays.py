"""Allocations that share relayed transport addresses, where engine and operator have it so."""

from __future__ import annotations

from typing import Any

from stun import Address
from stun import attributes as a
from tests.turnd.core.kit import TCP, Client, Reply, World
from turnd.core.five_tuple import Transport
from turnd.core.settings import RelayIp


def sharing(**changes: Any) -> World:
    world = World(shared_relays=True, **changes)
    world.tables.shares_relays = True
    return world


def relayed(reply: Reply) -> Address:
    address = reply.message.get(a.XOR_RELAYED_ADDRESS)
    assert address is not None
    return address


def clients(world: World, count: int) -> list[Client]:
    return [world.client(40000 + number) for number in range(count)]


def test_clients_share_one_address_which_stays_when_they_go() -> None:
    world = sharing(relay_ports=(50000, 50001))
    first, second, third = clients(world, 3)
    address = relayed(first.allocated())
    assert relayed(second.allocated()) == address
    assert first.refresh(0).code == 0
    assert second.refresh(0).code == 0
    assert relayed(third.allocated()) == address


def test_the_shared_address_has_its_outside_name() -> None:
    local, public = b"\x0a\0\0\x05", b"\xcb\0\x71\x05"
    world = sharing(relay_ips=(RelayIp(local, public),))
    addresses = {relayed(client.allocated()) for client in clients(world, 2)}
    assert {address.packed for address in addresses} == {public}
    assert len(addresses) == 1


def test_who_asks_for_an_even_port_has_one_of_his_own() -> None:
    world = sharing()
    shared, own = clients(world, 2)
    address = relayed(shared.allocated())
    even = relayed(own.allocate(a.EVEN_PORT.of(False)))
    assert even != address
    assert even.port % 2 == 0


def test_tcp_allocations_share_nothing() -> None:
    world = sharing()
    one, other = (world.client(40000 + number, transport=Transport.TCP) for number in range(2))
    addresses = {relayed(client.allocated(protocol=TCP)) for client in (one, other)}
    assert len(addresses) == 2


def test_an_engine_that_can_not_share_gives_each_its_own() -> None:
    world = World(shared_relays=True)
    assert len({relayed(client.allocated()) for client in clients(world, 3)}) == 3
