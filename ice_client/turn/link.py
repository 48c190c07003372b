"""What carries messages to a server and back; UDP, the simplest (RFC 8656 §3.1)."""

from __future__ import annotations

import abc
import errno
import os
import socket

import trio

from ice_client.turn.errors import DatagramTooLargeError, LinkError
from stun import Address, Family

_LARGEST_DATAGRAM = 0x10000


class Link(abc.ABC):
    """A way to one server. `send` and `receive` may each be called by one task at a time or more.

    Attributes:
        local: this end.
        remote: the server's end.
        reliable: whether it is a stream.

    """

    local: Address
    remote: Address
    reliable: bool

    @abc.abstractmethod
    async def send(self, packet: bytes) -> None:
        """Send one message, whole or (cancelled) not at all.

        Raises:
            LinkError: the link is broken.
            DatagramTooLargeError: it is not, but cannot carry a message so long.

        """

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Return the next message, ChannelData of streams without its padding.

        Raises:
            LinkError: the link is broken.

        """

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close it; who waits in `receive` gets a `LinkError`."""


class UdpLink(Link):
    """A connected UDP socket, so that ICMP errors come back as errors.

    Args:
        sock: connected, and owned by the link from now on.

    """

    reliable = False

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self.local = Address.from_sockaddr(sock.getsockname())
        self.remote = Address.from_sockaddr(sock.getpeername())

    async def send(self, packet: bytes) -> None:
        """See `Link`."""
        try:
            await self._sock.send(packet)
        except (OSError, trio.ClosedResourceError) as error:
            number = error.errno if isinstance(error, OSError) else None
            if number == errno.EMSGSIZE:
                raise DatagramTooLargeError(f"{len(packet)} bytes are no datagram") from error
            if number == errno.ENOBUFS:
                return  # a full queue on the way out loses datagrams, as any other does
            raise LinkError(f"cannot send to {self.remote}: {reason_of(error)}") from error

    async def receive(self) -> bytes:
        """See `Link`."""
        try:
            return await self._sock.recv(_LARGEST_DATAGRAM)
        except (OSError, trio.ClosedResourceError) as error:
            raise LinkError(f"cannot receive from {self.remote}: {reason_of(error)}") from error

    async def aclose(self) -> None:
        """See `Link`."""
        self._sock.close()
        await trio.lowlevel.checkpoint()


async def connected_socket(
    kind: socket.SocketKind, remote: Address, bind: Address | None
) -> trio.socket.SocketType:
    """Return a socket connected to `remote`, from the local address `bind` if one is given.

    Raises:
        LinkError: it cannot be.

    """
    family = socket.AF_INET if remote.family is Family.IPV4 else socket.AF_INET6
    try:
        sock = trio.socket.socket(family, kind)
    except OSError as error:
        raise LinkError(f"no socket for {remote}: {reason_of(error)}") from error
    try:
        if bind is not None:
            await sock.bind(bind.sockaddr)
        await sock.connect(remote.sockaddr)
    except OSError as error:
        sock.close()
        raise LinkError(f"cannot connect to {remote}: {reason_of(error)}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def reason_of(error: BaseException) -> str:
    """Say in a few words what an operating system error is."""
    if isinstance(error, trio.ClosedResourceError):
        return "it was closed"
    text = error.strerror if isinstance(error, OSError) else None
    # trio has where it was to connect to in it, which the caller says already.
    if isinstance(error, OSError) and error.errno and (text or "").startswith("Error connecting"):
        text = os.strerror(error.errno)
    return text or str(error) or type(error).__name__
