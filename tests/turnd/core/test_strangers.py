"""Nothing is kept of a client before it is authenticated; strangers are answered with measure."""

import gc
import itertools
import random
from typing import Any

import attrs
import pytest

from stun import Address, IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from tests.turnd.core.kit import PEER, SERVER, UDP, Client, World
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import LoadCredential, RequestAnswered, RequestDropped, Transmit
from turnd.core.rate_limit import PrefixRateLimit
from turnd.core.settings import Lifetimes


def containers(root: object) -> dict[int, int]:
    """Sizes of all containers that the server reaches, by identity."""
    sizes: dict[int, int] = {}
    queue: list[Any] = [root]
    seen: set[int] = set()
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, type) or callable(item):
            continue
        seen.add(id(item))
        if isinstance(item, (dict, list, set, frozenset, tuple, bytearray)):
            sizes[id(item)] = len(item)
        if type(item).__module__.startswith(("turnd", "stun", "collections", "builtins")):
            queue += gc.get_referents(item)
    return sizes


def strangers(world: World, count: int) -> itertools.chain[tuple[bytes, FiveTuple]]:
    generator = random.Random(7)
    template = world.client()
    template.learn_nonce()
    kinds = [
        template.encode(Method.BINDING, signed=False),
        template.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)], signed=False),
        template.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)]),  # another's nonce
        template.encode(Method.REFRESH, [a.LIFETIME.of(0)]),
        attrs.evolve(template, password="guess").encode(Method.CREATE_PERMISSION),
        b"\x00\x01garbage",
    ]
    return itertools.chain(
        (
            generator.choice(kinds),
            FiveTuple(
                Transport.UDP,
                Address(generator.randbytes(4), generator.randrange(65536)),
                SERVER,
            ),
        )
        for _ in range(count)
    )


@pytest.mark.parametrize("rate", [0, 10])
def test_hundred_thousand_strangers_leave_nothing_behind(rate: int) -> None:
    world = World(unauthenticated_rate=rate)
    world.client().allocated()
    gc.collect()
    before = containers(world.server)
    assert len(before) > 20
    for data, five_tuple in strangers(world, 100_000):
        world.now += 0.00001
        world.server.receive(data, five_tuple, world.now)
    assert containers(world.server) == before


def test_guessed_passwords_leave_nothing_behind() -> None:
    world = World()
    world.client().allocated()
    before = containers(world.server)
    for port in range(2000):
        client = world.client(port)
        client.password = "guess"
        assert client.allocate().code == 401
    assert containers(world.server) == before


def outcome(world: World, client: Client) -> type[object]:
    data = client.encode(Method.BINDING, signed=False)
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert isinstance(outputs[0], (Transmit, RequestDropped))
    return type(outputs[0])


def test_replies_to_one_prefix_are_limited_and_come_back_with_time() -> None:
    world = World(unauthenticated_rate=10, unauthenticated_burst=20)
    outcomes = [outcome(world, world.client(1, host=f"203.0.113.{n}")) for n in range(30)]
    assert outcomes == [Transmit] * 20 + [RequestDropped] * 10
    world.now += 1
    outcomes = [outcome(world, world.client(1, host=f"203.0.113.{n}")) for n in range(30)]
    assert outcomes.count(Transmit) == 10
    assert outcome(world, world.client(1, host="192.88.1.1")) is Transmit


def test_limit_never_silences_who_holds_an_allocation() -> None:
    world = World(unauthenticated_rate=1, unauthenticated_burst=3)
    holder = world.client(1)
    holder.allocated()
    while outcome(world, world.client(2)) is Transmit:
        pass
    assert outcome(world, holder) is Transmit
    holder.nonce = b"stale"
    assert holder.refresh().code == 438


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
def test_limit_is_for_addresses_that_may_be_forged(transport: Transport) -> None:
    world = World(unauthenticated_rate=1, unauthenticated_burst=1)
    for _ in range(5):
        assert outcome(world, world.client(1, transport=transport)) is Transmit


def test_requests_that_wait_for_the_store_leave_nothing_behind() -> None:
    world = World()
    world.source.pending.add("nobody")
    before = containers(world.server)
    for port in range(2000):
        client = world.client(port, user="nobody")
        client.learn_nonce()
        data = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)])
        (output,) = world.server.receive(data, client.five_tuple, world.now)
        assert isinstance(output, LoadCredential)
    assert containers(world.server) == before


def test_authenticated_requests_that_fail_leave_nothing_behind() -> None:
    world = World(relay_ports=(50000, 50000), lifetimes=Lifetimes(nonce=100_000))
    world.client().allocated()
    client = world.client(2)
    codes = {client.allocate().code, client.refresh().code, client.permit(PEER).code}
    assert codes == {508, 437}
    before = containers(world.server)
    for _ in range(500):
        client.allocate()
        client.allocate(a.EVEN_PORT.of(True))
        client.allocate(a.RESERVATION_TOKEN.of(bytes(8)))
        client.refresh(0)
        client.bind(0x4000)
    assert containers(world.server) == before


def test_walk_over_containers_sees_what_a_server_keeps() -> None:
    # The tests above would pass for ever if it did not.
    world = World()
    before = containers(world.server)
    client = world.client()
    client.allocated()
    with_allocation = containers(world.server)
    assert with_allocation != before
    client.permit(PEER)
    assert containers(world.server) != with_allocation


def test_memory_of_the_limit_does_not_grow_with_its_clients() -> None:
    limit = PrefixRateLimit(1, 1, b"key", 0)
    size = sum(each.itemsize * len(each) for each in (limit._tokens, limit._updated))
    for number in range(20_000):
        limit.allows(number.to_bytes(4, "big"), number / 1000)
    assert sum(each.itemsize * len(each) for each in (limit._tokens, limit._updated)) == size
    assert set(vars(limit)) == {"_rate", "_burst", "_key", "_tokens", "_updated"}


def test_malformed_requests_are_answered_with_measure_too() -> None:
    world = World(unauthenticated_rate=1, unauthenticated_burst=2)
    client = world.client()
    message = Message.build(
        Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [(a.REALM.code, b"no UTF-8: \xff")]
    )
    broken = message.encode(sign=[(IntegrityAlgorithm.SHA1, b"any key")])
    outcomes = []
    for _ in range(4):
        (first, *_) = world.server.receive(broken, client.five_tuple, world.now)
        outcomes.append(type(first))
    assert outcomes == [Transmit, Transmit, RequestDropped, RequestDropped]


def test_what_the_log_is_told_of_a_stranger_is_short() -> None:
    # RFC 8489 §6.3.1, §14.13; a message of 64 KB has room for 16,384 unknown attributes.
    world = World()
    unknown = [(code, b"") for code in range(0x4000, 0x7F00)]
    reply = world.client().request(Method.BINDING, *unknown, signed=False)
    assert reply.code == 420
    (answered,) = reply.events(RequestAnswered)
    assert len(answered.reason) < 200
