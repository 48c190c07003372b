"""A channel's first ChannelData does not overtake the answer to its ChannelBind."""

from __future__ import annotations

import time

import pytest

from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_wire import channel_data, message
from tests.turnd.datapath.datapath_world import CHANNEL, World
from turnd.core.five_tuple import FiveTuple

CHANNEL_BIND, ANSWER = 0x0009, message(0x0109)


@pytest.fixture(params=[name for name in ENGINES if name.startswith("native")])
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


async def test_data_is_in_indications_until_the_answer_is_out(world: World) -> None:
    client, peer = world.udp_client(world.listen()), world.peer()
    allocation = world.allocate(client)

    def bind_and_answer(_data: bytes, five_tuple: FiveTuple) -> None:
        world.bind_channel(allocation, peer.address)
        client.send(channel_data(CHANNEL, b"to the peer"))
        peer.send(b"meanwhile", allocation.relay)
        settle(world, allocation.number)
        assert world.engine.send_to_client(ANSWER, five_tuple)

    world.handler.react = bind_and_answer
    client.send(message(CHANNEL_BIND))
    early, answer = await client.receive(), await client.receive()
    assert early[:2] == b"\0\x17"
    assert b"meanwhile" in early
    assert answer == ANSWER
    assert await peer.receive() == b"to the peer"
    peer.send(b"after", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"after")


def settle(world: World, allocation: int) -> None:
    """Wait, with trio's thread held up, until a packet each way has been relayed."""
    give_up = time.monotonic() + 5
    while True:
        traffic = world.engine.traffic(allocation)
        if traffic.packets_to_client and traffic.packets_to_peer:
            return
        assert time.monotonic() < give_up
