"""ICMP errors reach the client (RFC 8656 §11.5, §18.13)."""

from __future__ import annotations

import socket
import struct

import pytest

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import (
    DONT_FRAGMENT,
    ICMP,
    XOR_PEER_ADDRESS,
    attribute,
    channel_data,
    read_indication,
    send_indication,
)
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    LIFETIME,
    LOOPBACK,
    Exchange,
    World,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport

PORT_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}
FAMILIES = pytest.mark.parametrize("family", Family)
FORMS = pytest.mark.parametrize("send", [by_channel, by_indication])


def closed_port(world: World, family: Family = Family.IPV4) -> Address:
    """A transport address that answers with port unreachable."""
    return world.free_address(LOOPBACK[family])


def icmp_attribute(icmp_type: int, code: int, error_data: int = 0) -> bytes:
    """RFC 8656 figure 11: 16 bits reserved, 7 of type, 9 of code, 32 of error data."""
    return struct.pack("!HHI", 0, icmp_type << 9 | code, error_data)


@FORMS
@FAMILIES
@pytest.mark.parametrize("transport", Transport)
async def test_an_icmp_error_comes_as_a_data_indication_with_icmp(
    world: World, transport: Transport, family: Family, send: Exchange
) -> None:
    """Also where a channel is bound (RFC 8656 §12.5)."""
    client, nobody = world.client(transport), closed_port(world, family)
    world.bind_channel(world.allocate(client, family), nobody)
    send(client, nobody, b"anyone there?")
    indication = read_indication(await client.receive())
    assert [code for code, _ in indication.attributes] == [XOR_PEER_ADDRESS, ICMP]
    assert indication.peer == nobody
    assert indication.value(ICMP) == icmp_attribute(*PORT_UNREACHABLE[family])


@FAMILIES
async def test_an_icmp_error_keeps_no_packet_from_its_peer(world: World, family: Family) -> None:
    client, nobody, peer = world.client(), closed_port(world, family), world.peer(family)
    allocation = world.allocate(client, family)
    world.permit(allocation, peer.address)
    for index in range(10):
        by_indication(client, nobody, b"lost")
        by_indication(client, peer.address, b"%d" % index)
        assert await peer.receive() == b"%d" % index
        assert read_indication(await client.receive()).peer == nobody
        peer.send(b"answer %d" % index, allocation.relay)
        assert read_indication(await client.receive()).data == b"answer %d" % index
    assert world.drops() == {}


async def test_errors_are_bounded_and_packets_are_not(world: World) -> None:
    """A client that floods a closed port is not flooded in return."""
    client, nobody, peer = world.client(Transport.TCP), closed_port(world), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    for _ in range(500):
        by_indication(client, nobody, b"flood")
        by_indication(client, peer.address, b"fine")
        await peer.receive()
    peer.send(b"end", allocation.relay)
    errors = 0
    while ICMP in dict(read_indication(await client.receive()).attributes):
        errors += 1
    assert 1 <= errors <= 100
    world.clock.advance(60)
    by_indication(client, nobody, b"again")
    assert read_indication(await client.receive()).peer == nobody


async def test_errors_of_one_allocation_are_not_told_to_another(world: World) -> None:
    server, nobody, peer = world.listen(), closed_port(world), world.peer()
    first, second = world.udp_client(server), world.udp_client(server)
    for client in (first, second):
        world.permit(world.allocate(client), peer.address)
    by_indication(first, nobody, b"lost")
    assert read_indication(await first.receive()).peer == nobody
    by_indication(second, peer.address, b"fine")
    assert await peer.receive() == b"fine"
    assert second.is_silent()


async def test_a_peer_that_comes_back_is_heard_on_its_channel(world: World) -> None:
    client, peer = world.client(), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    peer.sock.close()
    by_channel(client, peer.address, b"lost")
    assert ICMP in dict(read_indication(await client.receive()).attributes)
    again = world.peer_at(peer.address)
    by_channel(client, peer.address, b"found")
    assert await again.receive() == b"found"
    again.send(b"back", allocation.relay)
    assert await client.receive() == channel_data(CHANNEL, b"back")


