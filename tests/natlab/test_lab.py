"""The lab itself: nothing stays behind, tasks live in namespaces, packets are carried fast."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ifaddr
import pytest
import trio

from tests.interop.tools import REPOSITORY
from tests.natlab import (
    FULL_CONE,
    MASQUERADE,
    SYMMETRIC,
    Host,
    KernelRouter,
    Lab,
    LabError,
    Nat,
    Topology,
    inhabiting,
    lab,
)

TOPOLOGY = Topology(
    hosts=(Host("server"), Host("alice", on="nat"), Host("bob", on="linux")),
    boxes=(Nat("nat", SYMMETRIC), KernelRouter("linux", MASQUERADE)),
)
HOSTS = ("server", "alice", "bob")
PATIENCE = 10.0


@pytest.fixture
def net() -> Iterator[Lab]:
    with lab(TOPOLOGY) as running:
        yield running


def namespaces() -> set[int]:
    """Return the namespaces that somebody holds: by being in it, by a descriptor, by a mount."""
    links = [*Path("/proc").glob("[0-9]*/task/*/ns/net"), *Path("/proc").glob("[0-9]*/fd/*")]
    targets = []
    for link in links:
        with contextlib.suppress(OSError):
            targets.append(os.readlink(link))
    targets += Path("/proc/self/mountinfo").read_text().split()
    return {int(each[5:-1]) for each in targets if each.startswith("net:[")}


class TroubleError(Exception):
    pass


def test_nothing_stays_after_an_exception() -> None:
    inodes: set[int] = set()

    def fail() -> None:
        with lab(TOPOLOGY) as net:
            inodes.update(net[name].inode for name in HOSTS)
            assert inodes <= namespaces()
            raise TroubleError

    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(TroubleError):
        fail()
    assert not inodes & namespaces()
    assert set(os.listdir("/proc/self/fd")) == before


async def test_nothing_stays_after_a_cancellation() -> None:
    inodes: set[int] = set()
    with trio.CancelScope() as scope, lab(TOPOLOGY) as net:
        inodes.update(net[name].inode for name in HOSTS)
        assert inodes <= namespaces()
        scope.cancel()
        await trio.sleep_forever()
    assert inodes
    assert not inodes & namespaces()


_UNTIL_KILLED = """
import sys
from tests.natlab.test_lab import HOSTS, TOPOLOGY, lab
with lab(TOPOLOGY) as net:
    print(*(net[name].inode for name in HOSTS), flush=True)
    sys.stdin.read()
"""


def test_nothing_stays_after_sigkill() -> None:
    command = [sys.executable, "-c", _UNTIL_KILLED]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        inodes = {int(word) for word in process.stdout.readline().split()}
        assert len(inodes) == len(HOSTS)
        assert inodes <= namespaces()
        process.send_signal(signal.SIGKILL)
    assert not inodes & namespaces()


def test_two_labs_at_once_do_not_meet(net: Lab) -> None:
    with lab(TOPOLOGY) as other:
        assert net["server"].address == other["server"].address
        assert net["server"].inode != other["server"].inode
        receivers = [each["server"].bound_socket(4000) for each in (net, other)]
        with receivers[0] as mine, receivers[1] as others, net["alice"].bound_socket() as sock:
            others.setblocking(False)
            sock.sendto(b"hello", mine.getsockname())
            net.settle()
            other.settle()
            assert mine.recv(100) == b"hello"
            with pytest.raises(BlockingIOError):
                others.recv(100)


@pytest.mark.parametrize(
    "topology",
    [
        Topology(hosts=(Host("a", on="nowhere"),)),
        Topology(hosts=(Host("a"), Host("a"))),
        Topology(hosts=(), boxes=(Nat("inner", FULL_CONE, on="outer"), Nat("outer", FULL_CONE))),
        Topology(hosts=(), boxes=(Nat("a", FULL_CONE), Nat("a", FULL_CONE))),
        Topology(
            hosts=(Host("a", on="behind", ipv6=True),),
            boxes=(KernelRouter("linux", MASQUERADE), Nat("behind", FULL_CONE, on="linux")),
        ),
        Topology(hosts=(), boxes=(KernelRouter("linux", "no rules of nftables"),)),
    ],
)
def test_topology_that_makes_no_sense_is_refused(topology: Topology) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(LabError), lab(topology):
        pass
    assert set(os.listdir("/proc/self/fd")) == before


def test_command_runs_in_the_namespace(net: Lab) -> None:
    done = subprocess.run(
        net["alice"].command("ip", "-brief", "address"), capture_output=True, text=True, check=True
    )
    assert net["alice"].address in done.stdout
    assert net["alice"].run("ip", "-brief", "address") == done.stdout


def own_addresses() -> set[str]:
    """Return what any program finds out about the interfaces around it."""
    return {str(ip.ip) for each in ifaddr.get_adapters() for ip in each.ips if each.name == "eth0"}


async def test_tasks_live_in_namespaces_side_by_side(net: Lab) -> None:
    """Each opens its sockets as if it were alone on its machine."""
    at_home = os.stat("/proc/thread-self/ns/net").st_ino
    server_address = (net["server"].address, 4000)
    seen: dict[str, str] = {}

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.bind(server_address)
            task_status.started()
            for _ in range(20):
                data, source = await sock.recvfrom(100)
                seen[data.decode()] = source[0]
                await sock.sendto(data, source)

    async def ask(name: str) -> None:
        for _ in range(10):
            assert own_addresses() == {net[name].address}
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                await sock.sendto(name.encode(), server_address)
                assert await sock.recv(100) == name.encode()
            assert os.stat("/proc/thread-self/ns/net").st_ino == net[name].inode

    async def live(name: str) -> None:
        with inhabiting(net[name]):
            # A task started by a task is where that one is.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, name)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            with inhabiting(net["server"]):
                await nursery.start(serve)
            nursery.start_soon(live, "alice")
            nursery.start_soon(live, "bob")
            for _ in range(20):
                assert os.stat("/proc/thread-self/ns/net").st_ino == at_home
                await trio.lowlevel.checkpoint()
    assert seen == {"alice": net.outside_address("nat"), "bob": net.outside_address("linux")}
    assert os.stat("/proc/thread-self/ns/net").st_ino == at_home


async def test_inhabited_blocks_nest(net: Lab) -> None:
    with inhabiting(net["alice"]):
        with inhabiting(net["bob"]):
            await trio.lowlevel.checkpoint()
            assert own_addresses() == {net["bob"].address}
        assert own_addresses() == {net["alice"].address}
        await trio.lowlevel.checkpoint()
        assert own_addresses() == {net["alice"].address}


async def test_worker_thread_left_in_a_namespace_is_complained_of(net: Lab) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    with pytest.raises(LabError, match="worker threads"), inhabiting(net["alice"]):
        thread.start()
    release.set()
    thread.join()


def test_lab_carries_more_than_5000_packets_a_second(net: Lab) -> None:
    count, window = 10_000, 50
    with net["server"].bound_socket() as server, net["alice"].bound_socket() as client:
        for sock in (server, client):
            sock.settimeout(PATIENCE)
        address = server.getsockname()
        began = time.perf_counter()
        for _ in range(count // window):
            for _ in range(window):
                client.sendto(bytes(1000), address)
            for _ in range(window):
                server.recv(2000)
        rate = count / (time.perf_counter() - began)
    assert rate > 5000
