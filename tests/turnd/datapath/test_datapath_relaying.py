"""What goes from client to peer and back (RFC 8656 §11.2, §11.3, §12.5 to §12.7)."""

from __future__ import annotations

import itertools

import pytest

from stun import Family
from tests.turnd.datapath.datapath_wire import (
    DATA,
    DONT_FRAGMENT,
    XOR_PEER_ADDRESS,
    attribute,
    channel_data,
    message,
    read_indication,
    send_indication,
    xor_address,
)
from tests.turnd.datapath.datapath_world import CHANNEL, Exchange, World, by_channel, by_indication
from turnd.core.five_tuple import Transport
from turnd.core.tables import Traffic
from turnd.datapath.interface import Direction, Drop, PacketCount

EVERY_WAY = list(itertools.product(Transport, Family, Family))
FORMS = pytest.mark.parametrize("send", [by_channel, by_indication])
WAYS = pytest.mark.parametrize(
    ("transport", "client_family", "relay_family"),
    EVERY_WAY,
    ids=["-".join((t.value, c.name, r.name)).lower() for t, c, r in EVERY_WAY],
)
SIZES = (0, 1, 2, 3, 4, 5, 172, 1200, 1471)


@FORMS
@WAYS
async def test_client_data_leaves_the_relayed_address_for_the_peer(
    world: World,
    transport: Transport,
    client_family: Family,
    relay_family: Family,
    send: Exchange,
) -> None:
    client, peer = world.client(transport, client_family), world.peer(relay_family)
    allocation = world.allocate(client, relay_family)
    world.bind_channel(allocation, peer.address)
    for size in SIZES:
        data = bytes(index % 251 for index in range(size))
        send(client, peer.address, data)
        assert await peer.receive_from() == (data, allocation.relay)
    assert world.drops() == {}


@WAYS
async def test_data_of_a_peer_with_a_channel_comes_as_channel_data(
    world: World, transport: Transport, client_family: Family, relay_family: Family
) -> None:
    client, peer = world.client(transport, client_family), world.peer(relay_family)
    allocation = world.allocate(client, relay_family)
    world.bind_channel(allocation, peer.address)
    for size in SIZES:
        data = bytes(index % 251 for index in range(size))
        peer.send(data, allocation.relay)
        # RFC 8656 §12.5: padded on TCP and TLS, and the length does not tell of it.
        padding = -size % 4 if transport in {Transport.TCP, Transport.TLS} else 0
        assert await client.receive() == channel_data(CHANNEL, data, padding)


@WAYS
async def test_data_of_a_peer_without_a_channel_comes_as_a_data_indication(
    world: World, transport: Transport, client_family: Family, relay_family: Family
) -> None:
    client, peer = world.client(transport, client_family), world.peer(relay_family)
    allocation = world.allocate(client, relay_family)
    world.permit(allocation, peer.address)
    for size in SIZES:
        data = bytes(index % 251 for index in range(size))
        peer.send(data, allocation.relay)
        indication = read_indication(await client.receive())
        assert [code for code, _ in indication.attributes] == [XOR_PEER_ADDRESS, DATA]
        assert (indication.peer, indication.data) == (peer.address, data)


async def test_every_data_indication_has_a_transaction_id_of_its_own(world: World) -> None:
    client, peer = world.client(Transport.TCP), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    seen = set()
    for _ in range(600):
        peer.send(b"again", allocation.relay)
        seen.add(read_indication(await client.receive()).transaction_id)
    assert len(seen) == 600


async def test_a_client_may_use_a_send_indication_although_a_channel_is_bound(
    world: World,
) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    by_indication(client, peer.address, b"by indication")
    by_channel(client, peer.address, b"by channel")
    assert [await peer.receive(), await peer.receive()] == [b"by indication", b"by channel"]
    peer.send(b"answer", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"answer")


async def test_a_channel_is_for_one_port_of_the_peer_alone(world: World) -> None:
    client, bound, other = world.client(), world.peer(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, bound.address)
    other.send(b"other port", allocation.relay)
    assert read_indication(await client.receive()).peer == other.address


@pytest.mark.parametrize("number", [0x4000, 0x4FFF, 0x5000, 0x7FFF])
async def test_every_channel_number_of_rfc_5766_is_taken(world: World, number: int) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address, number)
    client.send(channel_data(number, b"there"))
    assert await peer.receive() == b"there"
    peer.send(b"back", allocation.relay)
    assert await client.receive() == channel_data(number, b"back")


@pytest.mark.parametrize("padding", [1, 2, 3])
async def test_padding_of_channel_data_over_udp_is_not_application_data(
    world: World, padding: int
) -> None:
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client), peer.address)
    client.send(channel_data(CHANNEL, b"data", padding))
    assert await peer.receive() == b"data"


async def test_many_channels_and_peers_are_kept_apart(world: World) -> None:
    client, peers = world.client(), [world.peer() for _ in range(20)]
    allocation = world.allocate(client)
    for number, peer in enumerate(peers, 0x4000):
        world.bind_channel(allocation, peer.address, number)
    for number, peer in enumerate(peers, 0x4000):
        client.send(channel_data(number, b"%d" % number))
        assert await peer.receive() == b"%d" % number
        peer.send(b"from %d" % number, allocation.relay)
        assert await client.receive() == channel_data(number, b"from %d" % number)


async def test_clients_of_one_listener_are_kept_apart(world: World) -> None:
    server, peer = world.listen(), world.peer()
    clients = [world.udp_client(server) for _ in range(5)]
    allocations = [world.allocate(client) for client in clients]
    for allocation in allocations:
        world.bind_channel(allocation, peer.address)
    for client, allocation in zip(clients, allocations, strict=True):
        by_channel(client, peer.address, b"hello")
        assert await peer.receive_from() == (b"hello", allocation.relay)
        peer.send(b"welcome", allocation.relay)
        assert await client.receive() == channel_data(CHANNEL, b"welcome")


