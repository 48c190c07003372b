"""What sockets see of the lab's boxes: ports, filtering, hairpinning, errors, firewalls.

What does not arrive is known without waiting: `Lab.settle` returns when nothing is under way.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from tests.natlab import (
    ADDRESS_RESTRICTED,
    CARRIER_NETWORK,
    FULL_CONE,
    MASQUERADE,
    MASQUERADE_RANDOM,
    ONLY_TCP_443,
    PORT_RESTRICTED,
    SYMMETRIC,
    SYMMETRIC_PRESERVING,
    UDP_BLOCKED,
    Host,
    KernelRouter,
    Lab,
    LabHost,
    Nat,
    Topology,
    lab,
    with_hairpinning,
)
from tests.natlab.servers import coturn_on, turnd_on

KINDS = {
    "full": FULL_CONE,
    "address": ADDRESS_RESTRICTED,
    "port": PORT_RESTRICTED,
    "symmetric": SYMMETRIC,
    "preserving": SYMMETRIC_PRESERVING,
}
HAIRPINNING = {f"{name} hairpin": with_hairpinning(kind) for name, kind in KINDS.items()}
KERNEL = {
    "linux": MASQUERADE,
    "linux random": MASQUERADE_RANDOM,
    "no udp": UDP_BLOCKED,
    "only 443": ONLY_TCP_443,
}
TOPOLOGY = Topology(
    hosts=(
        Host("server", addresses=2, ipv6=True),
        Host("stranger"),
        *(
            Host(f"{which} {name}", on=name)
            for name in (*KINDS, *HAIRPINNING, *KERNEL)
            for which in ("first", "second")
        ),
        Host("laptop", on="home", ipv6=True),
        Host("printer", on="home"),
        Host("desktop", on="other home"),
        Host("behind both", on="nat in linux"),
        Host("phone", on="mobile", addresses=0, ipv6=True),
    ),
    boxes=(
        *(Nat(name, kind) for name, kind in (KINDS | HAIRPINNING).items()),
        *(KernelRouter(name, rules) for name, rules in KERNEL.items()),
        Nat("carrier", with_hairpinning(FULL_CONE), network=CARRIER_NETWORK),
        # Two customers of one carrier who both use the network that half the world uses.
        Nat("home", FULL_CONE, on="carrier", network="192.168.1.0/24"),
        Nat("other home", FULL_CONE, on="carrier", network="192.168.1.0/24"),
        Nat("nat in linux", FULL_CONE, on="linux"),
        Nat("mobile", PORT_RESTRICTED, nat64=True),
    ),
)
PATIENCE = 10.0
"""Seconds, for what must come."""
PORT = 4000

Serve = Callable[[LabHost, Path], AbstractAsyncContextManager[object]]
_REFLEXIVE = re.compile(rb"UDP reflexive addr: (\S+):(\d+)\n")


@pytest.fixture(scope="module")
def net() -> Iterator[Lab]:
    with lab(TOPOLOGY) as running:
        yield running


@pytest.fixture
def sockets(net: Lab) -> Iterator[Sockets]:
    with contextlib.ExitStack() as stack:
        yield Sockets(net, stack)


class Sockets:
    """Opens sockets that are closed with the test."""

    def __init__(self, net: Lab, stack: contextlib.ExitStack) -> None:
        self.net, self.stack = net, stack

    def __call__(
        self,
        host: str,
        port: int = 0,
        kind: socket.SocketKind = socket.SOCK_DGRAM,
        address: str = "",
    ) -> socket.socket:
        sock = self.stack.enter_context(self.net[host].bound_socket(port, kind, address))
        sock.settimeout(PATIENCE)
        return sock


def received(sock: socket.socket) -> list[tuple[str, tuple[str, int]]]:
    """Return what a socket has got so far, and where from."""
    packets = []
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            data, source = sock.recvfrom(100)
            packets.append((data.decode(), (source[0], source[1])))
    sock.settimeout(PATIENCE)
    return packets


def seen_from(server: socket.socket, client: socket.socket) -> tuple[str, int]:
    """Return where the server sees a client's packet come from."""
    client.sendto(b"from where?", server.getsockname()[:2])
    _, seen = server.recvfrom(100)
    return seen[0], seen[1]


