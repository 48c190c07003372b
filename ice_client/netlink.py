"""What the kernel says about links, addresses and routes, now and as they change.

A trio shell over `ice_client.rtnetlink`. Changes come in bursts (a cable pulled is a dozen
messages), and who hears of one looks at everything again: so they are debounced into one
notice each, and nothing but the fact that something changed is kept.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import trio

from ice_client.rtnetlink import (
    RTM_GETADDR,
    RTM_GETLINK,
    DumpEnded,
    Link,
    LinkAddress,
    NetlinkError,
    NetlinkMessage,
    decode,
    dump_request,
)

DEBOUNCE = 0.2
"""Seconds without news before a burst is held to be over."""
LONGEST_BURST = 2.0
"""Seconds after which a change is told even if more keep coming: a flapping link must not
keep one that works from being found."""
DUMP_TIMEOUT = 5.0
"""Seconds; the kernel answers in microseconds, or never."""

_GROUPS = 0x1 | 0x10 | 0x100 | 0x40 | 0x400
"""RTMGRP_LINK, and _IFADDR and _ROUTE for IPv4 and IPv6."""
_RECEIVE_SIZE = 65_536


async def dump_host() -> tuple[list[Link], list[LinkAddress]]:
    """Ask the kernel for every link and address of this network namespace.

    Raises:
        NetlinkError: it answers with an error, or not within `DUMP_TIMEOUT`.
        OSError: no routing socket is to be had.

    """
    with _routing_socket(groups=0) as sock, trio.move_on_after(DUMP_TIMEOUT):
        links = [each for each in await _dump(sock, RTM_GETLINK, 1) if isinstance(each, Link)]
        addresses = [
            each for each in await _dump(sock, RTM_GETADDR, 2) if isinstance(each, LinkAddress)
        ]
        return links, addresses
    raise NetlinkError(f"the kernel told nothing in {DUMP_TIMEOUT} seconds")


async def _dump(
    sock: trio.socket.SocketType, message_type: int, sequence: int
) -> list[NetlinkMessage]:
    await sock.send(dump_request(message_type, sequence))
    found: list[NetlinkMessage] = []
    while True:
        for message in decode(await sock.recv(_RECEIVE_SIZE)):
            if isinstance(message, DumpEnded):
                return found
            found.append(message)


class NetworkChanges:
    """An endless async iterator: each item says that links, addresses or routes have changed.

    Made by `watch_network`. Changes between two items are one item: nothing is queued.
    """

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock

    def __aiter__(self) -> NetworkChanges:
        return self

    async def __anext__(self) -> None:
        await self._hear()
        with trio.move_on_after(LONGEST_BURST):
            while True:
                with trio.move_on_after(DEBOUNCE) as silence:
                    await self._hear()
                if silence.cancelled_caught:
                    return

    async def _hear(self) -> None:
        if self._sock is None:  # no routing socket on this system: nothing is ever heard
            await trio.sleep_forever()
            return
        await trio.lowlevel.wait_readable(self._sock)
        try:
            self._sock.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            pass
        except OSError as error:
            # The kernel had more to say than the buffer holds and dropped it: that is news too.
            if error.errno != errno.ENOBUFS:
                raise


@contextlib.asynccontextmanager
async def watch_network() -> AsyncIterator[NetworkChanges]:
    """Listen for changes for the length of the block; those before the first item count too.

    Where there is no routing socket (another system than Linux, a sandbox), none is ever told.
    """
    sock: socket.socket | None = None
    if hasattr(socket, "AF_NETLINK"):
        with contextlib.suppress(OSError):
            sock = _bound_socket(_GROUPS)
    try:
        yield NetworkChanges(sock)
    finally:
        if sock is not None:
            trio.lowlevel.notify_closing(sock)
            sock.close()


def _routing_socket(groups: int) -> trio.socket.SocketType:
    # Bound before trio has it: trio resolves the addresses of the families that it knows.
    return trio.socket.from_stdlib_socket(_bound_socket(groups))


def _bound_socket(groups: int) -> socket.socket:
    sock = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        sock.setblocking(False)
        sock.bind((0, groups))
    except OSError:
        sock.close()
        raise
    return sock
