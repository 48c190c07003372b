"""IP header fields of what is relayed (RFC 8656 §13 to §16)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import attrs
import pytest
import trio

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import DONT_FRAGMENT, attribute, send_indication
from tests.turnd.datapath.datapath_world import (
    LOOPBACK,
    Client,
    Endpoint,
    World,
    WorldFactory,
    by_channel,
    by_indication,
)
from turnd.core.five_tuple import Transport
from turnd.datapath.interface import DatapathSettings, Drop

IP_RECVTOS = 13  # linux/in.h; Python has no name for it
DF = attribute(DONT_FRAGMENT, b"")
EF_ECT0 = 46 << 2 | 0b10
AF41_CE = 34 << 2 | 0b11
NOT_ECT = 0
TOS_BYTES = [EF_ECT0, AF41_CE, 0b01, NOT_ECT, 0xFF]
FAMILY_PAIRS = pytest.mark.parametrize(
    ("client_family", "relay_family"), [(a, b) for a in Family for b in Family]
)


def mark(endpoint: Endpoint, tos: int) -> None:
    """Have a socket send with that DSCP and ECN byte."""
    if len(endpoint.address.packed) == 4:
        endpoint.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    else:
        endpoint.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)


async def receive_tos(endpoint: Endpoint) -> int:
    """Receive a datagram and return its DSCP and ECN byte."""
    await endpoint.readable()
    _, ancillary, _, _ = endpoint.sock.recvmsg(65535, 64)
    ((level, kind, value),) = ancillary
    expected = {
        4: (socket.IPPROTO_IP, socket.IP_TOS),
        16: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    }
    assert (level, kind) == expected[len(endpoint.address.packed)]
    return value[0] if len(value) == 1 else int(struct.unpack("=i", value)[0])


def watch_tos(*endpoints: Endpoint) -> None:
    for endpoint in endpoints:
        if len(endpoint.address.packed) == 4:
            endpoint.sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        else:
            endpoint.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)


@FAMILY_PAIRS
@pytest.mark.parametrize("wildcard", [False, True])
async def test_dscp_and_ecn_are_copied_both_ways_between_udp_and_udp(
    world: World, client_family: Family, relay_family: Family, wildcard: bool
) -> None:
    """RFC 8656 §14: "Set the outgoing value to the incoming value"."""
    host = LOOPBACK[client_family]
    any_host = "::" if client_family is Family.IPV6 else "0.0.0.0"
    server = world.listen(any_host if wildcard else host)
    client, peer = world.udp_client(Address.parse(host, server.port)), world.peer(relay_family)
    watch_tos(client, peer)
    allocation = world.allocate(client, relay_family)
    world.bind_channel(allocation, peer.address)
    for tos in TOS_BYTES:
        mark(client, tos)
        by_channel(client, peer.address, b"channel")
        assert await receive_tos(peer) == tos
        by_indication(client, peer.address, b"indication")
        assert await receive_tos(peer) == tos
        mark(peer, tos)
        peer.send(b"channel", allocation.relay)
        assert await receive_tos(client) == tos
    world.engine.remove_channel(allocation.number, 0x4ABC)
    peer.send(b"indication", allocation.relay)
    assert await receive_tos(client) == TOS_BYTES[-1]


async def test_dscp_and_ecn_are_copied_where_a_packet_is_delivered_inside(
    make_world: WorldFactory,
) -> None:
    world = await make_world(own_ips=frozenset({Address.parse("127.0.0.1").packed}))
    server = world.listen()
    sender, receiver = world.udp_client(server), world.udp_client(server)
    watch_tos(receiver)
    first, second = world.allocate(sender), world.allocate(receiver)
    world.bind_channel(first, second.relay)
    world.bind_channel(second, first.relay)
    mark(sender, EF_ECT0)
    by_channel(sender, second.relay, b"inside")
    assert await receive_tos(receiver) == EF_ECT0


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
async def test_what_came_by_tcp_leaves_as_not_ect(world: World, transport: Transport) -> None:
    """RFC 8656 §15."""
    client, peer = world.client(transport), world.peer()
    watch_tos(peer)
    world.bind_channel(world.allocate(client), peer.address)
    by_channel(client, peer.address, b"data")
    assert await receive_tos(peer) == 0


@FAMILY_PAIRS
async def test_dscp_is_not_copied_where_that_is_switched_off(
    make_world: WorldFactory, client_family: Family, relay_family: Family
) -> None:
    world = await make_world(preserve_dscp=False)
    client, peer = world.udp_client(world.listen(LOOPBACK[client_family])), world.peer(relay_family)
    watch_tos(client, peer)
    allocation = world.allocate(client, relay_family)
    world.bind_channel(allocation, peer.address)
    mark(client, EF_ECT0)
    mark(peer, EF_ECT0)

    async def both() -> tuple[int, int]:
        by_channel(client, peer.address, b"out")
        out = await receive_tos(peer)
        peer.send(b"back", allocation.relay)
        return out, await receive_tos(client)

    assert await both() == (0, 0)
    settings = DatapathSettings()
    world.engine.reconfigure(settings)
    assert await both() == (EF_ECT0, EF_ECT0)
    world.engine.reconfigure(attrs.evolve(settings, preserve_dscp=False))
    assert await both() == (0, 0)


SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it


@pytest.fixture
def ip_packets() -> Iterator[socket.socket]:
    """Sees IPv4 packets with UDP as they arrive, header and all (needs CAP_NET_RAW)."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
        sock.setblocking(False)
        # All of the machine's: other tests' floods must not push out the one that is looked for.
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        yield sock


