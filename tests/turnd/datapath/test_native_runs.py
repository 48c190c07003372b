"""Streams in the native engine: packets taken, and handed to sinks, several at once."""

from __future__ import annotations

import pytest
import trio

from stun.framer import StreamFramer
from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_wire import channel_data, message, send_indication
from tests.turnd.datapath.datapath_world import CHANNEL, Client, World, WorldFactory
from turnd.core.five_tuple import Transport
from turnd.datapath.interface import Drop

ALLOCATE = 0x0003


@pytest.fixture(params=[name for name in ENGINES if name.startswith("native")])
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


class Stream:
    """A sink that takes runs, as a TCP client's does, and has room for so many of them."""

    takes_runs = True

    def __init__(self, room: int = 1000) -> None:
        self.runs: list[bytes] = []
        self._room = room

    def send(self, data: bytes) -> bool:
        if len(self.runs) == self._room:
            return False
        self.runs.append(data)
        return True

    def frames(self) -> list[bytes]:
        return StreamFramer().receive(b"".join(self.runs))


async def test_packets_at_the_front_of_a_stream_are_relayed_up_to_what_is_none(
    world: World,
) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    packets = [
        channel_data(CHANNEL, b"one", padding=1),
        send_indication(peer.address, b"two"),
        channel_data(CHANNEL, b"", padding=0),
        channel_data(CHANNEL, b"four", padding=0),
    ]
    ends = {
        "a request": message(ALLOCATE),
        "a cut packet": channel_data(CHANNEL, b"five5", padding=2),
        "a cut header": channel_data(CHANNEL, b"", padding=0)[:3],
        "no frame at all": b"\x80abc",
        "nothing": b"",
    }
    front = b"".join(packets)
    for end in ends.values():
        data = memoryview(front + end)
        assert world.engine.receive_run(data, client.five_tuple) == len(front)
        assert [await peer.receive() for _ in packets] == [b"one", b"two", b"", b"four"]
    assert world.engine.receive_run(memoryview(ends["a request"] + front), client.five_tuple) == 0
    assert world.drops() == {}
    assert world.handler.requests == []


async def test_packets_of_a_stream_without_allocation_are_taken_and_dropped(world: World) -> None:
    client = world.client(Transport.TCP)
    data = channel_data(CHANNEL, b"word") * 2
    assert world.engine.receive_run(memoryview(data), client.five_tuple) == len(data)
    await world.dropped({Drop.NO_ALLOCATION: 2})


async def flooded(
    make_world: WorldFactory, nursery: trio.Nursery, sink: Stream
) -> tuple[World, Client]:
    """Fifty words from a peer, before the engine runs."""
    world = await make_world(running=False)
    client, peer = world.client(Transport.TCP), world.peer()
    world.engine.detach(client.five_tuple)
    world.engine.attach(client.five_tuple, sink)
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    for number in range(50):
        peer.send(b"%05d" % number, allocation.relay)
    await world.start(nursery)
    return world, client


async def test_what_waits_for_a_stream_is_handed_over_together_and_in_order(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    stream = Stream()
    world, _ = await flooded(make_world, nursery, stream)
    await world.until(lambda: len(stream.frames()) == 50)
    assert stream.frames() == [channel_data(CHANNEL, b"%05d" % number) for number in range(50)]
    assert len(stream.runs) < 50
    assert world.engine.traffic(1).packets_to_client == 50
    assert world.engine.traffic(1).bytes_to_client == 250


async def test_a_run_that_does_not_fit_counts_as_all_its_packets(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world, _ = await flooded(make_world, nursery, Stream(room=0))
    await world.dropped({Drop.CLIENT_QUEUE_FULL: 50})
    assert world.engine.traffic(1).packets_to_client == 0
