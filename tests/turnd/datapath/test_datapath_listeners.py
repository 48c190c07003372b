"""What clients' UDP sockets take in and hand up, and which address answers."""

from __future__ import annotations

import pytest

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import (
    DATA,
    SEND,
    XOR_PEER_ADDRESS,
    attribute,
    channel_data,
    message,
    send_indication,
    xor_address,
)
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    World,
    by_channel,
    by_indication,
    open_udp,
)
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import Drop

BINDING_REQUEST = message(0x0001, transaction_id=b"twelve bytes")
ALLOCATE_REQUEST = message(0x0003, attribute(0x0019, b"\x11\0\0\0"))
DTLS_RECORD = bytes.fromhex("16fefd00000000000000000003") + b"abc"
SOMEONE = Address.parse("192.0.2.9", 9)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
@pytest.mark.parametrize("wildcard", [False, True])
async def test_a_request_is_handed_up_with_the_address_it_was_sent_to(
    world: World, host: str, wildcard: bool
) -> None:
    any_host = "::" if ":" in host else "0.0.0.0"
    port = world.listen(any_host if wildcard else host).port
    client = world.udp_client(Address.parse(host, port))
    client.send(ALLOCATE_REQUEST)
    await world.until(lambda: bool(world.handler.requests))
    expected = FiveTuple(Transport.UDP, client.address, Address.parse(host, port))
    assert world.handler.requests == [(ALLOCATE_REQUEST, expected)]
    assert world.engine.send_to_client(b"reply", expected)
    assert await client.receive_from() == (b"reply", Address.parse(host, port))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
async def test_data_leaves_a_wildcard_listener_from_the_address_that_was_asked(
    world: World, host: str
) -> None:
    server = Address.parse(host, world.listen("::" if ":" in host else "0.0.0.0").port)
    client, peer = world.udp_client(server), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    by_channel(client, peer.address, b"out")
    assert await peer.receive() == b"out"
    peer.send(b"back", allocation.relay)
    assert await client.receive_from() == (channel_data(CHANNEL, b"back"), server)


async def test_one_client_at_two_addresses_of_a_wildcard_listener_is_two_five_tuples(
    world: World,
) -> None:
    port = world.listen("0.0.0.0").port
    first, second = (Address.parse(host, port) for host in ("127.0.0.1", "127.0.0.2"))
    client, peer = world.udp_client(first), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    client.send(channel_data(CHANNEL, b"at the other address"), second)
    await world.dropped({Drop.NO_ALLOCATION: 1})
    client.send(channel_data(CHANNEL, b"at the first"), first)
    assert await peer.receive() == b"at the first"


async def test_a_concrete_listener_goes_before_a_wildcard_on_the_same_port(world: World) -> None:
    wildcard = open_udp("0.0.0.0", shared=True)
    concrete = open_udp("127.0.0.2", wildcard.getsockname()[1], shared=True)
    for sock in (wildcard, concrete):
        world.engine.add_listener(sock)
    peer = world.peer()
    for host in ("127.0.0.1", "127.0.0.2"):
        server = Address.parse(host, wildcard.getsockname()[1])
        client = world.udp_client(server)
        allocation = world.allocate(client)
        world.bind_channel(allocation, peer.address)
        by_channel(client, peer.address, b"out")
        assert await peer.receive_from() == (b"out", allocation.relay)
        peer.send(b"back", allocation.relay)
        assert await client.receive_from() == (channel_data(CHANNEL, b"back"), server)


async def test_dtls_records_are_handed_up_as_a_dtls_clients(world: World) -> None:
    server = world.listen()
    client = world.udp_client(server)
    client.send(DTLS_RECORD)
    await world.until(lambda: bool(world.handler.dtls))
    assert world.handler.dtls == [(DTLS_RECORD, FiveTuple(Transport.DTLS, client.address, server))]
    # The DTLS transport answers on the UDP 5-tuple, its messages enter on the DTLS one.
    assert world.engine.send_to_client(b"record", client.five_tuple)
    assert await client.receive() == b"record"


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
async def test_a_request_of_an_attached_client_is_handed_up_and_answered_by_its_sink(
    world: World, transport: Transport
) -> None:
    client = world.client(transport)
    client.send(ALLOCATE_REQUEST)
    assert world.handler.requests == [(ALLOCATE_REQUEST, client.five_tuple)]
    assert world.engine.send_to_client(b"reply", client.five_tuple)
    assert await client.receive() == b"reply"
    world.engine.detach(client.five_tuple)
    assert not world.engine.send_to_client(b"reply", client.five_tuple)
    assert client.is_silent()


async def test_a_reply_to_a_full_queue_is_refused(world: World) -> None:
    client = world.client(Transport.TCP, room=1)
    assert world.engine.send_to_client(b"first", client.five_tuple)
    assert not world.engine.send_to_client(b"second", client.five_tuple)


async def test_a_reply_may_leave_from_another_listener_to_another_address(world: World) -> None:
    """RFC 5780 §6.1: CHANGE-REQUEST, RESPONSE-PORT."""
    primary, alternate = world.listen(), world.listen("127.0.0.2")
    client, elsewhere = world.udp_client(primary), world.peer()
    assert world.engine.send_to_client(b"changed", client.five_tuple, source=alternate)
    assert await client.receive_from() == (b"changed", alternate)
    assert world.engine.send_to_client(
        b"redirected", client.five_tuple, destination=elsewhere.address
    )
    assert await elsewhere.receive_from() == (b"redirected", primary)
    assert world.engine.send_to_client(
        b"both", client.five_tuple, source=alternate, destination=elsewhere.address
    )
    assert await elsewhere.receive_from() == (b"both", alternate)


