"""The hub: one session's failure is its own, credentials are loaded, time is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import structlog
import trio
import trio.testing

from stun import Address
from stun import attributes as a
from tests.turnd.core.kit import CLIENT, SERVER, UDP, Client, World
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import AllocationClosed, Output, RequestDropped
from turnd.core.tables import Traffic
from turnd.hub import MAXIMUM_LOADS, Hub, Links


class Sent:
    """The engine and the transports, as far as the hub uses them."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, FiveTuple]] = []
        self.closed: list[FiveTuple] = []
        self.records: list[bytes] = []

    def send_to_client(
        self,
        data: bytes,
        five_tuple: FiveTuple,
        *,
        source: Address | None = None,
        destination: Address | None = None,
    ) -> bool:
        self.sent.append((data, five_tuple))
        return True

    def receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        self.records.append(data)

    def close_client(self, five_tuple: FiveTuple) -> None:
        self.closed.append(five_tuple)


class Events:
    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def handle(self, output: Output) -> None:
        self.outputs.append(output)


@attrs.define
class Setup:
    world: World
    hub: Hub
    wires: Sent
    events: Events
    idle: list[bool]


@asynccontextmanager
async def running() -> AsyncIterator[Setup]:
    world, wires, events, idle = World(), Sent(), Events(), list[bool]()
    start = trio.current_time() - world.now
    clock: Callable[[], float] = lambda: trio.current_time() - start  # noqa: E731
    hub = Hub(wires, world.source, clock)  # type: ignore[arg-type]
    hub.connect(
        Links(
            server=world.server,
            dtls=wires,
            close_stream=wires.close_client,
            plain_udp_ports=frozenset({SERVER.port}),
            dtls_ports=frozenset({5349}),
            observers=(events,),
            on_idle=lambda: idle.append(True),
        )
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        yield Setup(world, hub, wires, events, idle)
        nursery.cancel_scope.cancel()


def allocate(setup: Setup, client: Client) -> None:
    client.learn_nonce()
    data = client.encode(3, [a.REQUESTED_TRANSPORT.of(UDP)])
    setup.hub.on_request(data, client.five_tuple)


async def test_allocation_ends_on_time_without_anybody_asking(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as setup:
        allocate(setup, setup.world.client())
        await trio.sleep(599)
        assert setup.world.server.allocation_count == 1
        await trio.sleep(1.01)
        assert setup.world.server.allocation_count == 0
        (closed,) = [o for o in setup.events.outputs if isinstance(o, AllocationClosed)]
        assert closed.reason == "expired"
        assert setup.idle == [True]


async def test_credential_is_loaded_and_the_request_goes_around_again() -> None:
    async with running() as setup:
        setup.world.source.pending.add("alice")
        client = setup.world.client()
        allocate(setup, client)
        assert setup.wires.sent == []
        await trio.testing.wait_all_tasks_blocked()
        assert len(setup.wires.sent) == 1
        assert setup.world.server.allocation_count == 1


async def test_credential_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as setup:
        source = setup.world.source

        async def load(*_: object) -> None:
            await trio.lowlevel.checkpoint()

        source.pending.add("alice")
        monkeypatch.setattr(source, "load", load)
        client = setup.world.client()
        allocate(setup, client)
        await trio.testing.wait_all_tasks_blocked()
        assert setup.wires.sent == []
        assert setup.events.outputs == [RequestDropped(client.five_tuple, "store-busy")]


@pytest.mark.parametrize("transport", [each for each in Transport if each is not Transport.UDP])
async def test_client_that_left_before_its_credential_came_gets_no_allocation(
    transport: Transport,
) -> None:
    # RFC 8656 §3.1: an allocation ends with its stream; this one would begin after it.
    async with running() as setup:
        setup.world.source.pending.add("alice")
        leaver = setup.world.client(1, transport=transport)
        allocate(setup, leaver)
        allocate(setup, setup.world.client(2, transport=transport))
        setup.hub.client_gone(leaver.five_tuple)
        await trio.testing.wait_all_tasks_blocked()
        assert not setup.world.server.has_allocation(leaver.five_tuple)
        assert setup.world.server.allocation_count == 1


async def test_look_ups_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as setup:
        source = setup.world.source

        async def load(*_: object) -> None:
            await trio.sleep_forever()

        source.pending.add("alice")
        monkeypatch.setattr(source, "load", load)
        for port in range(1, 3 * MAXIMUM_LOADS):
            allocate(setup, setup.world.client(port))
        dropped = [o for o in setup.events.outputs if isinstance(o, RequestDropped)]
        assert len(dropped) >= MAXIMUM_LOADS
        assert {each.reason for each in dropped} == {"store-busy"}


@pytest.mark.parametrize("transport", Transport)
async def test_failure_of_one_session_ends_that_session_alone(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as setup:
        bystander, victim = setup.world.client(1), setup.world.client(2, transport=transport)
        allocate(setup, bystander)
        allocate(setup, victim)
        assert setup.world.server.allocation_count == 2

        def break_down(*_: object) -> list[Output]:
            raise ZeroDivisionError

        with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
            patch.setattr(setup.world.server, "receive", break_down)
            setup.hub.on_request(b"anything", victim.five_tuple)
        assert [entry["event"] for entry in logs] == ["session-failed"]
        assert setup.world.server.has_allocation(bystander.five_tuple)
        assert not setup.world.server.has_allocation(victim.five_tuple)
        expected = [] if transport is Transport.UDP else [victim.five_tuple]
        assert setup.wires.closed == expected


async def test_failure_of_an_end_does_not_keep_the_others_alive(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as setup:
        for port in (1, 2, 3):
            allocate(setup, setup.world.client(port))
        tables = setup.world.tables
        close = tables.close_allocation

        def break_down_once(allocation: int) -> Traffic:
            if allocation == 2:
                raise ZeroDivisionError
            return close(allocation)

        monkeypatch.setattr(tables, "close_allocation", break_down_once)
        with structlog.testing.capture_logs() as logs:
            await trio.sleep(601)
        assert [entry["event"] for entry in logs] == ["session-failed"]
        assert setup.world.server.allocation_count == 0
        closed = [o for o in setup.events.outputs if isinstance(o, AllocationClosed)]
        # All are told of, by which metrics count, and who drains is told that it is idle.
        assert [each.allocation for each in closed] == [1, 2, 3]
        assert setup.idle


async def test_ports_take_what_they_are_for() -> None:
    async with running() as setup:
        plain = FiveTuple(Transport.UDP, CLIENT, SERVER.with_port(5349))
        secured = FiveTuple(Transport.DTLS, CLIENT, SERVER)
        setup.hub.on_request(b"plain on the DTLS port", plain)
        setup.hub.on_dtls(b"DTLS on the plain port", secured)
        reasons = [o.reason for o in setup.events.outputs if isinstance(o, RequestDropped)]
        assert reasons == ["plain-off", "dtls-off"]
        setup.hub.on_dtls(b"record", FiveTuple(Transport.DTLS, CLIENT, SERVER.with_port(5349)))
        assert setup.wires.records == [b"record"]


async def test_stopping_ends_every_session() -> None:
    async with running() as setup:
        for port in (1, 2, 3):
            allocate(setup, setup.world.client(port))
        setup.hub.close_all()
        assert setup.world.server.allocation_count == 0
        reasons = {o.reason for o in setup.events.outputs if isinstance(o, AllocationClosed)}
        assert reasons == {"shutdown"}
