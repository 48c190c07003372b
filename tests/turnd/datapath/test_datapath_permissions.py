"""Who may send to whom, and until when (RFC 8656 §9, §11.2, §11.3, §12)."""

from __future__ import annotations

import pytest

from stun import Family
from tests.turnd.datapath.datapath_wire import channel_data, read_indication
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    LIFETIME,
    Exchange,
    World,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import Traffic
from turnd.datapath.interface import Drop

FORMS = pytest.mark.parametrize("send", [by_channel, by_indication])
TRANSPORTS = pytest.mark.parametrize("transport", Transport)
FAMILIES = pytest.mark.parametrize("family", Family)


@TRANSPORTS
@FAMILIES
async def test_a_peer_without_a_permission_is_not_heard(
    world: World, transport: Transport, family: Family
) -> None:
    client, stranger = world.client(transport), world.peer(family)
    allocation = world.allocate(client, family)
    stranger.send(b"let me in", allocation.relay)
    await world.dropped({Drop.NO_PERMISSION: 1})
    assert client.is_silent()
    assert world.engine.traffic(allocation.number) == Traffic()


@TRANSPORTS
@FAMILIES
async def test_a_peer_without_a_permission_is_not_sent_to(
    world: World, transport: Transport, family: Family
) -> None:
    client, stranger = world.client(transport), world.peer(family)
    allocation = world.allocate(client, family)
    by_indication(client, stranger.address, b"unasked")
    await world.dropped({Drop.NO_PERMISSION: 1})
    assert stranger.is_silent()
    assert world.engine.traffic(allocation.number) == Traffic()


async def test_a_permission_is_for_all_ports_of_an_ip_address_and_no_other(world: World) -> None:
    client, same_ip, other_ip = world.client(), world.peer(), world.peer(host="127.0.0.2")
    allocation = world.allocate(client)
    world.permit(allocation, same_ip.address.with_port(1))
    by_indication(client, same_ip.address, b"any port")
    assert await same_ip.receive() == b"any port"
    by_indication(client, other_ip.address, b"another address")
    await world.dropped({Drop.NO_PERMISSION: 1})
    other_ip.send(b"another address", allocation.relay)
    await world.dropped({Drop.NO_PERMISSION: 2})
    assert client.is_silent()
    assert other_ip.is_silent()


async def test_a_permission_is_one_allocations_alone(world: World) -> None:
    peer, first, second = world.peer(), world.client(), world.client()
    holder, other = world.allocate(first), world.allocate(second)
    world.permit(holder, peer.address)
    by_indication(second, peer.address, b"not mine")
    await world.dropped({Drop.NO_PERMISSION: 1})
    peer.send(b"not mine", other.relay)
    await world.dropped({Drop.NO_PERMISSION: 2})


@TRANSPORTS
async def test_nothing_passes_after_a_permissions_deadline_even_on_a_live_channel(
    world: World, transport: Transport
) -> None:
    client, peer = world.client(transport), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address, lifetime=LIFETIME * 2)
    # Packets first, so that whatever an engine remembers of the peer is remembered.
    for send in (by_channel, by_indication):
        send(client, peer.address, b"in time")
        assert await peer.receive() == b"in time"
    peer.send(b"back", allocation.relay)
    await client.receive()
    world.clock.advance(LIFETIME - 0.001)
    by_channel(client, peer.address, b"just in time")
    assert await peer.receive() == b"just in time"
    world.clock.advance(0.002)
    by_channel(client, peer.address, b"too late")
    by_indication(client, peer.address, b"too late")
    peer.send(b"too late", allocation.relay)
    await world.dropped({Drop.NO_PERMISSION: 3})
    assert client.is_silent()
    assert peer.is_silent()


async def test_a_refreshed_permission_holds_until_its_new_deadline(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    by_indication(client, peer.address, b"first")
    assert await peer.receive() == b"first"
    world.clock.advance(LIFETIME - 1)
    world.permit(allocation, peer.address)
    world.clock.advance(LIFETIME - 1)
    by_indication(client, peer.address, b"second")
    assert await peer.receive() == b"second"
    peer.send(b"answer", allocation.relay)
    assert read_indication(await client.receive()).data == b"answer"
    world.clock.advance(2)
    by_indication(client, peer.address, b"third")
    await world.dropped({Drop.NO_PERMISSION: 1})


async def test_traffic_refreshes_neither_permission_nor_channel(world: World) -> None:
    """RFC 8656 §11.2 "never causes the server to refresh", §12.6 "MUST NOT refresh either"."""
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address, lifetime=LIFETIME)
    for _ in range(5):
        world.clock.advance(LIFETIME / 5 - 1)
        by_channel(client, peer.address, b"channel")
        by_indication(client, peer.address, b"indication")
        assert [await peer.receive(), await peer.receive()] == [b"channel", b"indication"]
    world.clock.advance(6)
    by_channel(client, peer.address, b"channel")
    by_indication(client, peer.address, b"indication")
    await world.dropped({Drop.NO_CHANNEL: 1, Drop.NO_PERMISSION: 1})


