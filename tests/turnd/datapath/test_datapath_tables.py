"""Opening, moving and closing what the rows stand for."""

from __future__ import annotations

import socket

import attrs
import pytest
import trio

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import channel_data, read_indication
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    LOOPBACK,
    Sink,
    World,
    WorldFactory,
    by_channel,
    by_indication,
    open_udp,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import RelayedAddress, RelayUnavailableError, Traffic
from turnd.datapath.interface import Direction, Drop

FAMILIES = pytest.mark.parametrize("family", Family)


def is_free(address: Address) -> bool:
    """Whether a socket can be bound there."""
    try:
        open_udp(address.host, address.port).close()
    except OSError:
        return False
    return True


@FAMILIES
async def test_a_port_that_another_socket_has_is_told_apart_from_other_trouble(
    world: World, family: Family
) -> None:
    client, taken = world.client(), world.peer(family).address
    with pytest.raises(RelayUnavailableError) as refused:
        world.engine.open_relay(1, client.five_tuple, RelayedAddress(taken, taken), 0)
    assert refused.value.in_use
    with pytest.raises(RelayUnavailableError) as refused:
        world.engine.reserve_relay(taken)
    assert refused.value.in_use
    foreign = Address.parse({Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}[family], 50000)
    with pytest.raises(RelayUnavailableError) as refused:
        world.engine.open_relay(1, client.five_tuple, RelayedAddress(foreign, foreign), 0)
    assert not refused.value.in_use
    assert not world.engine.is_relayed_address(taken)
    by_indication(client, taken, b"nothing was opened")
    await world.dropped({Drop.NO_ALLOCATION: 1})


async def test_a_refused_second_family_leaves_the_first_alone(world: World) -> None:
    client, peer, taken = world.client(), world.peer(), world.peer(Family.IPV6).address
    allocation = world.allocate(client)
    with pytest.raises(RelayUnavailableError):
        world.engine.open_relay(
            allocation.number, client.five_tuple, RelayedAddress(taken, taken), 0
        )
    world.bind_channel(allocation, peer.address)
    by_channel(client, peer.address, b"still here")
    assert await peer.receive_from() == (b"still here", allocation.relay)


@FAMILIES
async def test_a_reservation_holds_its_port_until_it_is_taken_over(
    world: World, family: Family
) -> None:
    """RFC 8656 §7.2: the next-higher port of an EVEN-PORT allocation with the R bit."""
    reserved = world.free_address(LOOPBACK[family])
    world.engine.reserve_relay(reserved)
    assert not is_free(reserved)
    assert not world.engine.is_relayed_address(reserved)
    client, peer = world.client(), world.peer(family)
    world.engine.open_relay(7, client.five_tuple, RelayedAddress(reserved, reserved), 0)
    assert world.engine.is_relayed_address(reserved)
    world.engine.set_permission(7, peer.address.packed, world.clock.now + 9, internal_only=False)
    by_indication(client, peer.address, b"taken over")
    assert await peer.receive_from() == (b"taken over", reserved)
    world.engine.release_reservation(reserved)
    assert not is_free(reserved)


async def test_a_released_reservation_frees_its_port(world: World) -> None:
    reserved = world.free_address("127.0.0.1")
    world.engine.reserve_relay(reserved)
    world.engine.release_reservation(reserved)
    assert is_free(reserved)
    world.engine.release_reservation(reserved)


async def test_relayed_addresses_are_known_by_both_names_while_they_live(world: World) -> None:
    client = world.client()
    allocation = world.allocate(client, public_host="203.0.113.7")
    names = (allocation.relayed.local, allocation.relayed.public)
    assert all(world.engine.is_relayed_address(name) for name in names)
    other_port = Address(names[0].packed, names[0].port ^ 1)
    assert not world.engine.is_relayed_address(other_port)
    world.engine.close_allocation(allocation.number)
    assert not any(world.engine.is_relayed_address(name) for name in names)


async def test_a_closed_allocation_tells_its_traffic_once_and_frees_its_ports(
    world: World,
) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    second = world.open_relay(allocation.number, client, Family.IPV6)
    world.bind_channel(allocation, peer.address)
    by_channel(client, peer.address, b"12345")
    assert await peer.receive() == b"12345"
    await world.until(lambda: world.engine.traffic(allocation.number).packets_to_peer == 1)
    assert world.engine.close_allocation(allocation.number) == Traffic(1, 5, 0, 0)
    assert world.engine.close_allocation(allocation.number) == Traffic()
    assert world.engine.traffic(allocation.number) == Traffic()
    assert is_free(allocation.relay)
    assert is_free(second.local)
    by_channel(client, peer.address, b"too late")
    await world.dropped({Drop.NO_ALLOCATION: 1})


