"""Relays that several allocations share in the native engine: each peer finds its client."""

from __future__ import annotations

import itertools

import pytest

from stun import Address
from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_wire import channel_data
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    Allocation,
    Client,
    Endpoint,
    World,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import RelayedAddress
from turnd.datapath.interface import Drop
from turnd.datapath.select import is_compiled

NUMBERS = itertools.count(1)
LOOPBACK = bytes((127, 0, 0, 1))


@pytest.fixture(params=["native"] if is_compiled() else [])
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test: one thread, so that all share one relay."""
    return ENGINES[request.param]


def join(world: World, client: Client) -> Allocation:
    """Do what the core does for an Allocate."""
    number = next(NUMBERS)
    there = world.engine.shared_relay(client.five_tuple, LOOPBACK)
    local = there or world.free_address("127.0.0.1")
    relayed = RelayedAddress(local, local, shared=True)
    world.engine.open_relay(number, client.five_tuple, relayed, 0)
    return Allocation(number, client, relayed)


def pair(world: World) -> tuple[Allocation, Allocation]:
    """Two allocations of clients on one listener."""
    server = world.listen()
    one, other = (join(world, world.udp_client(server)) for _ in range(2))
    assert one.relay == other.relay
    return one, other


async def said(client: Client, peer: Endpoint) -> bytes:
    """What comes to a client by channel."""
    del peer
    data = await client.receive()
    assert data[:2] == CHANNEL.to_bytes(2, "big")
    return data[4:]


async def test_each_client_hears_the_peers_it_has_channels_with(world: World) -> None:
    allocations = pair(world)
    peers = [world.peer() for _ in allocations]
    for allocation, peer in zip(allocations, peers, strict=True):
        world.bind_channel(allocation, peer.address)
    for number, (allocation, peer) in enumerate(zip(allocations, peers, strict=True)):
        by_channel(allocation.client, peer.address, b"to %d" % number)
        assert await peer.receive_from() == (b"to %d" % number, allocation.relay)
        peer.send(b"from %d" % number, allocation.relay)
        assert await said(allocation.client, peer) == b"from %d" % number
        assert world.engine.traffic(allocation.number).packets_to_client == 1
    assert world.drops() == {}


async def test_a_send_indication_claims_the_peer_too(world: World) -> None:
    one, other = pair(world)
    peer = world.peer()
    for allocation in (one, other):
        world.permit(allocation, peer.address)
    peer.send(b"too early", one.relay)
    await world.dropped({Drop.NO_PERMISSION: 1})
    by_indication(other.client, peer.address, b"hello")
    await peer.receive()
    peer.send(b"answer", one.relay)
    assert b"answer" in await other.client.receive()
    assert one.client.is_silent()


async def test_a_peer_that_another_talks_with_is_taken_until_he_lets_it_go(world: World) -> None:
    one, other = pair(world)
    peer = world.peer()
    world.bind_channel(one, peer.address)
    world.bind_channel(other, peer.address)
    by_channel(other.client, peer.address, b"no")
    await world.dropped({Drop.PEER_TAKEN: 1})
    world.engine.remove_permission(one.number, peer.address.packed)
    by_channel(other.client, peer.address, b"yes")
    assert await peer.receive() == b"yes"
    peer.send(b"answer", other.relay)
    assert await said(other.client, peer) == b"answer"
    assert one.client.is_silent()


async def test_a_peer_is_free_again_when_its_allocation_ends(world: World) -> None:
    one, other = pair(world)
    peer = world.peer()
    for allocation in (one, other):
        world.bind_channel(allocation, peer.address)
    world.engine.close_allocation(one.number)
    peer.send(b"to nobody", other.relay)
    await world.dropped({Drop.NO_PERMISSION: 1})
    by_channel(other.client, peer.address, b"mine now")
    assert await peer.receive() == b"mine now"


async def test_the_relay_stays_when_all_its_allocations_are_gone(world: World) -> None:
    one, other = pair(world)
    for allocation in (one, other):
        world.engine.close_allocation(allocation.number)
    assert world.engine.shared_relay(one.client.five_tuple, LOOPBACK) == one.relay
    assert join(world, one.client).relay == one.relay


async def test_other_clients_behind_the_same_relay_can_not_be_reached(world: World) -> None:
    one, other = pair(world)
    world.bind_channel(one, other.relay)
    world.reconfigure(own_ips=frozenset({LOOPBACK}))
    world.engine.set_permission(one.number, LOOPBACK, world.clock.now + 60, internal_only=True)
    by_channel(one.client, other.relay, b"anybody?")
    await world.dropped({Drop.PEER_DENIED: 1})


async def test_claims_of_one_allocation_are_bounded(world: World) -> None:
    one, _ = pair(world)
    world.permit(one, Address(LOOPBACK, 1))
    for port in range(1, 1100):
        by_indication(one.client, Address(LOOPBACK, port), b"")
    await world.until(lambda: world.drops().get(Drop.PEER_TAKEN, 0) == 1099 - 1024)


async def test_clients_on_streams_share_as_well(world: World) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = join(world, client)
    world.bind_channel(allocation, peer.address)
    by_channel(client, peer.address, b"to")
    assert await peer.receive() == b"to"
    peer.send(b"from", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"from")
