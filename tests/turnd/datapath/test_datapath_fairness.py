"""One flow does not starve another, nor the program's other tasks."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from stun import Family
from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_world import Endpoint, WorldFactory, by_channel
from turnd.core.five_tuple import Transport
from turnd.core.tables import RelayedAddress

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
FLOOD = 2000
ONE_THREAD = [name for name in ENGINES if "threads" not in name]
"""Whose turn it is between threads is the system's to say."""
LARGE_BUFFER = 8 << 20


@pytest.fixture(params=ONE_THREAD)
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


class Log:
    """Sinks that note whose turn it was, in one list."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def sink(self, name: str) -> LogSink:
        return LogSink(self, name)


class LogSink:
    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name

    takes_runs = False

    def send(self, data: bytes) -> bool:
        del data
        self._log.order.append(self._name)
        return True


async def test_a_flooded_relay_does_not_hold_up_another(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world, log = await make_world(running=False, relay_receive_buffer=LARGE_BUFFER), Log()
    flooder, victim = world.peer(), world.peer()
    relays: list[RelayedAddress] = []
    for number, name in enumerate(("flooded", "victim"), 1):
        client = world.client(Transport.TCP)
        world.engine.attach(client.five_tuple, log.sink(name))
        relays.append(world.open_relay(number, client, Family.IPV4))
        world.engine.set_permission(
            number, flooder.address.packed, world.clock.now + 60, internal_only=False
        )
    for _ in range(FLOOD):
        flooder.send(b"flood", relays[0].local)
    victim.send(b"a word", relays[1].local)
    await world.start(nursery)
    await world.until(lambda: len(log.order) == FLOOD + 1)
    assert log.order.index("victim") <= 128
    assert world.drops() == {}


async def test_a_flooded_listener_does_not_hold_up_peers(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world(running=False, receive_buffer=LARGE_BUFFER)
    sink, peer = world.peer(), world.peer()
    flooder, client = world.client(), world.udp_client(world.listen())
    world.bind_channel(world.allocate(flooder), sink.address)
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    for endpoint in (sink, client):
        endpoint.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
        endpoint.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    for _ in range(FLOOD):
        by_channel(flooder, sink.address, b"flood")
    peer.send(b"a word", allocation.relay)
    await world.start(nursery)
    word_at = await arrival(client)
    before_the_word = [at for at in [await arrival(sink) for _ in range(FLOOD)] if at < word_at]
    assert len(before_the_word) <= FLOOD / 2


async def arrival(endpoint: Endpoint) -> int:
    """Receive a datagram and return when the kernel had it for us, in nanoseconds."""
    await endpoint.readable()
    _, ((_, _, timespec),), _, _ = endpoint.sock.recvmsg(100, 64)
    seconds, nanoseconds = struct.unpack("@ll", timespec)
    return int(seconds * 1_000_000_000 + nanoseconds)


async def test_many_busy_relays_leave_clients_their_share(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world, log = await make_world(running=False, relay_receive_buffer=LARGE_BUFFER), Log()
    peer, sender, receiver = world.peer(), world.client(), world.peer()
    for _ in range(40):
        client = world.client(Transport.TCP)
        world.engine.attach(client.five_tuple, log.sink("flooded"))
        allocation = world.allocate(client)
        world.permit(allocation, peer.address)
        for _ in range(100):
            peer.send(b"flood", allocation.relay)
    own = world.allocate(sender)
    world.bind_channel(own, receiver.address)
    flooded_before: list[int] = []
    for _ in range(200):
        by_channel(sender, receiver.address, b"mine")

    async def watch() -> None:
        while world.engine.traffic(own.number).packets_to_peer < 200:
            await trio.lowlevel.checkpoint()
        flooded_before.append(len(log.order))

    nursery.start_soon(watch)
    await world.start(nursery)
    await world.until(lambda: len(log.order) == 4000)
    await world.until(lambda: bool(flooded_before))
    assert flooded_before[0] < 2000


async def test_other_tasks_run_while_packets_flood_in(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world, log = await make_world(running=False, relay_receive_buffer=LARGE_BUFFER), Log()
    peer = world.peer()
    for _ in range(20):
        client = world.client(Transport.TCP)
        world.engine.attach(client.five_tuple, log.sink("flooded"))
        allocation = world.allocate(client)
        world.permit(allocation, peer.address)
        for _ in range(200):
            peer.send(b"flood", allocation.relay)
    seen: set[int] = set()

    async def look() -> None:
        while len(log.order) < 4000:
            seen.add(len(log.order))
            await trio.lowlevel.checkpoint()

    nursery.start_soon(look)
    await world.start(nursery)
    await world.until(lambda: len(log.order) == 4000)
    assert len(seen) >= 10