async def test_a_removed_permission_is_gone_at_once_in_both_directions(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    by_channel(client, peer.address, b"before")
    assert await peer.receive() == b"before"
    peer.send(b"before", allocation.relay)
    await client.receive()
    world.engine.remove_permission(allocation.number, peer.address.packed)
    by_channel(client, peer.address, b"after")
    by_indication(client, peer.address, b"after")
    peer.send(b"after", allocation.relay)
    await world.dropped({Drop.NO_PERMISSION: 3})
    world.permit(allocation, peer.address)
    by_channel(client, peer.address, b"again")
    assert await peer.receive() == b"again"


async def test_channel_data_on_an_expired_channel_is_discarded(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address, lifetime=LIFETIME / 2)
    by_channel(client, peer.address, b"in time")
    assert await peer.receive() == b"in time"
    world.clock.advance(LIFETIME / 2 + 0.001)
    by_channel(client, peer.address, b"too late")
    await world.dropped({Drop.NO_CHANNEL: 1})
    # The permission lives: a Send indication passes, and the peer's data comes as an indication.
    by_indication(client, peer.address, b"without the channel")
    assert await peer.receive() == b"without the channel"
    peer.send(b"answer", allocation.relay)
    assert read_indication(await client.receive()).data == b"answer"


async def test_a_removed_channel_leaves_the_permission(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    peer.send(b"before", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"before")
    world.engine.remove_channel(allocation.number, CHANNEL)
    peer.send(b"after", allocation.relay)
    assert read_indication(await client.receive()).data == b"after"
    by_channel(client, peer.address, b"after")
    await world.dropped({Drop.NO_CHANNEL: 1})


async def test_a_channel_bound_after_the_first_packets_is_used_from_then_on(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    peer.send(b"before", allocation.relay)
    assert read_indication(await client.receive()).data == b"before"
    world.bind_channel(allocation, peer.address)
    peer.send(b"after", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"after")


async def test_a_refreshed_channel_holds_until_its_new_deadline(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address, lifetime=100)
    by_channel(client, peer.address, b"first")
    assert await peer.receive() == b"first"
    world.clock.advance(99)
    world.bind_channel(allocation, peer.address, lifetime=100)
    world.clock.advance(99)
    by_channel(client, peer.address, b"second")
    assert await peer.receive() == b"second"
    world.clock.advance(2)
    by_channel(client, peer.address, b"third")
    await world.dropped({Drop.NO_CHANNEL: 1})


async def test_an_expired_channel_number_can_be_bound_to_another_peer(world: World) -> None:
    client, old, new = world.client(), world.peer(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, old.address, lifetime=10)
    by_channel(client, old.address, b"old")
    assert await old.receive() == b"old"
    world.clock.advance(11)
    world.engine.remove_channel(allocation.number, CHANNEL)
    world.bind_channel(allocation, new.address)
    by_channel(client, new.address, b"new")
    assert await new.receive() == b"new"
    old.send(b"from the old one", allocation.relay)
    assert read_indication(await client.receive()).peer == old.address


async def test_an_unbound_channel_is_discarded(world: World) -> None:
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client), peer.address)
    client.send(channel_data(CHANNEL + 1, b"not bound"))
    await world.dropped({Drop.NO_CHANNEL: 1})


@FORMS
@TRANSPORTS
async def test_a_client_without_an_allocation_relays_nothing(
    world: World, transport: Transport, send: Exchange
) -> None:
    client, peer = world.client(transport), world.peer()
    send(client, peer.address, b"no allocation")
    await world.dropped({Drop.NO_ALLOCATION: 1})
    assert peer.is_silent()


async def test_a_peer_of_a_family_without_a_relay_is_not_sent_to(world: World) -> None:
    client, peer = world.client(), world.peer(Family.IPV6)
    allocation = world.allocate(client, Family.IPV4)
    world.permit(allocation, peer.address)
    by_indication(client, peer.address, b"wrong family")
    await world.dropped({Drop.FAMILY_MISMATCH: 1})
    assert peer.is_silent()


async def test_a_thousand_strangers_do_not_shut_a_peer_out(world: World) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    strangers = [world.peer(host="127.0.0.2") for _ in range(100)]
    for round_ in range(10):
        for stranger in strangers:
            stranger.send(b"noise", allocation.relay)
        peer.send(b"signal", allocation.relay)
        assert await client.receive() == channel_data(CHANNEL, b"signal", 2)
        assert world.drops() == {Drop.NO_PERMISSION: 100 * (round_ + 1)}


async def test_more_peers_than_an_engine_may_remember_are_all_served(world: World) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    for port in range(20000, 21500):
        by_indication(client, peer.address.with_port(port), b"anyone there?")
        if port % 100 == 0:
            by_indication(client, peer.address, b"%d" % port)
            assert await peer.receive() == b"%d" % port