async def test_an_allocation_with_two_families_sends_from_the_peers_own(world: World) -> None:
    client, peers = world.client(), [world.peer(family) for family in Family]
    allocation = world.allocate(client)
    second = world.open_relay(allocation.number, client, Family.IPV6)
    for number, peer in enumerate(peers, 0x4000):
        world.bind_channel(allocation, peer.address, number)
    for number, peer, relay in zip(
        (0x4000, 0x4001), peers, (allocation.relay, second.local), strict=True
    ):
        client.send(channel_data(number, b"two families"))
        assert await peer.receive_from() == (b"two families", relay)
        peer.send(b"answer", relay)
        assert await client.receive() == channel_data(number, b"answer")


async def test_attributes_that_need_not_be_understood_are_skipped(world: World) -> None:
    client, peer = world.client(), world.peer()
    world.permit(world.allocate(client), peer.address)
    software, fingerprint = attribute(0x8022, b"test"), attribute(0x8028, bytes(4))
    client.send(send_indication(peer.address, b"data", software, fingerprint))
    assert await peer.receive() == b"data"


async def test_known_attributes_that_do_not_belong_in_a_send_indication_are_ignored(
    world: World,
) -> None:
    """RFC 8489 §6.3: "known but not supposed to be present": only unknown ones are refused."""
    client, peer = world.client(), world.peer()
    world.permit(world.allocate(client), peer.address)
    username, integrity = attribute(0x0006, b"user"), attribute(0x0008, bytes(20))
    client.send(send_indication(peer.address, b"data", username, integrity))
    assert await peer.receive() == b"data"


@pytest.mark.parametrize("integrity", [(0x0008, 20), (0x001C, 32)])
async def test_attributes_behind_an_integrity_are_ignored(
    world: World, integrity: tuple[int, int]
) -> None:
    """RFC 8489 §14.5, §14.6, whatever they are."""
    client, peer = world.client(), world.peer()
    world.permit(world.allocate(client), peer.address)
    code, size = integrity
    more = (attribute(code, bytes(size)), attribute(0x7F00, b"unknown"))
    client.send(send_indication(peer.address, b"data", *more))
    assert await peer.receive() == b"data"


async def test_of_duplicate_attributes_the_first_counts(world: World) -> None:
    client, first, second = world.client(), world.peer(), world.peer()
    world.permit(world.allocate(client), first.address)
    transaction_id = b"twelve bytes"
    attributes = [
        attribute(XOR_PEER_ADDRESS, xor_address(peer.address, transaction_id))
        for peer in (first, second)
    ] + [attribute(DATA, b"first"), attribute(DATA, b"second")]
    client.send(message(0x0016, *attributes, transaction_id=transaction_id))
    assert await first.receive() == b"first"
    assert second.is_silent()


async def test_the_order_of_attributes_does_not_matter(world: World) -> None:
    client, peer = world.client(), world.peer()
    world.permit(world.allocate(client), peer.address)
    transaction_id = b"twelve bytes"
    attributes = (
        attribute(DONT_FRAGMENT, b""),
        attribute(DATA, b"before the peer"),
        attribute(XOR_PEER_ADDRESS, xor_address(peer.address, transaction_id)),
    )
    client.send(message(0x0016, *attributes, transaction_id=transaction_id))
    assert await peer.receive() == b"before the peer"


async def test_the_largest_ipv4_datagram_reaches_a_client_on_a_stream(world: World) -> None:
    client, peer = world.client(Transport.TLS), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    data = bytes(range(256)) * 255 + bytes(65507 - 256 * 255)
    peer.send(data, allocation.relay)
    assert read_indication(await client.receive()).data == data


async def test_what_no_message_can_hold_is_dropped_and_the_relay_lives_on(world: World) -> None:
    """An IPv6 datagram of 65,527 bytes and its XOR-PEER-ADDRESS exceed STUN's 16-bit length."""
    client, peer = world.client(Transport.TCP), world.peer(Family.IPV6)
    allocation = world.allocate(client, Family.IPV6)
    world.permit(allocation, peer.address)
    peer.send(bytes(65527), allocation.relay)
    await world.dropped({Drop.TOO_LARGE: 1})
    peer.send(b"small", allocation.relay)
    assert read_indication(await client.receive()).data == b"small"


async def test_what_no_datagram_to_the_client_can_hold_is_dropped(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    peer.send(bytes(65507), allocation.relay)
    await world.dropped({Drop.TOO_LARGE: 1})
    peer.send(bytes(65503), allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, bytes(65503))


@WAYS
async def test_payload_bytes_are_counted_by_direction_transport_and_relay_family(
    world: World, transport: Transport, client_family: Family, relay_family: Family
) -> None:
    client, peer = world.client(transport, client_family), world.peer(relay_family)
    allocation = world.allocate(client, relay_family)
    world.bind_channel(allocation, peer.address)
    for data in (b"12345", b""):
        by_channel(client, peer.address, data)
        await peer.receive()
    by_indication(client, peer.address, b"123")
    await peer.receive()
    peer.send(b"1234567", allocation.relay)
    await client.receive()
    expected = Traffic(3, 8, 1, 7)
    await world.until(lambda: world.engine.traffic(allocation.number) == expected)
    totals = {key: count for key, count in world.engine.totals().relayed.items() if count.packets}
    assert totals == {
        (Direction.TO_PEER, transport, relay_family): PacketCount(3, 8),
        (Direction.TO_CLIENT, transport, relay_family): PacketCount(1, 7),
    }
