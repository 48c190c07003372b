"""TCP allocations' relayed transport addresses and peer connections (RFC 6062).

Implements `turnd.core.tables.TcpRelay`: the core decides, this opens and closes sockets.
All calls come from within the core, so nothing here calls back in the same turn.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import attrs
import structlog
import trio

from stun import Address, Family
from turnd.core.five_tuple import FiveTuple
from turnd.core.tables import RelayedAddress, RelayUnavailableError, Traffic
from turnd.transports.accept import accept_forever
from turnd.transports.byte_stream import ByteStream, set_stream_options
from turnd.transports.pace import Pace
from turnd.transports.peer_connection import AllocationMeters, Meter, PeerConnection
from turnd.transports.settings import TcpRelaySettings
from turnd.transports.stream_client import DataPeer

log = structlog.get_logger("turnd")

_BACKLOG = 128
_KEEPALIVE_IDLE = 60
_USER_TIMEOUT = 120


@attrs.frozen(slots=True)
class TcpRelayEvents:
    """Whom the relay tells; `TurnServer` has a method for each.

    Attributes:
        peer_connected: an outgoing connection (its CONNECTION-ID) stands.
        peer_unreachable: it failed or took too long.
        peer_arrived: a peer connected to an allocation's relayed transport address; returns
            the CONNECTION-ID, or None to have the connection closed.
        connection_closed: a connection that stood is over, but not by the core's own wish.

    """

    peer_connected: Callable[[int], None]
    peer_unreachable: Callable[[int], None]
    peer_arrived: Callable[[int, Address], int | None]
    connection_closed: Callable[[int], None]


@attrs.define(slots=True, eq=False)
class _Relay:
    """One allocation: its listening sockets, its counters, its connections."""

    meters: AllocationMeters
    listening: list[socket.socket] = attrs.field(factory=list)
    connections: set[int] = attrs.field(factory=set)


class TcpRelay:
    """Every TCP allocation's sockets. `run` must have started before anything else is called.

    Args:
        settings: bounds and timeouts.
        take_over: `StreamTransports.take_over`.
        events: whom to tell.

    """

    def __init__(
        self,
        settings: TcpRelaySettings,
        take_over: Callable[[FiveTuple, DataPeer], bool],
        events: TcpRelayEvents,
    ) -> None:
        self._settings = settings
        self._take_over = take_over
        self._events = events
        self._relays: dict[int, _Relay] = {}
        self._connecting: dict[int, trio.CancelScope] = {}
        self._connections: dict[int, PeerConnection] = {}
        self._allocation_of: dict[int, int] = {}
        self._nursery: trio.Nursery | None = None
        self._total_to_peer = Pace(settings.total_bandwidth, 0.0)
        self._total_to_client = Pace(settings.total_bandwidth, 0.0)

    @property
    def connection_count(self) -> int:
        """Peer connections, those being established included."""
        return len(self._allocation_of)

    def reconfigure(self, settings: TcpRelaySettings) -> None:
        """Put other bounds in force; connections that stand stay."""
        self._settings = settings
        self._total_to_peer.rate = self._total_to_client.rate = settings.total_bandwidth

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the relay's tasks until cancelled; then close every socket."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for allocation in list(self._relays):
                self.close_allocation(allocation)

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        """Listen on the relayed transport address (RFC 6062 §5.1).

        Args:
            allocation: the allocation's number; it may open one relay per address family.
            five_tuple: the client that owns it.
            relayed: where to bind.
            bandwidth: payload bytes per second in each direction, 0 for no limit.

        Raises:
            RelayUnavailableError: it can't be bound.

        """
        try:
            listening = _listen(relayed.local)
        except OSError as error:
            raise RelayUnavailableError(
                f"{relayed.local}: {error.strerror}", in_use=error.errno == errno.EADDRINUSE
            ) from error
        relay = self._relays.get(allocation)
        if relay is None:
            relay = self._relays[allocation] = _Relay(self._meters(bandwidth))
        relay.listening.append(listening)
        self._started().start_soon(self._accept_peers, allocation, listening)
        log.debug("tcp-relay-opened", client=str(five_tuple), relayed=str(relayed.local))

    def close_allocation(self, allocation: int) -> Traffic:
        """Stop listening, close all the allocation's connections, return what was moved."""
        relay = self._relays.pop(allocation, None)
        if relay is None:
            return Traffic()
        for listening in relay.listening:
            trio.lowlevel.notify_closing(listening)
            listening.close()
        for connection_id in list(relay.connections):
            self.close_connection(connection_id)
        return relay.meters.traffic()

    def traffic(self, allocation: int) -> Traffic:
        """Return what an allocation has moved so far."""
        relay = self._relays.get(allocation)
        return relay.meters.traffic() if relay else Traffic()

    def connect(
        self, allocation: int, connection_id: int, relayed: RelayedAddress, peer: Address
    ) -> None:
        """Start connecting from the relayed transport address to `peer` (RFC 6062 §5.2).

        The outcome comes back as `TcpRelayEvents.peer_connected` or `peer_unreachable`.
        """
        relay = self._relays.get(allocation)
        if relay is None or not self._has_room(relay):
            self._started().start_soon(self._tell_unreachable, connection_id)
            return
        relay.connections.add(connection_id)
        self._allocation_of[connection_id] = allocation
        scope = self._connecting[connection_id] = trio.CancelScope()
        self._started().start_soon(
            self._connect, allocation, connection_id, relayed.local, peer, scope
        )

    def bind(self, connection_id: int, five_tuple: FiveTuple) -> None:
        """Join the client's connection `five_tuple` to the peer's; from here on bytes flow.

        They do so in the client's own task, hence after what is transmitted to it in this turn.
        """
        connection = self._connections.get(connection_id)
        if connection is None or not self._take_over(five_tuple, connection):
            # The core takes the connection for bound; it hears otherwise in a turn of its own.
            self._started().start_soon(self._abandon, connection_id)

    def close_connection(self, connection_id: int) -> None:
        """Close a peer connection; nothing happens if it is gone."""
        connection = self._forget(connection_id)
        if connection is not None:
            connection.close()

    def _has_room(self, relay: _Relay) -> bool:
        return (
            self.connection_count < self._settings.max_connections
            and len(relay.connections) < self._settings.max_connections_per_allocation
        )

    def _meters(self, bandwidth: int) -> AllocationMeters:
        now = trio.current_time()
        return AllocationMeters(
            Meter((Pace(bandwidth, now), self._total_to_peer)),
            Meter((Pace(bandwidth, now), self._total_to_client)),
        )

    def _started(self) -> trio.Nursery:
        if self._nursery is None:
            raise RuntimeError("TcpRelay.run is not running")
        return self._nursery

    def _forget(self, connection_id: int) -> PeerConnection | None:
        """Drop a connection from every table, whatever state it is in."""
        scope = self._connecting.pop(connection_id, None)
        if scope is not None:
            scope.cancel()
        allocation = self._allocation_of.pop(connection_id, None)
        relay = self._relays.get(allocation) if allocation is not None else None
        if relay is not None:
            relay.connections.discard(connection_id)
        return self._connections.pop(connection_id, None)

    async def _abandon(self, connection_id: int) -> None:
        self.close_connection(connection_id)
        _tell(self._events.connection_closed, connection_id)

    async def _tell_unreachable(self, connection_id: int) -> None:
        _tell(self._events.peer_unreachable, connection_id)

    def _add(self, allocation: int, connection_id: int, sock: socket.socket) -> None:
        """Take a connected socket in."""
        relay = self._relays[allocation]
        relay.connections.add(connection_id)
        self._allocation_of[connection_id] = allocation
        stream = ByteStream(sock, self._started().start_soon, self._settings.buffer_bytes)

        def on_closed() -> None:
            if self._forget(connection_id) is not None:
                _tell(self._events.connection_closed, connection_id)

        self._connections[connection_id] = PeerConnection(
            stream, relay.meters, self._settings.half_close_timeout, on_closed
        )

    async def _accept_peers(self, allocation: int, listening: socket.socket) -> None:
        def on_accept(sock: socket.socket, peer: Address) -> None:
            self._peer_arrived(allocation, sock, peer)

        try:
            await accept_forever(listening, on_accept)
        except trio.ClosedResourceError:
            return  # `close_allocation`

    def _peer_arrived(self, allocation: int, sock: socket.socket, peer: Address) -> None:
        try:
            set_stream_options(sock, _KEEPALIVE_IDLE, _USER_TIMEOUT)
        except OSError:
            sock.close()
            return
        connection_id = None
        relay = self._relays.get(allocation)
        if relay is not None and self._has_room(relay):
            try:
                connection_id = self._events.peer_arrived(allocation, peer)
            except Exception:
                log.exception("peer-arrived-failed", peer=str(peer))
        if connection_id is None or allocation not in self._relays:
            # RFC 6062 §5.3: without a permission, close immediately after accepting.
            sock.close()
            return
        self._add(allocation, connection_id, sock)

    async def _connect(
        self,
        allocation: int,
        connection_id: int,
        local: Address,
        peer: Address,
        scope: trio.CancelScope,
    ) -> None:
        sock: socket.socket | None = None
        with scope:
            sock = await _open_connection(local, peer, self._settings.connect_timeout)
        if self._connecting.pop(connection_id, None) is None:
            # The core closed it, or its allocation, in the meantime and wants no word of it.
            if sock is not None:
                sock.close()
        elif sock is None:
            self._forget(connection_id)
            _tell(self._events.peer_unreachable, connection_id)
        else:
            self._add(allocation, connection_id, sock)
            _tell(self._events.peer_connected, connection_id)