async def df_bit(sniffer: socket.socket, source: Address, destination: Address) -> bool:
    """The DF bit of the next packet from `source` to `destination`."""
    with trio.fail_after(5):
        while True:
            await trio.lowlevel.wait_readable(sniffer)
            packet = sniffer.recv(65535)
            header = (packet[0] & 15) * 4
            ports = struct.unpack("!HH", packet[header : header + 4])
            if (packet[12:16], packet[16:20], ports) == (
                source.packed,
                destination.packed,
                (source.port, destination.port),
            ):
                return bool(packet[6] & 0x40)


@pytest.mark.parametrize("transport", Transport)
async def test_dont_fragment_sets_df_on_that_packet_alone(
    world: World, ip_packets: socket.socket, transport: Transport
) -> None:
    """RFC 8656 §14 (alternate behavior: the incoming DF bit is taken for 0), §15."""
    client, peer = world.client(transport), world.peer()
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    path = (ip_packets, allocation.relay, peer.address)
    for more, expected in [((), False), ((DF,), True), ((DF,), True), ((), False)]:
        client.send(send_indication(peer.address, b"data", *more))
        assert await df_bit(*path) is expected
    client.send(send_indication(peer.address, b"data", DF))
    assert await df_bit(*path)
    by_channel(client, peer.address, b"data")
    assert not await df_bit(*path)


async def test_dont_fragment_is_ignored_where_ipv6_becomes_ipv4(
    world: World, ip_packets: socket.socket
) -> None:
    """RFC 8656 §13.3: "the DONT-FRAGMENT attribute MUST be ignored by the server"."""
    client, peer = world.client(Transport.UDP, Family.IPV6), world.peer()
    allocation = world.allocate(client)
    world.permit(allocation, peer.address)
    client.send(send_indication(peer.address, b"data", DF))
    assert not await df_bit(ip_packets, allocation.relay, peer.address)


async def test_data_to_clients_leaves_without_df(world: World, ip_packets: socket.socket) -> None:
    server, peer = world.listen(), world.peer()
    client = world.udp_client(server)
    allocation = world.allocate(client)
    world.bind_channel(allocation, peer.address)
    peer.send(b"data", allocation.relay)
    assert not await df_bit(ip_packets, server, client.address)


# More than fits the loopback interface's MTU of 65,536 with an IPv6 and a UDP header.
TOO_LARGE_FOR_LOOPBACK = bytes(65500)


async def test_ipv6_packets_of_stream_clients_are_fragmented_unless_dont_fragment_is_set(
    world: World,
) -> None:
    """RFC 8656 §15, IPv6 fragmentation fields."""
    client: Client = world.client(Transport.TCP, Family.IPV6)
    peer = world.peer(Family.IPV6)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    world.permit(world.allocate(client, Family.IPV6), peer.address)
    for _ in range(2):
        client.send(send_indication(peer.address, TOO_LARGE_FOR_LOOPBACK))
        assert await peer.receive() == TOO_LARGE_FOR_LOOPBACK
        client.send(send_indication(peer.address, TOO_LARGE_FOR_LOOPBACK, DF))
    await world.dropped({Drop.TOO_LARGE: 2})
    assert peer.is_silent()
