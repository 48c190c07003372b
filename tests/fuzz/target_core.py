"""Fuzz target: any bytes as requests to the TURN server, before and after authentication.

The first byte chooses how the rest is used: as it is, as changes to a valid request, or as
the attributes of a request that is then signed, so that the handlers behind authentication
are reached as well. Whatever comes, the server raises nothing, answers at most once, and
lets go of everything it opened.
"""

from __future__ import annotations

from stun import (
    Address,
    DecodeError,
    EncodeError,
    Family,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
)
from stun import attributes as a
from tests.turnd.core.kit import CLIENT, PEER, SERVER, TCP, UDP, Client, World
from turnd.core.five_tuple import Transport
from turnd.core.outputs import Output, Transmit
from turnd.core.settings import NatDiscovery

_METHODS = sorted(set(Method) - {Method.SEND, Method.DATA, Method.CONNECTION_ATTEMPT})
_CODES = sorted(a.REGISTRY)
_SIZES = (0, 1, 3, 4, 4, 4, 8, 8, 20, 32, 33)
_DISCOVERY = NatDiscovery(SERVER, Address.parse("192.0.2.16", 3479))


def run(data: bytes) -> None:
    """Try one input."""
    if len(data) < 2:
        return
    world = World(mobility=True, relay_ports=(50000, 50007), nat_discovery=_DISCOVERY)
    clients = _clients(world)
    client = clients[data[0] % len(clients)]
    way, rest = data[0] // len(clients) % 3, data[1:]
    request = (_as_it_is, _changed, _signed)[way](client, rest)
    _give(world, client, request)
    _give(world, client, request)  # a retransmission
    world.advance(30)
    world.advance(3600)
    assert world.server.allocation_count == 0
    assert not world.tables.relays
    assert not world.tables.reserved
    assert not world.tcp_relay.relays


def _clients(world: World) -> list[Client]:
    """Make clients in every state that requests tell apart."""
    stranger = world.client(1)
    holder = world.client(2)
    control = world.client(3, transport=Transport.TCP)
    data_connection = world.client(4, transport=Transport.TLS)
    intruder = Client(world, holder.five_tuple, "bob")
    for client in (stranger, holder, control, data_connection, intruder):
        client.learn_nonce()
    holder.allocated(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6), a.MOBILITY_TICKET.of(b""))
    holder.bind(0x4000)
    control.allocated(protocol=TCP)
    return [stranger, holder, control, data_connection, intruder]


def _as_it_is(_client: Client, data: bytes) -> bytes:
    return data


def _changed(client: Client, data: bytes) -> bytes:
    """Write triples of position and byte over a valid request."""
    method = _METHODS[data[0] % len(_METHODS)]
    listed = [a.REQUESTED_TRANSPORT.of(UDP), a.LIFETIME.of(600), a.CHANNEL_NUMBER.of(0x4001)]
    request = bytearray(client.encode(method, listed, peers=[PEER]))
    for offset in range(1, len(data) - 2, 3):
        position = int.from_bytes(data[offset : offset + 2], "big") % len(request)
        request[position] = data[offset + 2]
    return bytes(request)


def _signed(client: Client, data: bytes) -> bytes:
    """Read attributes (index of a known code, index of a size, value) and sign them.

    What the method needs comes after them: of two, the first counts.
    """
    method = _METHODS[data[0] % len(_METHODS)]
    listed: list[RawAttribute] = []
    offset = 1
    while offset + 2 <= len(data):
        code, size = _CODES[data[offset] % len(_CODES)], _SIZES[data[offset + 1] % len(_SIZES)]
        listed.append((code, data[offset + 2 : offset + 2 + size]))
        offset += 2 + size
    transaction_id = client.transaction_id()
    listed += [
        a.REQUESTED_TRANSPORT.of(TCP if client.five_tuple.transport.is_stream else UDP),
        a.CHANNEL_NUMBER.of(0x4001),
        a.XOR_PEER_ADDRESS.of(PEER, transaction_id),
        a.USERNAME.of(client.user),
        a.REALM.of(client.realm),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(method, MessageClass.REQUEST, transaction_id, listed)
    try:
        return message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())])
    except EncodeError:
        return b""


def _give(world: World, client: Client, request: bytes) -> None:
    outputs: list[Output] = world.server.receive(request, client.five_tuple, world.now)
    sent = [output for output in outputs if isinstance(output, Transmit)]
    assert len(sent) <= 1
    for output in sent:
        answer = Message.decode(output.data)
        assert answer.message_class in {MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE}
        assert answer.transaction_id == _transaction_id(request)
        assert output.destination is None or output.destination.packed == CLIENT.packed


def _transaction_id(request: bytes) -> bytes:
    try:
        return Message.decode(request).transaction_id
    except DecodeError:
        return b""
