"""Binding requests that the native engine answers itself: as the core would, and no others."""

from __future__ import annotations

import pytest

from stun import Address, IntegrityAlgorithm, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.values import ChangeRequest
from tests.turnd.core.kit import World as CoreWorld
from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_world import Endpoint, World, WorldFactory
from turnd.core.outputs import Transmit
from turnd.datapath.interface import OwnAnswers

NATIVE = [name for name in ENGINES if name.startswith("native")]
ID = bytes(range(12))
HOSTS = ("127.0.0.1", "::1")


@pytest.fixture(params=NATIVE)
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


def request(*attributes: RawAttribute, fingerprint: bool = False) -> bytes:
    message = Message.build(Method.BINDING, MessageClass.REQUEST, ID, attributes)
    return message.encode(fingerprint=fingerprint)


async def serving(
    make_world: WorldFactory, rate: float = 0, burst: float = 0, *, host: str = "127.0.0.1"
) -> tuple[World, Address]:
    world = await make_world()
    server = world.listen(host)
    world.reconfigure(answers=OwnAnswers(frozenset({server.port}), rate, burst, bindings=True))
    return world, server


def core_answer(data: bytes, client: Endpoint) -> bytes:
    """What the core says to it."""
    (answer,) = (
        output
        for output in CoreWorld().server.receive(data, client.five_tuple, 0.0)
        if isinstance(output, Transmit)
    )
    return answer.data


PLAIN = {
    "a header alone": request(),
    "FINGERPRINT": request(fingerprint=True),
    "SOFTWARE, which nobody need understand": request(a.SOFTWARE.of("a client")),
    "an attribute nobody knows, nor need": request((0xC0FE, b"abc"), fingerprint=True),
    "PRIORITY, known and of no use here": request(a.PRIORITY.of(1)),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
async def test_a_plain_request_has_the_cores_answer(
    make_world: WorldFactory, data: bytes, host: str
) -> None:
    world, server = await serving(make_world, host=host)
    client = world.udp_client(server)
    client.send(data)
    assert await client.receive() == core_answer(data, client)
    assert world.handler.requests == []
    assert world.engine.totals().bindings == 1


WRONG_FINGERPRINT = request(fingerprint=True)[:-1] + b"\0"
SIGNED = Message.build(Method.BINDING, MessageClass.REQUEST, ID).encode(
    sign=[(IntegrityAlgorithm.SHA1, b"key")]
)
NOT_PLAIN = {
    "CHANGE-REQUEST": request(a.CHANGE_REQUEST.of(ChangeRequest(change_port=True))),
    "RESPONSE-PORT": request(a.RESPONSE_PORT.of(5000)),
    "PADDING": request(a.PADDING.of(bytes(100))),
    "an attribute that must be understood, and is not": request((0x7FFE, b"")),
    "MESSAGE-INTEGRITY": SIGNED,
    "a wrong FINGERPRINT": WRONG_FINGERPRINT,
    "a FINGERPRINT that is not the last": request(a.FINGERPRINT.of(0), a.SOFTWARE.of("x")),
    "an attribute longer than the message": request()[:3]
    + b"\x04"
    + request()[4:]
    + b"\x80\0\0\x40",
    "no magic cookie": request()[:4] + bytes(4) + request()[8:],
    "an indication": b"\0\x11" + request()[2:],
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
async def test_any_other_request_is_handed_up(make_world: WorldFactory, data: bytes) -> None:
    world, server = await serving(make_world)
    client = world.udp_client(server)
    client.send(data)
    await world.until(lambda: len(world.handler.requests) == 1)
    assert world.handler.requests[0][0] == data
    assert world.engine.totals().bindings == 0
    assert client.is_silent()


async def test_a_listener_that_was_not_named_hands_up_everything(make_world: WorldFactory) -> None:
    world, _ = await serving(make_world)
    client = world.udp_client(world.listen())
    client.send(request())
    await world.until(lambda: len(world.handler.requests) == 1)


async def test_a_prefix_of_strangers_has_its_burst_and_then_its_rate(
    make_world: WorldFactory,
) -> None:
    world, server = await serving(make_world, rate=10, burst=4)
    clients = [world.udp_client(server, host) for host in ("127.0.0.1", "127.0.0.2")]

    async def answered(count: int) -> int:
        before = world.engine.totals()
        for index in range(count):
            clients[index % 2].send(request())
        taken = before.bindings + before.answers_limited + count
        await world.until(
            lambda: world.engine.totals().bindings + world.engine.totals().answers_limited == taken
        )
        return world.engine.totals().bindings - before.bindings

    assert await answered(10) == 4
    world.clock.advance(0.31)
    assert await answered(10) == 3
    world.clock.advance(60)
    assert await answered(10) == 4


async def test_a_client_with_an_allocation_is_never_silenced(make_world: WorldFactory) -> None:
    world, server = await serving(make_world, rate=1, burst=1)
    client = world.udp_client(server)
    world.allocate(client)
    for _ in range(10):
        client.send(request())
        await client.receive()
    assert world.engine.totals().answers_limited == 0


@pytest.mark.parametrize("host", HOSTS)
async def test_the_kernel_gives_each_thread_its_own_clients(
    make_world: WorldFactory, host: str
) -> None:
    world, server = await serving(make_world, host=host)
    for _ in range(30):
        client = world.udp_client(server)
        client.send(request())
        await client.receive()
    assert world.engine.totals().passed_on == 0
