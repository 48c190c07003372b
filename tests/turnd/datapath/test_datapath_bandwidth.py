"""Bandwidth limits: token buckets of payload bytes, per allocation and in total."""

from __future__ import annotations

import attrs
import pytest

from stun import Address
from tests.turnd.datapath.datapath_world import (
    Client,
    Endpoint,
    Exchange,
    World,
    WorldFactory,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import Traffic
from turnd.datapath.interface import DatapathSettings, Drop
from turnd.datapath.portable.token_bucket import TokenBucket

RATE = 1000
PACKET = bytes(100)
"""Ten of them are a second's worth; headers do not count."""


async def send_to_peer(
    world: World, client: Client, peer: Endpoint, count: int, send: Exchange = by_channel
) -> int:
    """Send packets and return how many of them got through."""
    before = packets_dropped(world)
    for _ in range(count):
        send(client, peer.address, PACKET)
    client.send(b"")  # counted as MALFORMED: the engine has seen the others by then
    await world.until(lambda: world.drops().get(Drop.MALFORMED, 0) > before[1])
    return count - (packets_dropped(world)[0] - before[0])


def packets_dropped(world: World) -> tuple[int, int]:
    drops = world.drops()
    limits = drops.get(Drop.BANDWIDTH, 0) + drops.get(Drop.TOTAL_BANDWIDTH, 0)
    return limits, drops.get(Drop.MALFORMED, 0)


@pytest.mark.parametrize("send", [by_channel, by_indication])
async def test_an_allocation_sends_a_seconds_worth_at_once_and_its_rate_after(
    world: World, send: Exchange
) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client, bandwidth=RATE)
    world.bind_channel(allocation, peer.address)
    assert await send_to_peer(world, client, peer, 15, send) == 10
    world.clock.advance(0.5)
    assert await send_to_peer(world, client, peer, 15, send) == 5
    world.clock.advance(60)
    assert await send_to_peer(world, client, peer, 15, send) == 10
    assert world.drops()[Drop.BANDWIDTH] == 5 + 10 + 5
    assert world.engine.traffic(allocation.number) == Traffic(25, 2500, 0, 0)
    for _ in range(25):
        assert await peer.receive() == PACKET
    assert peer.is_silent()


async def test_the_two_directions_have_limits_of_their_own(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client, bandwidth=RATE)
    world.bind_channel(allocation, peer.address)
    assert await send_to_peer(world, client, peer, 12) == 10
    for _ in range(12):
        peer.send(PACKET, allocation.relay)
    await world.until(lambda: world.drops()[Drop.BANDWIDTH] == 4)
    assert world.engine.traffic(allocation.number) == Traffic(10, 1000, 10, 1000)


async def test_allocations_do_not_share_their_limit(world: World) -> None:
    first, second, peer = world.client(), world.client(), world.peer()
    for client in (first, second):
        world.bind_channel(world.allocate(client, bandwidth=RATE), peer.address)
    assert await send_to_peer(world, first, peer, 11) == 10
    assert await send_to_peer(world, second, peer, 11) == 10


async def test_the_total_is_shared_by_all_allocations(make_world: WorldFactory) -> None:
    world = await make_world(total_bandwidth=RATE)
    first, second, peer = world.client(), world.client(), world.peer()
    allocations = [world.allocate(client) for client in (first, second)]
    for allocation in allocations:
        world.bind_channel(allocation, peer.address)
    assert await send_to_peer(world, first, peer, 7) == 7
    assert await send_to_peer(world, second, peer, 7) == 3
    world.clock.advance(0.2)
    assert await send_to_peer(world, first, peer, 7) == 2
    assert world.drops()[Drop.TOTAL_BANDWIDTH] == 4 + 5
    for _ in range(12):
        peer.send(PACKET, allocations[0].relay)
    await world.until(lambda: world.drops()[Drop.TOTAL_BANDWIDTH] == 9 + 2)
    assert world.engine.traffic(allocations[0].number).packets_to_client == 10


async def test_a_changed_total_is_in_force_at_once(make_world: WorldFactory) -> None:
    settings = DatapathSettings(total_bandwidth=RATE)
    world = await make_world(total_bandwidth=RATE)
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client), peer.address)
    assert await send_to_peer(world, client, peer, 12) == 10
    world.engine.reconfigure(attrs.evolve(settings, total_bandwidth=0))
    assert await send_to_peer(world, client, peer, 30) == 30


async def test_what_the_total_holds_back_is_not_taken_from_the_allocation(
    make_world: WorldFactory,
) -> None:
    world = await make_world(total_bandwidth=RATE // 2)
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client, bandwidth=RATE), peer.address)
    assert await send_to_peer(world, client, peer, 10) == 5
    assert world.drops()[Drop.TOTAL_BANDWIDTH] == 5
    world.engine.reconfigure(DatapathSettings())
    assert await send_to_peer(world, client, peer, 10) == 5


async def test_an_unlimited_allocation_is_not_limited(world: World) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    world.bind_channel(world.allocate(client, bandwidth=0), peer.address)
    for _ in range(50):
        client.send(b"\x4a\xbc\xff\xdc" + bytes(65500))
        assert await peer.receive() == bytes(65500)


async def test_delivery_inside_counts_against_both_allocations(make_world: WorldFactory) -> None:
    world = await make_world(own_ips=frozenset({Address.parse("127.0.0.1").packed}))
    sender, receiver = world.client(), world.client(Transport.TCP)
    first = world.allocate(sender)
    second = world.allocate(receiver, bandwidth=RATE)
    world.bind_channel(first, second.relay)
    world.bind_channel(second, first.relay)
    for _ in range(15):
        by_channel(sender, second.relay, PACKET)
    await world.until(lambda: world.drops().get(Drop.BANDWIDTH) == 5)
    delivered = Traffic(0, 0, 10, 1000)
    await world.until(lambda: world.engine.traffic(second.number) == delivered)


async def test_a_packet_larger_than_a_seconds_worth_passes_and_is_paid_for_later(
    world: World,
) -> None:
    """Else a limit below the packet size would be a ban."""
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client, bandwidth=50), peer.address)
    assert await send_to_peer(world, client, peer, 2) == 1
    world.clock.advance(1)
    assert await send_to_peer(world, client, peer, 1) == 0
    world.clock.advance(1)
    assert await send_to_peer(world, client, peer, 2) == 1


def test_a_bucket_passes_its_rate_over_any_stretch_of_time() -> None:
    bucket, now, passed = TokenBucket(1000, 0.0), 0.0, 0
    for _ in range(100_000):
        now += 0.001
        passed += 10 * bucket.take(10, now)
    assert passed == pytest.approx(1000 + 100 * 1000, abs=20)


def test_a_bucket_gives_back_what_a_packet_did_not_use() -> None:
    bucket = TokenBucket(100, 0.0)
    assert bucket.take(100, 0.0)
    bucket.give_back(100)
    assert bucket.take(100, 0.0)
    assert not bucket.take(1, 0.0)