async def test_a_reply_through_a_listener_that_is_not_ours_is_refused(world: World) -> None:
    client = world.udp_client(world.peer().address)
    assert not world.engine.send_to_client(b"no such listener", client.five_tuple)


async def test_a_reply_that_the_system_refuses_is_refused(world: World) -> None:
    client = world.client()
    assert not world.engine.send_to_client(bytes(65508), client.five_tuple)
    await world.dropped({Drop.TOO_LARGE: 1})


async def test_a_listener_may_be_added_while_the_engine_runs(world: World) -> None:
    first = world.udp_client(world.listen())
    first.send(BINDING_REQUEST)
    await world.until(lambda: len(world.handler.requests) == 1)
    second = world.udp_client(world.listen("::1"))
    second.send(ALLOCATE_REQUEST)
    await world.until(lambda: len(world.handler.requests) == 2)
    assert world.handler.requests[1] == (ALLOCATE_REQUEST, second.five_tuple)


async def test_every_first_byte_has_its_destination(world: World) -> None:
    """RFC 7983 §7 and RFC 8656 §12 (channel numbers up to RFC 5766's 0x7FFF)."""
    client = world.client()
    for first in range(256):
        client.send(bytes([first]) + bytes(39))
    await world.until(
        lambda: (
            len(world.handler.requests) + len(world.handler.dtls) + sum(world.drops().values())
            == 256
        )
    )
    assert [data[0] for data, _ in world.handler.requests] == list(range(4))
    assert [data[0] for data, _ in world.handler.dtls] == list(range(20, 64))
    # 4-19, 128-255, and ChannelData whose length is 0 with more than padding behind it.
    assert world.drops() == {Drop.MALFORMED: 16 + 64 + 128}


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
async def test_dtls_inside_another_transport_is_garbage(world: World, transport: Transport) -> None:
    world.client(transport).send(DTLS_RECORD)
    assert world.handler.dtls == []
    await world.dropped({Drop.MALFORMED: 1})


MASKED = xor_address(SOMEONE, b"twelve bytes")
PEER = attribute(XOR_PEER_ADDRESS, MASKED)
PAYLOAD = attribute(DATA, b"data")
GARBAGE = {
    "nothing": b"",
    "one byte of ChannelData": b"\x40",
    "ChannelData without its length": b"\x4a\xbc\x00",
    "ChannelData shorter than it says": channel_data(CHANNEL, b"four")[:-1],
    "ChannelData longer than padding explains": channel_data(CHANNEL, b"four", 4),
    "a Send indication without attributes": message(SEND),
    "a Send indication without DATA": message(SEND, PEER),
    "a Send indication without XOR-PEER-ADDRESS": message(SEND, PAYLOAD),
    "a Send indication cut inside an attribute": message(SEND, PEER, PAYLOAD[:-1]),
    "a Send indication cut inside an attribute's header": message(SEND, PEER, PAYLOAD, b"\0\x13"),
    "an attribute longer than the message": message(SEND, PEER, b"\0\x13\xff\xff" + bytes(8)),
    "an attribute without its padding": message(SEND, PEER, b"\0\x13\0\x01x"),
    "an address of no family": message(SEND, attribute(XOR_PEER_ADDRESS, bytes(8)), PAYLOAD),
    "an IPv4 address too long": message(SEND, attribute(0x0012, MASKED + b"x"), PAYLOAD),
    "an IPv6 address too short": message(SEND, attribute(0x0012, b"\0\2" + bytes(6)), PAYLOAD),
    "an empty address": message(SEND, attribute(XOR_PEER_ADDRESS, b""), PAYLOAD),
    "an unknown attribute to be understood": message(SEND, PEER, PAYLOAD, attribute(0x7F00, b"?")),
    "a length below the message's": message(SEND, PEER, PAYLOAD) + attribute(0x8022, b"more"),
    "DATA behind MESSAGE-INTEGRITY": message(SEND, PEER, attribute(0x0008, bytes(20)), PAYLOAD),
    "a length above the message's": message(SEND, PEER, PAYLOAD)[:-4],
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_garbage_is_counted_and_dropped_and_the_client_lives_on(
    world: World, transport: Transport, garbage: bytes
) -> None:
    client, peer = world.client(transport), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    world.permit(allocation, SOMEONE)
    client.send(garbage)
    await world.dropped({Drop.MALFORMED: 1})
    assert world.handler.requests == []
    by_channel(client, peer.address, b"alive")
    assert await peer.receive() == b"alive"


@pytest.mark.parametrize("family", Family)
async def test_a_peer_the_system_cannot_send_to_is_counted(world: World, family: Family) -> None:
    client = world.client()
    allocation = world.allocate(client, family)
    nobody = Address.parse({Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}[family], 0)
    world.permit(allocation, nobody)
    by_indication(client, nobody, b"port 0")
    await world.dropped({Drop.SEND_FAILED: 1})


async def test_an_ipv4_mapped_peer_is_no_way_around_an_ipv4_permission(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    mapped = Address(bytes(10) + b"\xff\xff" + peer.address.packed, peer.address.port)
    client.send(send_indication(mapped, b"mapped"))
    await world.dropped({Drop.FAMILY_MISMATCH: 1})
    assert peer.is_silent()