@pytest.mark.parametrize("name", ["full", "address", "port", "linux"])
def test_cone_keeps_the_port_for_every_remote(name: str, net: Lab, sockets: Sockets) -> None:
    client = sockets(f"first {name}", PORT)
    expected = (net.outside_address(name), PORT)
    for remote in (sockets("server"), sockets("server"), sockets("stranger")):
        assert seen_from(remote, client) == expected


@pytest.mark.parametrize("name", ["full", "linux"])
def test_second_host_that_wants_the_same_port_gets_another(
    name: str, net: Lab, sockets: Sockets
) -> None:
    server = sockets("server")
    ports = {seen_from(server, sockets(f"{each} {name}", PORT + 1)) for each in ("first", "second")}
    assert len(ports) == 2
    assert (net.outside_address(name), PORT + 1) in ports


@pytest.mark.parametrize("name", ["symmetric", "linux random"])
def test_symmetric_draws_a_port_for_every_remote(name: str, sockets: Sockets) -> None:
    client = sockets(f"first {name}", PORT)
    remotes = [sockets("server") for _ in range(8)]
    ports = [seen_from(remote, client)[1] for remote in remotes]
    assert len(set(ports)) == 8
    assert PORT not in ports
    assert sorted(ports) != ports
    # It is the same again for each of them.
    assert [seen_from(remote, client)[1] for remote in remotes] == ports


def test_symmetric_preserving_keeps_the_port_for_the_first_remote_only(sockets: Sockets) -> None:
    client = sockets("first preserving", PORT)
    remotes = [sockets("server"), sockets("server"), sockets("stranger")]
    assert [seen_from(each, client)[1] for each in remotes] == [PORT, PORT + 1, PORT + 2]


@pytest.mark.parametrize(
    ("name", "arriving"),
    [
        ("full", ["stranger", "other port", "server"]),
        ("address", ["other port", "server"]),
        ("port", ["server"]),
        ("symmetric", ["server"]),
        ("preserving", ["server"]),
        ("linux", ["server"]),
        ("linux random", ["server"]),
    ],
)
def test_filtering_lets_in_whom_the_kind_lets_in(
    name: str, arriving: list[str], net: Lab, sockets: Sockets
) -> None:
    client, server = sockets(f"first {name}"), sockets("server")
    senders = {"stranger": sockets("stranger"), "other port": sockets("server"), "server": server}
    outside = seen_from(server, client)
    for text, sender in senders.items():
        sender.sendto(text.encode(), outside)
        net.settle()
    expected = [(text, senders[text].getsockname()) for text in arriving]
    assert received(client) == expected


@pytest.mark.parametrize("name", HAIRPINNING)
def test_hairpinning_shows_the_outside_address_of_the_sender(
    name: str, net: Lab, sockets: Sockets
) -> None:
    server, first, second = sockets("server"), sockets(f"first {name}"), sockets(f"second {name}")
    outside = [seen_from(server, each) for each in (first, second)]
    first.sendto(b"to the second", outside[1])
    net.settle()
    second.sendto(b"to the first", outside[0])
    net.settle()
    # Symmetric: the second's port towards the first is not the one that the first has sent to.
    is_cone = not name.startswith(("symmetric", "preserving"))
    assert received(first) == [("to the first", outside[1])] * is_cone
    # Its filter let the other in before it had sent anything itself: only a full cone's.
    assert received(second) == [("to the second", outside[0])] * name.startswith("full")


@pytest.mark.parametrize("name", [*KINDS, "linux"])
def test_without_hairpinning_nothing_comes_back_in(name: str, net: Lab, sockets: Sockets) -> None:
    server, first, second = sockets("server"), sockets(f"first {name}"), sockets(f"second {name}")
    outside = [seen_from(server, each) for each in (first, second)]
    for _ in range(2):
        first.sendto(b"to the second", outside[1])
        net.settle()
        second.sendto(b"to the first", outside[0])
        net.settle()
    assert received(first) == received(second) == []


def test_hosts_of_one_network_reach_one_another_directly(net: Lab, sockets: Sockets) -> None:
    laptop, printer = sockets("laptop"), sockets("printer")
    assert seen_from(laptop, printer) == printer.getsockname()