async def test_a_row_of_a_closed_allocation_can_be_removed_again(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    world.engine.remove_channel(allocation.number, CHANNEL + 1)
    world.engine.remove_permission(allocation.number, b"\x7f\0\0\x09")
    world.engine.close_allocation(allocation.number)
    world.engine.remove_channel(allocation.number, CHANNEL)
    world.engine.remove_permission(allocation.number, peer.address.packed)
    world.engine.close_relay(allocation.number, allocation.relayed)


@FAMILIES
async def test_one_familys_relay_can_be_closed_while_the_other_works_on(
    world: World, family: Family
) -> None:
    """RFC 8656 §7.2, §8: a Refresh with REQUESTED-ADDRESS-FAMILY and lifetime 0."""
    client, peers = world.client(), {each: world.peer(each) for each in Family}
    allocation = world.allocate(client, Family.IPV4)
    relays = {
        Family.IPV4: allocation.relayed,
        Family.IPV6: world.open_relay(allocation.number, client, Family.IPV6),
    }
    other = Family.IPV6 if family is Family.IPV4 else Family.IPV4
    for peer in peers.values():
        world.permit(allocation, peer.address)
        by_indication(client, peer.address, b"both")
        assert await peer.receive() == b"both"
    world.engine.close_relay(allocation.number, relays[family])
    world.engine.close_relay(allocation.number, relays[family])
    assert is_free(relays[family].local)
    by_indication(client, peers[family].address, b"closed")
    await world.dropped({Drop.FAMILY_MISMATCH: 1})
    by_indication(client, peers[other].address, b"open")
    assert await peers[other].receive_from() == (b"open", relays[other].local)


@pytest.mark.parametrize("old", Transport)
@pytest.mark.parametrize("new", Transport)
async def test_a_moved_allocation_keeps_its_relay_and_serves_the_new_client_alone(
    world: World, old: Transport, new: Transport
) -> None:
    """RFC 8016 §3.2.2."""
    before, after, peer = world.client(old), world.client(new), world.peer()
    allocation = world.allocate(before)
    world.bind_channel(allocation, peer.address)
    by_channel(before, peer.address, b"before")
    assert await peer.receive_from() == (b"before", allocation.relay)
    peer.send(b"before", allocation.relay)
    await before.receive()
    world.engine.move_allocation(allocation.number, after.five_tuple)
    by_channel(after, peer.address, b"after")
    assert await peer.receive_from() == (b"after", allocation.relay)
    peer.send(b"after", allocation.relay)
    padding = 3 if new in {Transport.TCP, Transport.TLS} else 0
    assert await after.receive() == channel_data(CHANNEL, b"after", padding)
    by_channel(before, peer.address, b"not mine any more")
    await world.dropped({Drop.NO_ALLOCATION: 1})
    assert before.is_silent()
    assert world.engine.traffic(allocation.number) == Traffic(2, 11, 2, 11)
    relayed = world.engine.totals().relayed
    for direction in Direction:
        moved_on = relayed[direction, new, Family.IPV4]
        assert moved_on.packets == (2 if new is old else 1)


async def test_an_allocation_may_move_to_a_five_tuple_that_another_has_left(world: World) -> None:
    first, second, peer = world.client(), world.client(), world.peer()
    old, staying = world.allocate(first), world.allocate(second)
    world.bind_channel(staying, peer.address)
    world.engine.close_allocation(old.number)
    world.engine.move_allocation(staying.number, first.five_tuple)
    by_channel(first, peer.address, b"moved in")
    assert await peer.receive_from() == (b"moved in", staying.relay)


async def test_a_five_tuple_can_have_an_allocation_again(world: World) -> None:
    client, peer = world.client(), world.peer()
    world.engine.close_allocation(world.allocate(client).number)
    again = world.allocate(client)
    world.bind_channel(again, peer.address)
    by_channel(client, peer.address, b"again")
    assert await peer.receive_from() == (b"again", again.relay)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
async def test_packets_for_a_client_that_has_gone_are_counted(
    world: World, transport: Transport
) -> None:
    client, peer = world.client(transport), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    world.engine.detach(client.five_tuple)
    world.engine.detach(client.five_tuple)
    peer.send(b"anyone?", allocation.relay)
    await world.dropped({Drop.CLIENT_GONE: 1})
    assert world.engine.traffic(allocation.number).packets_to_client == 0


async def test_packets_for_a_client_whose_queue_is_full_are_counted(world: World) -> None:
    client, peer = world.client(Transport.TCP, room=2), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    for _ in range(5):
        peer.send(b"more", allocation.relay)
    await world.dropped({Drop.CLIENT_QUEUE_FULL: 3})
    assert [await client.receive() for _ in range(2)] == [channel_data(CHANNEL, b"more")] * 2
    await world.until(lambda: world.engine.traffic(allocation.number).packets_to_client == 2)


async def test_an_allocation_may_be_closed_by_a_request_amid_its_own_packets(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world(running=False)
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    world.handler.react = lambda _data, _five_tuple: close(world, allocation.number)
    for index in range(20):
        by_channel(client, peer.address, b"%d" % index)
        peer.send(b"%d" % index, allocation.relay)
        if index == 9:
            client.send(bytes.fromhex("000100002112a442") + bytes(12))
    await world.start(nursery)
    await world.until(lambda: bool(world.handler.requests))
    by_channel(client, peer.address, b"after the request")
    # Ten more, if the engine hands up a request before it looks at the next packet.
    await world.until(lambda: world.drops().get(Drop.NO_ALLOCATION, 0) >= 1)
    assert set(world.drops()) == {Drop.NO_ALLOCATION}
    assert is_free(allocation.relay)


async def test_an_allocation_may_be_closed_by_its_client_amid_a_peers_packets(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    """A sink finds its stream broken, say, and has the allocation closed at once."""
    world = await make_world(running=False)
    client, peer, delivered = world.client(Transport.TCP), world.peer(), list[bytes]()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)

    def deliver(data: bytes) -> bool:
        delivered.append(data)
        close(world, allocation.number)
        return False

    world.engine.attach(client.five_tuple, Sink(deliver))
    for _ in range(20):
        peer.send(b"data", allocation.relay)
    await world.start(nursery)
    await world.until(lambda: bool(delivered))
    other = world.client()
    world.bind_channel(world.allocate(other), peer.address)
    by_channel(other, peer.address, b"the engine lives")
    assert await peer.receive() == b"the engine lives"
    assert delivered == [channel_data(CHANNEL, b"data")]
    assert is_free(allocation.relay)


def close(world: World, number: int) -> None:
    world.engine.close_allocation(number)


async def test_cancelling_the_engine_closes_every_socket(make_world: WorldFactory) -> None:
    world = await make_world(running=False)
    client = world.client()
    allocation = world.allocate(client)
    second = world.open_relay(allocation.number, client, Family.IPV6)
    reserved = world.free_address("127.0.0.1")
    world.engine.reserve_relay(reserved)
    ours = [allocation.relay, second.local, reserved, client.five_tuple.server]
    assert not any(is_free(address) for address in ours)
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        assert not any(is_free(address) for address in ours)
        nursery.cancel_scope.cancel()
    assert [address for address in ours if not is_free(address)] == []


async def test_allocations_opened_before_the_engine_runs_work_once_it_does(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world(running=False)
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    by_indication(client, peer.address, b"early")
    await world.start(nursery)
    assert await peer.receive() == b"early"
    peer.send(b"answer", allocation.relay)
    assert read_indication(await client.receive()).data == b"answer"


async def test_thousands_of_allocations_are_no_tasks(world: World) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    clients = [world.client(Transport.TCP) for _ in range(1000)]
    peer = world.peer()
    allocations = [world.allocate(client) for client in clients]
    assert trio.lowlevel.current_statistics().tasks_living == before
    for allocation in allocations:
        world.bind_channel(allocation, peer.address)
    for allocation in allocations[::100]:
        peer.send(b"data", allocation.relay)
        assert await allocation.client.receive() == channel_data(CHANNEL, b"data")


async def test_totals_name_every_reason_and_every_kind_of_traffic(world: World) -> None:
    totals = world.engine.totals()
    assert set(totals.drops) == set(Drop)
    assert len(totals.relayed) == len(Direction) * len(Transport) * len(Family)
    assert {attrs.astuple(count) for count in totals.relayed.values()} == {(0, 0)}


async def test_datagrams_that_found_a_relays_buffer_full_are_counted(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world(running=False, relay_receive_buffer=8192)
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    for _ in range(200):
        peer.send(b"flood", allocation.relay)
    await world.start(nursery)
    await world.until(lambda: world.engine.traffic(allocation.number).packets_to_client > 0)
    # The kernel tells of losses with the next datagram that it takes in.
    peer.send(b"flood", allocation.relay)

    def all_accounted_for() -> bool:
        passed = world.engine.traffic(allocation.number).packets_to_client
        return passed + world.drops().get(Drop.SOCKET_OVERFLOW, 0) == 201

    await world.until(all_accounted_for)
    lost = world.drops()[Drop.SOCKET_OVERFLOW]
    assert lost > 0
    # The kernel goes on telling the same number; it is not lost again.
    for _ in range(3):
        peer.send(b"no flood", allocation.relay)
    await world.until(
        lambda: world.engine.traffic(allocation.number).packets_to_client == 204 - lost
    )
    assert world.drops() == {Drop.SOCKET_OVERFLOW: lost}


async def test_datagrams_that_found_a_listeners_buffer_full_are_counted(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world(running=False, receive_buffer=8192)
    client, peer = world.client(), world.peer()
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    for _ in range(200):
        by_channel(client, peer.address, b"flood")
    await world.start(nursery)
    await peer.receive()
    by_channel(client, peer.address, b"flood")

    def all_accounted_for() -> bool:
        passed = world.engine.traffic(allocation.number).packets_to_peer
        return passed + world.drops().get(Drop.SOCKET_OVERFLOW, 0) == 201

    await world.until(all_accounted_for)
    assert world.drops()[Drop.SOCKET_OVERFLOW] > 0
