"""TCP candidates: the connections behind an active, passive or simultaneous-open one (RFC 6544).

An endpoint looks like a datagram socket: packets go to an address and come from one, and which
connection carries them is found or made here. RFC 4571 frames them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
from collections.abc import Iterator

import attrs
import trio

from ice_client.core.candidate import TCP_DISCARD_PORT, Base, Transport
from ice_client.endpoint import Endpoint, Received, bound_socket
from ice_client.stream_frames import FrameReader, frame
from stun import Address

MAX_CONNECTIONS = 16
"""Per endpoint: anyone can connect to a passive candidate."""
QUEUED_PACKETS = 64
"""Each way: packets that wait for a connection to take them, and for the agent to."""
CONNECT_TIMEOUT = 10.0
"""Seconds; a check has failed by then."""
FIRST_PACKET_TIMEOUT = 10.0
"""Seconds that a connection from outside may say nothing: a peer connects to send a check."""
_RECEIVE_SIZE = 65_536

_log = logging.getLogger(__name__)


@attrs.define(slots=True, eq=False)
class _Connection:
    """One connection, or the attempt at one: packets wait until it is open."""

    remote: Address
    scope: trio.CancelScope
    outgoing: trio.MemorySendChannel[bytes]
    queue: trio.MemoryReceiveChannel[bytes]


class TcpEndpoint(Endpoint):
    """All connections of one local TCP candidate. Made by `open_tcp`.

    An active one's base has port 9, as each of its connections has a port of its own.
    """

    def __init__(self, base: Base, listener: trio.SocketListener | None) -> None:
        self.base = base
        self._listener = listener
        self._connections: dict[Address, _Connection] = {}
        self._nursery: trio.Nursery | None = None
        self._received: tuple[
            trio.MemorySendChannel[Received],
            trio.MemoryReceiveChannel[Received],
        ] = trio.open_memory_channel(QUEUED_PACKETS)

    def send_now(self, data: bytes, remote: Address) -> bool:
        """See `Endpoint`; other than a passive one connects at first use.

        Raises:
            PacketTooLongError: it has more than 65,535 bytes.

        """
        connection = self._connection_to(remote)
        if connection is not None:
            with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                connection.outgoing.send_nowait(frame(data))
        return connection is not None

    async def send_to(self, data: bytes, remote: Address) -> None:
        """See `Endpoint`.

        Raises:
            PacketTooLongError: it has more than 65,535 bytes.

        """
        connection = self._connection_to(remote)
        if connection is None:
            await trio.lowlevel.checkpoint()
            return
        with contextlib.suppress(trio.BrokenResourceError):
            await connection.outgoing.send(frame(data))

    async def receive_from(self) -> Received:
        """See `Endpoint`: None if a connection could not be opened, or was closed."""
        return await self._received[1].receive()

    @property
    def connected_to(self) -> list[Address]:
        """Whom connections are open to, or being opened to."""
        return list(self._connections)

    def _connection_to(self, remote: Address) -> _Connection | None:
        connection = self._connections.get(remote)
        if connection is not None or self.base.transport is Transport.TCP_PASSIVE:
            return connection
        if len(self._connections) >= MAX_CONNECTIONS:
            return None
        connection = self._add(remote)
        # Checks may begin as soon as the candidate is paired, before `serve` has had its turn.
        if self._nursery is not None:
            self._nursery.start_soon(self._connect, connection)
        return connection

    def _add(self, remote: Address) -> _Connection:
        outgoing, queue = trio.open_memory_channel[bytes](QUEUED_PACKETS)
        connection = _Connection(remote, trio.CancelScope(), outgoing, queue)
        self._connections[remote] = connection
        return connection

    async def serve(self) -> None:
        """Accept and carry until cancelled; `open_tcp` runs it."""
        async with trio.open_nursery() as self._nursery:
            for connection in list(self._connections.values()):  # sent to before now
                self._nursery.start_soon(self._connect, connection)
            if self._listener is not None:
                self._nursery.start_soon(self._accept, self._listener)
            await trio.sleep_forever()

    async def _accept(self, listener: trio.SocketListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:  # aborted before it was taken, or out of descriptors
                _log.debug("accept on %s: %s", self.base, error)
                await trio.sleep(0.1)
                continue
            remote = _peer(stream)
            nursery = self._nursery
            if remote is None or nursery is None or len(self._connections) >= MAX_CONNECTIONS:
                await trio.aclose_forcefully(stream)
                continue
            # Its old connection is dead, or it could not have the same ports; or it is an attempt
            # of ours to open what the peer has opened first.
            if remote in self._connections:
                self._connections.pop(remote).scope.cancel()
            nursery.start_soon(self._accepted, self._add(remote), stream)

    async def _connect(self, connection: _Connection) -> None:
        try:
            with connection.scope:
                stream = await self._stream_to(connection.remote)
                if stream is not None:
                    await self._carry(connection, stream)
                await self._received[0].send((None, connection.remote))
        finally:
            self._forget(connection)

    async def _accepted(self, connection: _Connection, stream: trio.SocketStream) -> None:
        try:
            with connection.scope:
                await self._carry(connection, stream, FIRST_PACKET_TIMEOUT)
                await self._received[0].send((None, connection.remote))
        finally:
            self._forget(connection)

    async def _stream_to(self, remote: Address) -> trio.SocketStream | None:
        with trio.move_on_after(CONNECT_TIMEOUT):
            try:
                with _closed_on_failure(self._socket()) as sock:
                    await sock.connect(remote.sockaddr)
                    return trio.SocketStream(sock)
            except OSError as error:
                _log.debug("no connection to %s: %s", remote, error)
        return None

    def _socket(self) -> trio.socket.SocketType:
        # A simultaneous open goes out from the port that the candidate names; an active one from
        # any (RFC 6544 §4.1).
        is_open = self.base.transport is Transport.TCP_SO
        local = self.base.address if is_open else self.base.address.with_port(0)
        return trio.socket.from_stdlib_socket(_tcp_socket(local, shared=is_open))

    async def _carry(
        self, connection: _Connection, stream: trio.SocketStream, first_timeout: float = math.inf
    ) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, connection, stream, nursery.cancel_scope)
                await self._receive(connection, stream, first_timeout)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    async def _send(
        self, connection: _Connection, stream: trio.SocketStream, carrying: trio.CancelScope
    ) -> None:
        async for data in connection.queue:
            try:
                await stream.send_all(data)
            except trio.BrokenResourceError:
                # Not the connection's own scope: that it broke is still to be told.
                carrying.cancel()

    async def _receive(
        self, connection: _Connection, stream: trio.SocketStream, first_timeout: float
    ) -> None:
        reader = FrameReader()
        with trio.move_on_after(first_timeout) as scope:
            while True:
                try:
                    data = await stream.receive_some(_RECEIVE_SIZE)
                except trio.BrokenResourceError:
                    return
                if not data:
                    return
                for packet in reader.receive(data):
                    scope.deadline = math.inf
                    await self._received[0].send((packet, connection.remote))

    def _forget(self, connection: _Connection) -> None:
        # First the end that is read from: who waits to send hears that nobody takes it any more.
        connection.queue.close()
        connection.outgoing.close()
        if self._connections.get(connection.remote) is connection:
            del self._connections[connection.remote]


@contextlib.contextmanager
def _closed_on_failure(sock: trio.socket.SocketType) -> Iterator[trio.socket.SocketType]:
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


def _peer(stream: trio.SocketStream) -> Address | None:
    try:
        return Address.from_sockaddr(stream.socket.getpeername())
    except OSError:  # reset already
        return None


def _tcp_socket(local: Address, *, shared: bool) -> socket.socket:
    sock = bound_socket(socket.SOCK_STREAM, local, shared=shared)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextlib.contextmanager
def tcp_endpoint(transport: Transport, address: Address) -> Iterator[TcpEndpoint]:
    """Make the endpoint of a TCP candidate; the caller runs its `serve`.

    Args:
        transport: which kind.
        address: where to listen or connect from; port 0: any.

    Raises:
        OSError: the address can't be bound.

    """
    with contextlib.ExitStack() as stack:
        listener = None
        if transport is Transport.TCP_ACTIVE:
            address = address.with_port(TCP_DISCARD_PORT)
        else:
            # A simultaneous open listens as well: where nothing stands between the two, one SYN
            # arrives before the other is sent and would be refused. Linux tells the two sockets
            # of one port apart by the peer, so a SYN that does cross another finds its socket.
            shared = transport is Transport.TCP_SO
            sock = trio.socket.from_stdlib_socket(_tcp_socket(address, shared=shared))
            stack.enter_context(sock)
            address = Address.from_sockaddr(sock.getsockname())
            sock.listen(MAX_CONNECTIONS)
            listener = trio.SocketListener(sock)
        yield TcpEndpoint(Base(address, transport), listener)