def test_double_nat_shows_the_carriers_address(net: Lab, sockets: Sockets) -> None:
    client, server = sockets("laptop", PORT), sockets("server")
    assert seen_from(server, client) == (net.outside_address("carrier"), PORT)
    (inner,) = {m.inside for m in net.mappings("home") if m.port == PORT}
    (outer,) = {m.inside for m in net.mappings("carrier") if m.port == PORT}
    assert socket.inet_ntoa(inner[0]) == net["laptop"].address
    assert socket.inet_ntoa(outer[0]) == net.outside_address("home")
    assert net.outside_address("home").startswith("100.64.")
    server.sendto(b"back", (net.outside_address("carrier"), PORT))
    assert client.recv(100) == b"back"


def test_nat_behind_linux_is_port_restricted_as_linux_is(net: Lab, sockets: Sockets) -> None:
    client, server, stranger = sockets("behind both", PORT), sockets("server"), sockets("stranger")
    outside = seen_from(server, client)
    assert outside[0] == net.outside_address("linux")
    for sender, text in ((stranger, b"stranger"), (server, b"server")):
        sender.sendto(text, outside)
        net.settle()
    assert received(client) == [("server", server.getsockname())]


def test_homes_of_one_carrier_meet_by_its_hairpin_though_their_addresses_are_the_same(
    net: Lab, sockets: Sockets
) -> None:
    laptop, desktop, server = sockets("laptop"), sockets("desktop"), sockets("server")
    assert net["laptop"].address == net["desktop"].address
    outside, other_outside = seen_from(server, laptop), seen_from(server, desktop)
    assert outside[0] == other_outside[0] == net.outside_address("carrier")
    laptop.sendto(b"hello", other_outside)
    assert desktop.recvfrom(100) == (b"hello", outside)


def test_icmp_error_finds_its_way_through_two_nats(net: Lab, sockets: Sockets) -> None:
    closed = sockets("server")
    nobody = closed.getsockname()
    closed.close()
    client = sockets("laptop")
    client.connect(nobody)
    client.send(b"anyone?")
    with pytest.raises(ConnectionRefusedError):
        client.recv(100)


def test_icmp_error_of_a_host_inside_goes_out(net: Lab, sockets: Sockets) -> None:
    client, server = sockets("laptop"), sockets("server")
    server.connect((net.outside_address("carrier"), client.getsockname()[1]))
    client.sendto(b"open", server.getsockname())
    assert server.recv(100) == b"open"
    client.close()
    server.send(b"still there?")
    with pytest.raises(ConnectionRefusedError):
        server.recv(100)


def test_ping_goes_through_nats_with_its_identifier_translated(net: Lab) -> None:
    with net["laptop"].entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.settimeout(PATIENCE)
        request = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + b"ping"
        checksum = 0xFFFF - int.from_bytes(request) % 0xFFFF
        sock.sendto(request[:2] + checksum.to_bytes(2) + request[4:], (net["server"].address, 0))
        reply = sock.recv(100)[20:]
    assert struct.unpack("!BBHHH", reply[:8])[3:] == (77, 1)
    assert (reply[0], reply[8:]) == (0, b"ping")


def echo_once(listener: socket.socket) -> threading.Thread:
    """Accept a connection in a thread of its own and send back all that comes."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            while data := connection.recv(65_536):
                connection.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Send over TCP and return as much of an answer."""
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    answer = bytearray()
    while len(answer) < len(data):
        chunk = client.recv(65_536)
        assert chunk
        answer += chunk
    sender.join()
    return bytes(answer)


@pytest.mark.parametrize("name", ["first symmetric", "laptop", "first linux", "first no udp"])
def test_tcp_goes_through(name: str, sockets: Sockets) -> None:
    listener = sockets("server", kind=socket.SOCK_STREAM)
    listener.listen()
    client = sockets(name, kind=socket.SOCK_STREAM)
    thread = echo_once(listener)
    client.connect(listener.getsockname())
    data = bytes(range(256)) * 400
    assert exchange(client, data) == data
    client.close()
    thread.join()


def test_firewall_that_blocks_udp_blocks_udp(net: Lab, sockets: Sockets) -> None:
    server = sockets("server")
    for host, text in (("first no udp", b"no"), ("first linux", b"yes")):
        sockets(host).sendto(text, server.getsockname())
        net.settle()
    assert [text for text, _ in received(server)] == ["yes"]


