"""Fixtures of the engines' tests: every test runs against every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.turnd.datapath.datapath_world import ManualClock, World, WorldFactory
from turnd.datapath.interface import Datapath, DatapathSettings
from turnd.datapath.portable import PortableDatapath
from turnd.datapath.select import is_compiled

EngineMaker = Callable[[DatapathSettings], tuple[Datapath, ManualClock]]


def make_portable(settings: DatapathSettings) -> tuple[Datapath, ManualClock]:
    clock = ManualClock()
    return PortableDatapath(settings, clock), clock


class NativeClock(ManualClock):
    """Turns the clock that the threads in C go by, too."""

    def __init__(self, set_clock: Callable[[float], None]) -> None:
        super().__init__()
        self._set_clock = set_clock
        set_clock(self.now)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._set_clock(self.now)


def make_native(settings: DatapathSettings, threads: int = 1) -> tuple[Datapath, ManualClock]:
    # Where no compiler was, this module can't be imported.
    from turnd.datapath.native.engine import NativeDatapath

    engine = NativeDatapath(settings, threads)
    return engine, NativeClock(engine.set_clock)


ENGINES: dict[str, EngineMaker] = {"portable": make_portable}
if is_compiled():
    ENGINES["native"] = make_native
    ENGINES["native-of-three-threads"] = partial(make_native, threads=3)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


@pytest.fixture
async def make_world(engine: EngineMaker, nursery: trio.Nursery) -> AsyncIterator[WorldFactory]:
    """Worlds whose engine runs already; with `running=False` the test calls `World.start`."""
    worlds: list[World] = []

    async def make(*, running: bool = True, **settings: Any) -> World:
        world = World(*engine(DatapathSettings(**settings)))
        worlds.append(world)
        if running:
            await world.start(nursery)
        return world

    yield make
    nursery.cancel_scope.cancel()
    for world in worlds:
        world.close()


@pytest.fixture
async def world(make_world: WorldFactory) -> World:
    """A running engine with default settings."""
    return await make_world()
