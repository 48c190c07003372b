"""Peers that are this server's own relays, and endpoints no client may reach."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import channel_data, read_indication
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    LIFETIME,
    LOOPBACK,
    Exchange,
    WorldFactory,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import Traffic
from turnd.datapath.interface import DatapathSettings, Drop

PUBLIC = {Family.IPV4: "203.0.113.7", Family.IPV6: "2001:db8::7"}
FORMS = pytest.mark.parametrize("send", [by_channel, by_indication])
FAMILIES = pytest.mark.parametrize("family", Family)
TRANSPORTS = pytest.mark.parametrize("transport", Transport)


def own_ips(*hosts: str) -> dict[str, Any]:
    return {"own_ips": frozenset(Address.parse(host).packed for host in hosts)}


OWN = own_ips(*LOOPBACK.values(), *PUBLIC.values())


@FORMS
@FAMILIES
@TRANSPORTS
async def test_a_relay_is_reached_inside_under_public_names(
    make_world: WorldFactory, transport: Transport, family: Family, send: Exchange
) -> None:
    """Nothing answers at the documentation addresses: only inside can this arrive."""
    world = await make_world(**OWN)
    sender, receiver = world.client(), world.client(transport)
    first = world.allocate(sender, family, public_host=PUBLIC[family])
    second = world.allocate(receiver, family, public_host=PUBLIC[family])
    world.bind_channel(first, second.relayed.public)
    world.permit(second, first.relayed.public)
    send(sender, second.relayed.public, b"inside")
    indication = read_indication(await receiver.receive())
    assert (indication.peer, indication.data) == (first.relayed.public, b"inside")
    world.bind_channel(second, first.relayed.public)
    send(sender, second.relayed.public, b"by channel")
    padding = 2 if transport in {Transport.TCP, Transport.TLS} else 0
    assert await receiver.receive() == channel_data(CHANNEL, b"by channel", padding)
    await world.delivered_inside(2)
    assert world.engine.traffic(first.number) == Traffic(2, 16, 0, 0)
    assert world.engine.traffic(second.number) == Traffic(0, 0, 2, 16)
    assert world.drops() == {}


async def test_a_relay_is_reached_inside_under_its_local_name_and_answers_in_public(
    make_world: WorldFactory,
) -> None:
    world = await make_world(**OWN)
    sender, receiver = world.client(), world.client()
    first = world.allocate(sender, public_host=PUBLIC[Family.IPV4])
    second = world.allocate(receiver, public_host=PUBLIC[Family.IPV4])
    world.permit(first, second.relayed.local)
    world.permit(second, first.relayed.public)
    by_indication(sender, second.relayed.local, b"by the local name")
    assert read_indication(await receiver.receive()).peer == first.relayed.public
    await world.delivered_inside(1)


async def test_inside_the_receiver_must_hold_a_permission_for_the_senders_public_address(
    make_world: WorldFactory,
) -> None:
    world = await make_world(**OWN)
    sender, receiver = world.client(), world.client()
    first = world.allocate(sender, public_host=PUBLIC[Family.IPV4])
    second = world.allocate(receiver, public_host=PUBLIC[Family.IPV4])
    world.permit(first, second.relayed.public)
    world.permit(second, first.relayed.local)
    by_indication(sender, second.relayed.public, b"not asked for")
    await world.dropped({Drop.NO_PERMISSION: 1})
    assert world.engine.totals().internal == 0
    world.permit(second, first.relayed.public)
    by_indication(sender, second.relayed.public, b"now it is")
    assert read_indication(await receiver.receive()).data == b"now it is"
    world.clock.advance(LIFETIME - 1)
    world.permit(first, second.relayed.public)
    world.clock.advance(2)
    by_indication(sender, second.relayed.public, b"not any more")
    await world.dropped({Drop.NO_PERMISSION: 2})
    assert receiver.is_silent()


async def test_only_what_arrived_counts_as_delivered_inside(make_world: WorldFactory) -> None:
    world = await make_world(**OWN)
    sender, receiver = world.client(), world.client(Transport.TCP, room=1)
    first, second = world.allocate(sender), world.allocate(receiver)
    world.bind_channel(first, second.relay)
    world.bind_channel(second, first.relay)
    for _ in range(3):
        by_channel(sender, second.relay, b"room for one")
    await world.dropped({Drop.CLIENT_QUEUE_FULL: 2})
    await world.delivered_inside(1)
    assert world.engine.traffic(first.number) == Traffic(3, 36, 0, 0)
    assert world.engine.traffic(second.number) == Traffic(0, 0, 1, 12)


@FORMS
async def test_internal_only_reaches_live_relays_and_nothing_else_on_that_address(
    make_world: WorldFactory, send: Exchange
) -> None:
    world = await make_world(**OWN)
    sender, receiver, service = world.client(), world.client(), world.peer()
    first, second = world.allocate(sender), world.allocate(receiver)
    world.permit(second, first.relay)
    for number, peer in ((CHANNEL, second.relay), (CHANNEL + 1, service.address)):
        world.engine.set_channel(first.number, number, peer, world.clock.now + LIFETIME)
    world.permit(first, second.relay, internal_only=True)
    send(sender, second.relay, b"to a relay")
    assert read_indication(await receiver.receive()).data == b"to a relay"
    if send is by_channel:
        sender.send(channel_data(CHANNEL + 1, b"to a service"))
    else:
        by_indication(sender, service.address, b"to a service")
    await world.dropped({Drop.PEER_DENIED: 1})
    world.engine.close_allocation(second.number)
    send(sender, second.relay, b"to a relay that was")
    await world.dropped({Drop.PEER_DENIED: 2})
    assert service.is_silent()


async def test_a_permission_may_become_internal_only_and_back(make_world: WorldFactory) -> None:
    world = await make_world(**OWN)
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    by_indication(client, peer.address, b"allowed")
    assert await peer.receive() == b"allowed"
    world.permit(allocation, peer.address, internal_only=True)
    by_indication(client, peer.address, b"denied")
    await world.dropped({Drop.PEER_DENIED: 1})
    world.permit(allocation, peer.address)
    by_indication(client, peer.address, b"allowed again")
    assert await peer.receive() == b"allowed again"


async def test_an_allocation_may_send_to_itself_once_around(make_world: WorldFactory) -> None:
    """DESIGN: two allocations that point at each other, or one at itself, do not spin."""
    world = await make_world(**OWN)
    client = world.client()
    allocation = world.allocate(client)
    world.bind_channel(allocation, allocation.relay)
    by_channel(client, allocation.relay, b"myself")
    assert await client.receive() == channel_data(CHANNEL, b"myself")
    await world.delivered_inside(1)
    assert world.engine.traffic(allocation.number) == Traffic(1, 6, 1, 6)
    assert client.is_silent()


@FORMS
@FAMILIES
async def test_denied_endpoints_are_never_sent_to(
    make_world: WorldFactory, family: Family, send: Exchange
) -> None:
    settings = DatapathSettings()
    world = await make_world()
    client, database, neighbour = world.client(), world.peer(family), world.peer(family)
    allocation = world.allocate(client, family)
    world.bind_channel(allocation, database.address)
    send(client, database.address, b"before")
    assert await database.receive() == b"before"
    world.engine.reconfigure(attrs.evolve(settings, denied_endpoints=frozenset({database.address})))
    send(client, database.address, b"after")
    await world.dropped({Drop.PEER_DENIED: 1})
    by_indication(client, neighbour.address, b"the port beside it")
    assert await neighbour.receive() == b"the port beside it"
    assert database.is_silent()


async def test_own_addresses_may_change_while_packets_flow(make_world: WorldFactory) -> None:
    world = await make_world()
    sender, receiver = world.client(), world.client()
    first, second = world.allocate(sender), world.allocate(receiver)
    world.permit(first, second.relay)
    world.permit(second, first.relay)
    for index, (ips, internal) in enumerate([({}, 0), (OWN, 1), ({}, 1)]):
        world.engine.reconfigure(DatapathSettings(**ips))
        by_indication(sender, second.relay, b"%d" % index)
        indication = read_indication(await receiver.receive())
        assert (indication.peer, indication.data) == (first.relay, b"%d" % index)
        await world.delivered_inside(internal)