def test_firewall_of_the_strict_kind_lets_out_tcp_443_alone(net: Lab, sockets: Sockets) -> None:
    udp, other = sockets("server", 443), sockets("server", 444, socket.SOCK_STREAM)
    listener = sockets("server", 443, socket.SOCK_STREAM)
    other.listen()
    listener.listen()
    sockets("first only 443").sendto(b"no", udp.getsockname())
    to_other = sockets("first only 443", kind=socket.SOCK_STREAM)
    to_other.setblocking(False)
    with pytest.raises(BlockingIOError):
        to_other.connect(other.getsockname())
    net.settle()
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.accept()
    assert received(udp) == []
    client = sockets("first only 443", kind=socket.SOCK_STREAM)
    thread = echo_once(listener)
    client.connect(listener.getsockname())
    assert exchange(client, b"through") == b"through"
    client.close()
    thread.join()


def test_nat64_reaches_ipv4_by_the_well_known_prefix(net: Lab, sockets: Sockets) -> None:
    client, server = sockets("phone", PORT), sockets("server")
    host, port = server.getsockname()
    client.sendto(b"out", (f"64:ff9b::{host}", port))
    data, source = server.recvfrom(100)
    assert (data, source) == (b"out", (net.outside_address("mobile"), PORT))
    server.sendto(b"back", source)
    data, source = client.recvfrom(100)
    expected = socket.inet_pton(socket.AF_INET6, f"64:ff9b::{host}")
    assert (data, source[1]) == (b"back", port)
    assert socket.inet_pton(socket.AF_INET6, source[0]) == expected


def test_nat64_carries_tcp(sockets: Sockets) -> None:
    listener = sockets("server", kind=socket.SOCK_STREAM)
    listener.listen()
    host, port = listener.getsockname()
    client = sockets("phone", kind=socket.SOCK_STREAM)
    thread = echo_once(listener)
    client.connect((f"64:ff9b::{host}", port))
    assert exchange(client, bytes(100_000)) == bytes(100_000)
    client.close()
    thread.join()


@pytest.mark.parametrize("name", ["phone", "laptop"])
def test_ipv6_is_routed_as_it_is(name: str, net: Lab, sockets: Sockets) -> None:
    own = net[name].addresses[-1]
    client = sockets(name, address=own)
    server = sockets("server", address=net["server"].addresses[-1])
    assert seen_from(server, client) == client.getsockname()[:2]
    server.sendto(b"back", client.getsockname()[:2])
    assert client.recv(100) == b"back"


def test_multicast_stays_on_its_network(net: Lab, sockets: Sockets) -> None:
    group, port = "224.0.0.251", 5353
    members = []
    for name in ("printer", "server"):
        member = sockets.stack.enter_context(net[name].open_socket())
        member.bind(("", port))
        joined = socket.inet_aton(group) + socket.inet_aton(net[name].address)
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        members.append(member)
    client = sockets("laptop")
    client.sendto(b"who has?", (group, port))
    net.settle()
    assert received(members[0]) == [("who has?", client.getsockname())]
    assert received(members[1]) == []


def test_rebinding_changes_the_port_and_closes_the_old_one(net: Lab, sockets: Sockets) -> None:
    client, server = sockets("first port"), sockets("server")
    before = seen_from(server, client)
    net.rebind("port")
    after = seen_from(server, client)
    assert before[0] == after[0]
    assert before[1] != after[1]
    for text, outside in ((b"to the old one", before), (b"to the new one", after)):
        server.sendto(text, outside)
        net.settle()
    assert received(client) == [("to the new one", server.getsockname())]


@pytest.mark.parametrize("serve", [coturn_on, turnd_on])
async def test_stunclient_sees_the_address_of_the_nat(serve: Serve, tmp_path: Path) -> None:
    topology = Topology(
        hosts=(Host("server", addresses=2), Host("client", on="nat")),
        boxes=(Nat("nat", FULL_CONE),),
    )
    with lab(topology) as net:
        server = net["server"]
        async with serve(server, tmp_path):
            command = net["client"].command("turnutils_stunclient", server.address)
            process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
            # It never ends behind a NAT: its second request has the answer sent to a port
            # that nothing was sent from (RESPONSE-PORT), and it waits for that.
            try:
                assert process.stdout is not None
                output = b""
                with trio.fail_after(PATIENCE):
                    while not (found := _REFLEXIVE.search(output)):
                        chunk = await process.stdout.receive_some()
                        assert chunk, output
                        output += chunk
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        assert found[1].decode() == net.outside_address("nat")
        assert int(found[2]) in {mapping.port for mapping in net.mappings("nat")}
