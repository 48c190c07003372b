"""coturn's test programs, Debian's `turnutils_*`: how to run them and what they print."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Sequence

import attrs
import trio

from tests.interop.server_under_test import LOOPBACK, ServerUnderTest, free_port
from tests.interop.tools import Finished, run_tool, tool

TIMEOUT = 60.0
"""Seconds for one run. They take 1 to 7: a client waits that long, at random, to send."""

_MESSAGES = re.compile(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", re.MULTILINE)
_LOST = re.compile(r"Total lost packets (\d+) .*total send dropped (\d+)")

TRANSPORT_FLAGS = {"udp": "", "tcp": "-t", "tls": "-t -S", "dtls": "-S"}
"""How a client is told to reach the server."""


@attrs.frozen(slots=True)
class Totals:
    """What turnutils_uclient counted.

    Attributes:
        sent: messages of all its clients together.
        received: the same, that came back or through.
        lost: by the sequence numbers in them.
        dropped: that its own sockets did not take.

    """

    sent: int
    received: int
    lost: int
    dropped: int


def totals(finished: Finished) -> Totals:
    """Read the totals.

    Raises:
        AssertionError: there are none: it gave up before.

    """
    messages, lost = _MESSAGES.findall(finished.output), _LOST.findall(finished.output)
    assert messages, f"no totals in\n{finished}"
    assert lost, f"no losses in\n{finished}"
    return Totals(*map(int, messages[-1]), *map(int, lost[-1]))


async def uclient(
    server: ServerUnderTest,
    transport: str,
    flags: str,
    *,
    host: str = "127.0.0.1",
    timeout: float = TIMEOUT,
) -> Finished:
    """Run turnutils_uclient to its end.

    Args:
        server: whom it asks for a relay.
        transport: a key of `TRANSPORT_FLAGS`.
        flags: more of its flags, as one would type them.
        host: the server's address.
        timeout: seconds until it is killed.

    """
    port = server.secure_port if transport in {"tls", "dtls"} else server.plain_port
    arguments = f"{TRANSPORT_FLAGS[transport]} -p {port} {flags} {host}".split()
    return await run_tool(["turnutils_uclient", *arguments], timeout)


@contextlib.asynccontextmanager
async def echo_peer(hosts: Sequence[str] = LOOPBACK) -> AsyncIterator[int]:
    """Run turnutils_peer, which sends back what it gets; gives its port.

    It listens on the next port as well, for the RTCP of its clients.
    """
    port = free_port(hosts, span=2)
    command = [tool("turnutils_peer"), "-p", str(port)]
    for host in hosts:
        command += ["-L", host]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with trio.fail_after(TIMEOUT):
            for host in hosts:
                await _wait_for_echo(host, port)
                await _wait_for_echo(host, port + 1)
        yield port
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _wait_for_echo(host: str, port: int) -> None:
    """Ask until there is an answer: the program does not say when it is ready."""
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        await sock.connect((host, port))
        while True:
            with trio.move_on_after(0.05), contextlib.suppress(ConnectionRefusedError):
                await sock.send(b"there?")
                await sock.recv(100)
                return
            await trio.sleep(0.01)
