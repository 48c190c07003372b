"""What is fuzzed: the decoder, the framer, the whole core, and the engine's own parser."""

from __future__ import annotations

import random
from collections.abc import Callable

from stun import DecodeError, Message, Method
from stun import attributes as a
from stun.channel_data import ChannelData
from stun.describe import describe
from stun.framer import StreamFramer
from tests.fuzz import target_core
from tests.fuzz.mutate import mutate
from tests.fuzz.target_sctp import sctp
from tests.turnd.core.kit import PEER, TCP, UDP, Client, World
from turnd.core.five_tuple import Transport
from turnd.core.outputs import Transmit

Target = Callable[[random.Random], None]


def _requests(client: Client) -> list[bytes]:
    transport = a.REQUESTED_TRANSPORT
    return [
        client.encode(Method.BINDING, signed=False),
        client.encode(Method.ALLOCATE, [transport.of(UDP), a.LIFETIME.of(700)]),
        client.encode(Method.ALLOCATE, [transport.of(TCP)]),
        client.encode(Method.ALLOCATE, [transport.of(UDP), a.EVEN_PORT.of(True)]),
        client.encode(Method.ALLOCATE, [transport.of(UDP), a.MOBILITY_TICKET.of(b"")]),
        client.encode(Method.REFRESH, [a.LIFETIME.of(0)]),
        client.encode(Method.CREATE_PERMISSION, peers=[PEER]),
        client.encode(Method.CHANNEL_BIND, [a.CHANNEL_NUMBER.of(0x4000)], peers=[PEER]),
        client.encode(Method.CONNECT, peers=[PEER]),
        client.encode(Method.CONNECTION_BIND, [a.CONNECTION_ID.of(7)]),
    ]


def _new_client(world: World, generator: random.Random) -> Client:
    transport = generator.choice(list(Transport))
    client = world.client(generator.randrange(1, 50), transport=transport)
    client.learn_nonce()
    client.sha256 = generator.random() < 0.3
    return client


def decode(generator: random.Random) -> None:
    """Decode, read every attribute, verify, describe, encode again."""
    data = mutate(generator, _SEEDS)
    try:
        message = Message.decode(data)
    except DecodeError:
        return
    describe(message)
    for kind in a.REGISTRY.values():
        try:
            message.get_all(kind)
        except DecodeError:
            continue
    Message.decode(message.encode())


def frame(generator: random.Random) -> None:
    """Cut a stream of frames anywhere; never hold more than was fed."""
    wire = b"".join(mutate(generator, _STREAM_SEEDS) for _ in range(3))
    framer = StreamFramer()
    taken = 0
    while wire:
        size = generator.randrange(1, len(wire) + 1)
        chunk, wire = wire[:size], wire[size:]
        try:
            taken += sum(map(len, framer.receive(chunk)))
        except DecodeError:
            return
        if generator.random() < 0.1:
            framer.take_rest()


def core(generator: random.Random) -> None:
    """Feed one server a session's worth of valid and broken requests, and time."""
    world = World(mobility=True, unauthenticated_rate=0)
    clients = [_new_client(world, generator) for _ in range(3)]
    for _ in range(40):
        client = generator.choice(clients)
        requests = _requests(client)
        data = (
            generator.choice(requests) if generator.random() < 0.5 else mutate(generator, requests)
        )
        outputs = world.server.receive(data, client.five_tuple, world.now)
        assert sum(isinstance(output, Transmit) for output in outputs) <= 1
        step = generator.random()
        if step < 0.1:
            world.advance(generator.choice((1, 31, 301, 601)))
        elif step < 0.15:
            world.server.client_gone(client.five_tuple, world.now)
        for call in world.tcp_relay.calls:
            if call[0] == "connect" and generator.random() < 0.5:
                world.server.peer_connected(call[2], world.now)
        world.tcp_relay.calls.clear()
    world.server.close_all(world.now)
    assert world.server.allocation_count == 0
    assert not world.tables.relays
    assert not world.tcp_relay.relays


def authenticated(generator: random.Random) -> None:
    """Feed the core what is odd and signed all the same, so that it reaches the handlers."""
    attributes = b"".join(
        generator.randbytes(2 + generator.choice((0, 4, 8, 20)))
        for _ in range(generator.randrange(1, 4))
    )
    target_core.run(bytes([10 + generator.randrange(5)]) + generator.randbytes(1) + attributes)


_WORLD = World()
_SEEDS = [
    *_requests(_new_client(_WORLD, random.Random(0))),
    _WORLD.client(60).learn_nonce().message.raw,
    Message.decode(_requests(_WORLD.client(61))[0]).encode(fingerprint=True),
]
_STREAM_SEEDS = [*_SEEDS, ChannelData(0x4000, b"data!").encode(stream=True)]

TARGETS: dict[str, Target] = {
    "decode": decode,
    "frame": frame,
    "core": core,
    "authenticated": authenticated,
    "sctp": sctp,
}
