"""Network namespaces for agents: each agent in a thread of its own, with a trio loop of its own.

A thread can be in another network namespace than the rest of its process, and everything that
the agent in it does, sockets, netlink, multicast, happens there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

import attrs
import trio

from tests.interop.tools import tool

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(command: str) -> str:
    """Run Debian's `ip`, fail the test if it does, and return what it printed."""
    done = subprocess.run([tool("ip"), *command.split()], capture_output=True, text=True)
    assert not done.returncode, f"ip {command}: {done.stderr.strip()} (this needs root)"
    return done.stdout


@attrs.frozen
class Host:
    """A network namespace."""

    name: str

    def ip(self, command: str) -> str:
        return ip(f"-n {self.name} {command}")

    def wait_for_links(self) -> None:
        """Wait until the kernel holds all links to run: it finds out some time after they do."""
        deadline = time.monotonic() + 5.0
        while "state DOWN" in (links := self.ip("-o link show type veth")):
            assert time.monotonic() < deadline, links
            time.sleep(0.01)

    async def run(self, program: Callable[[], Awaitable[T]]) -> T:
        """Run an async function in a thread in this namespace and return what it returns."""

        def in_thread() -> T:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if _libc.setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                return trio.run(program)
            finally:
                os.close(descriptor)
                own = os.open("/proc/self/ns/net", os.O_RDONLY)  # of the process: its main thread's
                try:
                    if _libc.setns(own, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns back")
                finally:
                    os.close(own)

        return await trio.to_thread.run_sync(in_thread)


@contextlib.contextmanager
def two_hosts(networks: int = 1) -> Iterator[tuple[Host, Host]]:
    """Make two hosts with so many links between them.

    The one has 10.99.N.1, fd99:N::1 and fe80::N:1 on link N, the other the same with 2. The
    interfaces are called eth0, eth1, …. Duplicate address detection is off.
    """
    tag = f"is{secrets.token_hex(4)}"
    hosts = Host(f"{tag}a"), Host(f"{tag}b")
    with contextlib.ExitStack() as stack:
        for host in hosts:
            ip(f"netns add {host.name}")
            stack.callback(ip, f"netns del {host.name}")
            host.ip("link set lo up")
        for number in range(networks):
            device = f"eth{number}"
            one, other = hosts
            one.ip(f"link add {device} type veth peer name {device} netns {other.name}")
            for place, host in enumerate(hosts, 1):
                host.ip(f"addr add 10.99.{number}.{place}/24 dev {device}")
                host.ip(f"addr add fd99:{number}::{place}/64 dev {device} nodad")
                # A link-local address by hand: the kernel's own would take seconds of detection.
                host.ip(f"link set {device} addrgenmode none")
                host.ip(f"addr add fe80::{number}:{place}/64 dev {device} nodad")
                host.ip(f"link set {device} up")
        for host in hosts:
            host.wait_for_links()
        yield hosts


class Mailbox(Generic[T]):
    """A bounded queue into another thread's trio loop. Made in the loop that takes from it."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._send, self._receive = trio.open_memory_channel[T](1000)

    def put(self, item: T) -> None:
        """Add an item, from any thread."""
        self._token.run_sync_soon(self._send.send_nowait, item)

    async def take(self) -> T:
        return await self._receive.receive()
