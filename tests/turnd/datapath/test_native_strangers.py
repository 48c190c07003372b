"""A storm of requests from strangers does not keep back those of clients with an allocation."""

from __future__ import annotations

import time

import pytest
import trio

from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_wire import message
from tests.turnd.datapath.datapath_world import Endpoint, World, WorldFactory
from turnd.datapath.interface import Drop

ALLOCATE, REFRESH = 0x0003, 0x0004
STORM = 30_000
"""More than the strangers' ring holds."""
CHUNK = 100
"""As many as any socket's buffer holds."""


@pytest.fixture(params=[name for name in ENGINES if name.startswith("native")])
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


async def test_refreshes_pass_a_storm_of_logins_by(
    make_world: WorldFactory, nursery: trio.Nursery
) -> None:
    world = await make_world()
    server = world.listen()
    stranger, client = world.udp_client(server), world.udp_client(server)
    world.allocate(client)
    for _ in range(STORM // CHUNK):
        for _ in range(CHUNK):
            stranger.send(message(ALLOCATE))
        settle(world, stranger)
    client.send(message(REFRESH))
    settle(world, client)

    def seen() -> list[int]:
        return [data[1] for data, _ in world.handler.requests]

    await world.until(lambda: REFRESH in seen())
    assert seen().index(REFRESH) <= 8
    await world.until(lambda: len(seen()) + world.drops().get(Drop.SOCKET_OVERFLOW, 0) == STORM + 1)
    assert world.drops()[Drop.SOCKET_OVERFLOW] > 0


def settle(world: World, client: Endpoint) -> None:
    """Wait until the engine's threads have seen all that was sent, with trio's thread held up."""
    before = world.drops().get(Drop.MALFORMED, 0)
    client.send(b"")
    give_up = time.monotonic() + 5
    while world.drops().get(Drop.MALFORMED, 0) == before:
        assert time.monotonic() < give_up