@pytest.mark.parametrize(
    ("family", "icmp_type", "code", "passed_on"),
    [
        (Family.IPV4, 3, 0, True),
        (Family.IPV4, 3, 1, True),
        (Family.IPV4, 3, 13, True),
        (Family.IPV4, 11, 0, True),
        (Family.IPV4, 4, 0, False),
        (Family.IPV4, 12, 0, False),
        (Family.IPV6, 1, 1, True),
        (Family.IPV6, 1, 3, True),
        (Family.IPV6, 3, 0, True),
        (Family.IPV6, 4, 1, False),
    ],
)
async def test_the_types_that_rfc_8656_names_are_passed_on_and_no_others(
    world: World, family: Family, icmp_type: int, code: int, passed_on: bool
) -> None:
    client, peer = world.client(), world.peer(family)
    allocation = world.allocate(client, family)
    world.permit(allocation, peer.address)
    tell_icmp(icmp_type, code, allocation.relay, peer.address, rest=0x01020304)
    if passed_on:
        indication = read_indication(await client.receive())
        assert indication.peer == peer.address
        # RFC 8656 §18.13: "the Error Data field MUST be set to zero".
        assert indication.value(ICMP) == icmp_attribute(icmp_type, code)
    peer.send(b"and on", allocation.relay)
    assert read_indication(await client.receive()).data == b"and on"
    by_indication(client, peer.address, b"and back")
    assert await peer.receive() == b"and back"


async def test_the_next_hops_mtu_is_told_although_packets_without_df_followed(
    world: World,
) -> None:
    """RFC 8656 §18.13: type 3 code 4 carries the MTU."""
    client, peer = world.client(), world.peer(host="127.0.0.3")
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    for more in ((attribute(DONT_FRAGMENT, b""),), ()):
        client.send(send_indication(peer.address, b"data", *more))
        assert await peer.receive() == b"data"
    tell_icmp(3, 4, allocation.relay, peer.address, rest=1280)
    indication = read_indication(await client.receive())
    assert indication.peer == peer.address
    assert indication.value(ICMP) == icmp_attribute(3, 4, 1280)
    by_indication(client, peer.address, b"and on")
    assert await peer.receive() == b"and on"


async def test_an_icmp_error_needs_a_permission_for_the_address_it_tells_of(world: World) -> None:
    """RFC 8656 §11.5: not for the router's, which is 127.0.0.1 here."""
    client, peer = world.client(), world.peer()
    other = world.free_address("127.0.0.2")
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    tell_icmp(3, 1, allocation.relay, other)
    peer.send(b"nothing before this", allocation.relay)
    assert read_indication(await client.receive()).data == b"nothing before this"
    world.permit(allocation, other)
    tell_icmp(3, 1, allocation.relay, other)
    assert read_indication(await client.receive()).peer == other
    world.clock.advance(LIFETIME - 1)
    world.permit(allocation, peer.address)
    world.clock.advance(2)
    tell_icmp(3, 1, allocation.relay, other)
    peer.send(b"nor before this", allocation.relay)
    assert read_indication(await client.receive()).data == b"nor before this"


def tell_icmp(icmp_type: int, code: int, relay: Address, peer: Address, rest: int = 0) -> None:
    """Be a router that tells `relay` what became of its datagram to `peer` (CAP_NET_RAW)."""
    udp = struct.pack("!HHHH", relay.port, peer.port, 12, 0) + b"data"
    head = struct.pack("!BBHI", icmp_type, code, 0, rest)
    if len(relay.packed) == 4:
        inner = struct.pack("!BBHHHBBH", 0x45, 0, 32, 1, 0x4000, 64, 17, 0)
        message = head + inner + relay.packed + peer.packed + udp
        message = message[:2] + struct.pack("!H", internet_checksum(message)) + message[4:]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as router:
            router.sendto(message, (relay.host, 0))
    else:  # the kernel sees to the checksum
        inner = struct.pack("!IHBB", 6 << 28, 12, 17, 64) + relay.packed + peer.packed
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
            router.sendto(head + inner + udp, (relay.host, 0))


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