def _tell(callback: Callable[[int], None], connection_id: int) -> None:
    try:
        callback(connection_id)
    except Exception:
        log.exception("tcp-relay-callback-failed", connection_id=connection_id)


def _relay_socket(local: Address) -> socket.socket:
    is_ipv4 = local.family is Family.IPV4
    sock = socket.socket(socket.AF_INET if is_ipv4 else socket.AF_INET6, socket.SOCK_STREAM)
    sock.setblocking(False)
    if not is_ipv4:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # An earlier allocation's connections in TIME-WAIT must not keep the port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _share_port(sock: socket.socket) -> None:
    """Let the sockets of one relayed transport address share it.

    Linux lets nobody bind next to a socket that listens on SO_REUSEADDR alone.
    """
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _listen(local: Address) -> socket.socket:
    sock = _relay_socket(local)
    try:
        sock.bind(local.sockaddr)
        # Only after binding: with it, bind would succeed next to another allocation's
        # listening socket, and the kernel would deal that one's peers out between the two.
        _share_port(sock)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


async def _open_connection(local: Address, peer: Address, timeout: float) -> socket.socket | None:
    """Connect from `local` to `peer`; None if that fails or takes more than `timeout` seconds."""
    sock = _relay_socket(local)
    error = errno.ETIMEDOUT
    try:
        _share_port(sock)
        sock.bind(local.sockaddr)
        with trio.move_on_after(timeout):
            error = sock.connect_ex(peer.sockaddr)
            if error == errno.EINPROGRESS:
                error = errno.ETIMEDOUT
                await trio.lowlevel.wait_writable(sock)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == 0:
            set_stream_options(sock, _KEEPALIVE_IDLE, _USER_TIMEOUT)
            return sock
    except OSError:
        pass  # as a failed connection: the client hears 447 either way
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None
