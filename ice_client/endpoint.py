"""What an agent's packets go out of and come in through: one endpoint for each base.

`UdpEndpoint` is here, TCP's is in `ice_client.tcp`, a TURN server's in `ice_client.relay_endpoint`.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import socket

import attrs
import trio

from ice_client.core import Base
from ice_client.errors import PacketTooLongError
from stun import Address, Family

Received = tuple[bytes | None, Address]
"""A packet and who sent it; None: that address cannot be reached (any more)."""

BATCH = 32
"""Packets taken from a socket before other tasks have their turn."""
_LARGEST_DATAGRAM = 0x10000
_UNREACHABLE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EAFNOSUPPORT,
        errno.EADDRNOTAVAIL,  # the address was taken from the interface
        errno.EINVAL,  # from loopback to elsewhere
        errno.EACCES,  # a broadcast address
    }
)


class Endpoint(abc.ABC):
    """A socket, or what acts as one. All of it is used in one trio loop.

    Attributes:
        base: what the agent's core calls it.

    """

    base: Base

    @abc.abstractmethod
    def send_now(self, data: bytes, remote: Address) -> bool:
        """Send a packet, or drop it if that would take waiting; the agent's checks go this way.

        Returns:
            False if it is known that the address cannot be reached from here.

        """

    @abc.abstractmethod
    async def send_to(self, data: bytes, remote: Address) -> None:
        """Send a packet, waiting for room; one that cannot be sent is lost, as on any network.

        Raises:
            PacketTooLongError: it is longer than any network could carry from here.

        """

    @abc.abstractmethod
    async def receive_from(self) -> Received:
        """Return the next packet and its sender; see `Received`.

        Raises:
            IceError: the endpoint is no more; nothing will come.

        """

    async def receive_many(self) -> list[Received]:
        """Return the next packets, at least one, each with its sender; see `receive_from`."""
        return [await self.receive_from()]

    @property
    def serves(self) -> bool:
        """Whether it has anything to do in `serve`."""
        return type(self).serve is not Endpoint.serve

    async def serve(self) -> None:
        """Do what runs beside sending and receiving, until cancelled."""
        await trio.sleep_forever()

    def permit(self, remote: Address) -> None:  # noqa: B027 - most endpoints have nothing to do
        """Let packets from there in, where they need leave (a relay); elsewhere do nothing."""


class UdpEndpoint(Endpoint):
    """A bound UDP socket. Made by `open_udp_endpoint`."""

    def __init__(self, bound: socket.socket) -> None:
        self.base = Base(Address.from_sockaddr(bound.getsockname()))
        self._bound = bound
        self._arrived: list[Received] = []
        # Nearly all packets come from where the one before came from, and go where it went.
        self._last_source: tuple[object, Address] | None = None
        self._last_remote: tuple[Address, tuple[str, int] | tuple[str, int, int, int]] | None = None

    def close(self) -> None:
        """Close the socket; who is receiving is to be cancelled before."""
        trio.lowlevel.notify_closing(self._bound)
        self._bound.close()

    def send_now(self, data: bytes, remote: Address) -> bool:
        """See `Endpoint`. Runs per packet."""
        last = self._last_remote
        if last is None or last[0] is not remote:
            last = self._last_remote = remote, self._scoped(remote).sockaddr
        try:
            self._bound.sendto(data, last[1])
        except OSError as error:
            return error.errno not in _UNREACHABLE
        return True

    async def send_to(self, data: bytes, remote: Address) -> None:
        """See `Endpoint`. Runs per packet."""
        await trio.lowlevel.checkpoint()
        sockaddr = self._scoped(remote).sockaddr
        while True:
            try:
                self._bound.sendto(data, sockaddr)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._bound)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    raise PacketTooLongError(f"{len(data)} bytes to {remote}") from error
                return
            else:
                return

    async def receive_from(self) -> Received:
        """See `Endpoint`. One that is here already costs no switch of tasks."""
        if not self._arrived:
            self._arrived = await self.receive_many()
        return self._arrived.pop(0)

    async def receive_many(self) -> list[Received]:
        """See `Endpoint`. Runs per packet."""
        while True:
            # Cancelled already, perhaps, and the socket closed.
            await trio.lowlevel.checkpoint_if_cancelled()
            await trio.lowlevel.wait_readable(self._bound)
            packets: list[Received] = []
            receive, append = self._bound.recvfrom, packets.append
            # Or an ICMP error, which names no address.
            with contextlib.suppress(OSError):
                for _ in range(BATCH):
                    data, sockaddr = receive(_LARGEST_DATAGRAM)
                    last = self._last_source
                    if last is None or last[0] != sockaddr:
                        last = self._last_source = sockaddr, _source(sockaddr)
                    append((data, last[1]))
            if packets:
                return packets

    def _scoped(self, remote: Address) -> Address:
        scope = self.base.address.scope
        return attrs.evolve(remote, scope=scope) if scope else remote


def _source(sockaddr: tuple[str, int]) -> Address:
    # A candidate's address has no zone, which would mean nothing to the other host; so a source
    # has none either, or the two would not be equal.
    source = Address.from_sockaddr(sockaddr)
    return attrs.evolve(source, scope=0) if source.scope else source


def bound_socket(kind: socket.SocketKind, local: Address, *, shared: bool = False) -> socket.socket:
    """Return a non-blocking socket of the address's family, bound to it.

    Args:
        kind: SOCK_DGRAM or SOCK_STREAM.
        local: the address; port 0 for any.
        shared: let other sockets that ask for it as well have the same port.

    Raises:
        OSError: it can't be had.

    """
    family = socket.AF_INET if local.family is Family.IPV4 else socket.AF_INET6
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(local.sockaddr)
    except OSError:
        sock.close()
        raise
    return sock


def open_udp_endpoint(local: Address) -> UdpEndpoint:
    """Bind a UDP socket, for the caller to close.

    Raises:
        OSError: the address can't be bound.

    """
    return UdpEndpoint(bound_socket(socket.SOCK_DGRAM, local))


def source_towards(remote: Address) -> Address | None:
    """Return the address that the kernel would send from (port 0), or None without a route.

    Connecting UDP sends nothing.
    """
    family = socket.AF_INET if remote.family is Family.IPV4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(remote.with_port(9).sockaddr)
            return Address.from_sockaddr(probe.getsockname()).with_port(0)
    except OSError:
        return None
