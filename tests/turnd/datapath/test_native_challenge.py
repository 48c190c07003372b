"""The 401 that the native engine gives to strangers is the core's, but for its nonce."""

from __future__ import annotations

import time

import pytest

from stun import Address, IntegrityAlgorithm, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from tests.turnd.core.kit import REALM
from tests.turnd.core.kit import World as CoreWorld
from tests.turnd.datapath.conftest import ENGINES, EngineMaker
from tests.turnd.datapath.datapath_world import Endpoint, World, WorldFactory
from turnd.core.outputs import Transmit
from turnd.datapath.interface import OwnAnswers

ID = bytes(range(12))
HOSTS = ("127.0.0.1", "::1")
UDP = a.REQUESTED_TRANSPORT.of(17)


@pytest.fixture(params=[name for name in ENGINES if name.startswith("native")])
def engine(request: pytest.FixtureRequest) -> EngineMaker:
    """How to make the engine under test."""
    return ENGINES[request.param]


def request(*attributes: RawAttribute, fingerprint: bool = False) -> bytes:
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, ID, attributes)
    return message.encode(fingerprint=fingerprint)


async def serving(
    make_world: WorldFactory, core: CoreWorld, *, host: str = "127.0.0.1", rate: float = 0
) -> tuple[World, Address]:
    world = await make_world()
    server = world.listen(host)
    answers = OwnAnswers(frozenset({server.port}), rate, rate, challenge=core.server.challenge())
    world.reconfigure(answers=answers)
    return world, server


def core_answer(core: CoreWorld, data: bytes, client: Endpoint) -> Message:
    """What the core says to it."""
    (answer,) = (
        output
        for output in core.server.receive(data, client.five_tuple, 0.0)
        if isinstance(output, Transmit)
    )
    return Message.decode(answer.data)


STRANGERS = {
    "a first Allocate": request(UDP),
    "FINGERPRINT": request(UDP, fingerprint=True),
    "what browsers add": request(UDP, a.SOFTWARE.of("x"), (0xC057, bytes(4)), fingerprint=True),
    "an attribute that must be understood, and is not": request(UDP, (0x7FFE, b"")),
    "nothing at all": request(),
    "a user name, not signed": request(UDP, a.USERNAME.of("alice")),
}
CORES = {
    "all password algorithms": {},
    "MD5 alone": {"password_algorithms": ()},
    "OAuth": {"oauth_server_name": "tokens.example.org"},
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("settings", CORES.values(), ids=CORES)
@pytest.mark.parametrize("data", STRANGERS.values(), ids=STRANGERS)
async def test_a_stranger_has_the_cores_challenge(
    make_world: WorldFactory, data: bytes, settings: dict[str, object], host: str
) -> None:
    core = CoreWorld(**settings)
    world, server = await serving(make_world, core, host=host)
    client = world.udp_client(server)
    client.send(data)
    answer = Message.decode(await client.receive())
    expected = core_answer(core, data, client)
    assert without_nonce(answer) == without_nonce(expected)
    nonce = answer.get(a.NONCE)
    assert nonce is not None
    nonces = core.server._authenticator.nonces
    assert nonces.is_valid(nonce, client.five_tuple, time.time())
    assert not nonces.is_valid(nonce, world.udp_client(server).five_tuple, time.time())
    assert world.handler.requests == []
    assert world.engine.totals().challenges == 1


def without_nonce(message: Message) -> tuple[object, ...]:
    return (
        message.method,
        message.message_class,
        message.transaction_id,
        [
            (code, len(value) if code in {a.NONCE.code, a.FINGERPRINT.code} else value)
            for code, value in message.attributes
        ],
    )


SIGNED = Message.build(Method.ALLOCATE, MessageClass.REQUEST, ID, [UDP]).encode(
    sign=[(IntegrityAlgorithm.SHA1, b"key")]
)
FOR_THE_CORE = {
    "MESSAGE-INTEGRITY": SIGNED,
    "REALM": request(UDP, a.REALM.of(REALM)),
    "ORIGIN": request(UDP, a.ORIGIN.of("https://other.example")),
    "a wrong FINGERPRINT": request(UDP, fingerprint=True)[:-1] + b"\0",
    "another method": b"\0\x04" + request(UDP)[2:],
    "a cut attribute": request(UDP)[:22] + b"\0\x09" + request(UDP)[24:],
}


@pytest.mark.parametrize("data", FOR_THE_CORE.values(), ids=FOR_THE_CORE)
async def test_any_other_request_is_handed_up(make_world: WorldFactory, data: bytes) -> None:
    world, server = await serving(make_world, CoreWorld())
    client = world.udp_client(server)
    client.send(data)
    await world.until(lambda: len(world.handler.requests) == 1)
    assert world.engine.totals().challenges == 0


async def test_who_has_an_allocation_is_the_cores(make_world: WorldFactory) -> None:
    world, server = await serving(make_world, CoreWorld())
    client = world.udp_client(server)
    world.allocate(client)
    client.send(request(UDP))
    await world.until(lambda: len(world.handler.requests) == 1)


async def test_challenges_are_limited_by_prefix(make_world: WorldFactory) -> None:
    world, server = await serving(make_world, CoreWorld(), rate=3)
    client = world.udp_client(server)
    for _ in range(10):
        client.send(request(UDP))
    await world.until(lambda: world.engine.totals().answers_limited == 7)
    assert world.engine.totals().challenges == 3


async def test_a_server_that_asks_for_no_credentials_has_no_challenge() -> None:
    assert CoreWorld(authenticate=False).server.challenge() is None


async def test_a_realm_too_long_for_the_engine_is_the_cores(make_world: WorldFactory) -> None:
    realm = "r" * 400
    core = CoreWorld(realm=realm)
    world, server = await serving(make_world, core)
    world.udp_client(server).send(request(UDP))
    await world.until(lambda: len(world.handler.requests) == 1)
