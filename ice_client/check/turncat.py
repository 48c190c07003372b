"""A local UDP or TCP port tunnelled through a TURN server to one peer.

UDP: each local source has an allocation of its own, as the peer tells clients apart by their
address. TCP (RFC 6062): each local connection has one, as a server makes but one connection to
a peer for an allocation. TURN has no half-close: when one side ends, so does the other.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import attrs
import trio

from ice_client.check.options import explain, first_of
from ice_client.errors import IceError
from ice_client.turn import TurnServer, open_relay
from ice_client.turn.tcp_relay import PeerStream, open_tcp_relay
from stun import Address, Family

MOST_SESSIONS = 64
"""Local sources, or connections, at a time; more are refused."""
IDLE = 300.0
"""Seconds without a datagram after which a source's allocation is given back."""
LINGER = 2.0
"""Seconds that the peer may still send after the local side has ended."""
_QUEUE = 256
_LARGEST_DATAGRAM = 65_535
_CHUNK = 65_536

Log = Callable[[str], None]


@attrs.define(slots=True)
class UdpTunnel:
    """A bound UDP socket whose datagrams go to the peer; see `open_udp_tunnel`."""

    sock: trio.socket.SocketType
    server: TurnServer
    peer: Address
    log: Log
    _sources: dict[Address, trio.MemorySendChannel[bytes]] = attrs.field(factory=dict, init=False)

    @property
    def local_address(self) -> Address:
        """Where it listens."""
        return Address.from_sockaddr(self.sock.getsockname())

    async def run(self) -> None:
        """Tunnel until cancelled; the socket is closed then."""
        with self.sock:
            await self._run()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    data, sockaddr = await self.sock.recvfrom(_LARGEST_DATAGRAM)
                except ConnectionError:
                    continue  # an ICMP error about a source that is gone
                source = Address.from_sockaddr(sockaddr)
                channel = self._sources.get(source)
                if channel is None:
                    if len(self._sources) >= MOST_SESSIONS:
                        self.log(f"{source}: refused, {MOST_SESSIONS} sources are the most")
                        continue
                    channel, receive = trio.open_memory_channel[bytes](_QUEUE)
                    self._sources[source] = channel
                    nursery.start_soon(self._serve, source, receive)
                with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                    channel.send_nowait(data)

    async def _serve(self, source: Address, datagrams: trio.MemoryReceiveChannel[bytes]) -> None:
        """Be one source's allocation, until it is idle or breaks."""
        try:
            async with open_relay(self.server) as relay:
                await relay.permit(self.peer)
                self.log(f"{source} → {relay.relayed_address} → {self.peer}")

                async def back() -> None:
                    while True:
                        data, peer = await relay.receive_from()
                        if peer == self.peer:
                            await self.sock.sendto(data, source.sockaddr)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(back)
                    while True:
                        with trio.move_on_after(IDLE) as idle:
                            await relay.send_to(await datagrams.receive(), self.peer)
                        if idle.cancelled_caught:
                            nursery.cancel_scope.cancel()
                            break
        except* (IceError, OSError) as group:
            self.log(f"{source}: {_reason(group)}")
        finally:
            self._sources.pop(source, None)
            datagrams.close()


async def open_udp_tunnel(
    server: TurnServer, listen: Address, peer: Address, log: Log
) -> UdpTunnel:
    """Bind the local port.

    Raises:
        OSError: it cannot be bound.

    """
    family = socket.AF_INET if listen.family is Family.IPV4 else socket.AF_INET6
    sock = trio.socket.socket(family, socket.SOCK_DGRAM)
    try:
        await sock.bind(listen.sockaddr)
    except BaseException:
        sock.close()
        raise
    return UdpTunnel(sock, server, peer, log)


@attrs.define(slots=True)
class TcpTunnel:
    """A local TCP port whose connections go to the peer."""

    server: TurnServer
    peer: Address
    log: Log
    _open: int = attrs.field(default=0, init=False)

    async def run(
        self,
        listen: Address,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Tunnel until cancelled; starts with where it listens.

        Raises:
            OSError: the port cannot be listened on.

        """
        listeners = await trio.open_tcp_listeners(listen.port, host=listen.host)
        task_status.started(Address.from_sockaddr(listeners[0].socket.getsockname()))
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, local: trio.SocketStream) -> None:
        try:
            source = Address.from_sockaddr(local.socket.getpeername())
        except OSError:
            return  # reset already
        if self._open >= MOST_SESSIONS:
            self.log(f"{source}: refused, {MOST_SESSIONS} connections are the most")
            return
        self._open += 1
        try:
            async with local, open_tcp_relay(self.server) as relay:
                stream = await relay.connect(self.peer)
                async with stream:
                    self.log(f"{source} → {relay.relayed_address} → {self.peer}")
                    await _splice(local, stream)
        except* (IceError, OSError, trio.BrokenResourceError) as group:
            self.log(f"{source}: {_reason(group)}")
        finally:
            self._open -= 1


async def _splice(local: trio.SocketStream, remote: PeerStream) -> None:
    """Copy both ways until the peer ends, or a little after the local side has."""
    async with trio.open_nursery() as nursery:

        async def there() -> None:
            await _copy(local, remote)
            nursery.cancel_scope.deadline = trio.current_time() + LINGER

        nursery.start_soon(there)
        await _copy(remote, local)
        nursery.cancel_scope.cancel()


async def _copy(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
    while data := await source.receive_some(_CHUNK):
        await sink.send_all(data)


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    return explain(first_of(group))
