"""The engine itself: rows in, packets through, one task for every socket.

One trio task waits for one selector that holds all listeners and relays; there is no
task per allocation. Each socket that is ready gets a bounded turn, so that one flow
can't starve another, and trio's other tasks run between the turns.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable

import trio

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic
from turnd.datapath.interface import (
    ClientSink,
    DatapathSettings,
    Drop,
    RequestHandler,
    Totals,
)
from turnd.datapath.portable.counters import Counters
from turnd.datapath.portable.relay_table import RelayTable
from turnd.datapath.portable.road import Road
from turnd.datapath.portable.rows import (
    MAX_PEERS,
    AllocationRow,
    ChannelRow,
    PermissionRow,
    RelayRow,
    SendToClient,
)
from turnd.datapath.portable.sockets import (
    ANCILLARY_SIZE,
    drain_error_queue,
    read_ancillary,
)
from turnd.datapath.portable.token_bucket import TokenBucket
from turnd.datapath.portable.udp_listener import MAX_DATAGRAM, UdpListener

TURN = 32
"""Datagrams one socket may have handled before the next socket's turn."""
SOCKETS_PER_STEP = 64
"""Sockets served before trio's other tasks get the thread."""


class PortableDatapath:
    """See `turnd.datapath.interface.Datapath`.

    Args:
        settings: see `DatapathSettings`.
        clock: monotonic seconds, the one that deadlines are given in.

    """

    def __init__(
        self, settings: DatapathSettings, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._counters = Counters()
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[Address, UdpListener] = {}
        self._relays = RelayTable(self._watch, self._unwatch)
        self._road = Road(settings, self._counters, self._relays.by_address, clock)
        self._allocations: dict[int, AllocationRow] = {}
        self._clients: dict[FiveTuple, AllocationRow] = {}
        self._sinks: dict[FiveTuple, ClientSink] = {}
        self._handler: RequestHandler | None = None

    # Shell

    def add_listener(self, sock: socket.socket) -> None:
        """See `Datapath.add_listener`."""
        listener = UdpListener(sock, self._counters.drops, dscp=self._settings.preserve_dscp)
        self._listeners[listener.address] = listener
        self._watch(sock, lambda: self._receive_listener(listener))

    async def run(
        self,
        handler: RequestHandler,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Datapath.run`."""
        self._handler = handler
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(self._selector)
                await self._serve_ready()
        finally:
            self._close()

    async def _serve_ready(self) -> None:
        self._road.tick()
        for served, (key, _) in enumerate(self._selector.select(0), 1):
            key.data()
            if served % SOCKETS_PER_STEP == 0:
                await trio.lowlevel.checkpoint()
                self._road.tick()

    def reconfigure(self, settings: DatapathSettings) -> None:
        """See `Datapath.reconfigure`."""
        self._settings = settings
        self._road.tick()
        self._road.reconfigure(settings)

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """See `Datapath.attach`."""
        self._sinks[five_tuple] = sink

    def detach(self, five_tuple: FiveTuple) -> None:
        """See `Datapath.detach`."""
        self._sinks.pop(five_tuple, None)

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        """See `Datapath.receive_from_client`."""
        self._road.tick()
        self._take(data, self._clients.get(five_tuple), 0, lambda: five_tuple)

    def send_to_client(
        self,
        data: bytes,
        five_tuple: FiveTuple,
        *,
        source: Address | None = None,
        destination: Address | None = None,
    ) -> bool:
        """See `Datapath.send_to_client`."""
        if five_tuple.transport is Transport.UDP:
            server = source or five_tuple.server
            listener = self._listener_at(server)
            if listener is None:
                self._counters.drops[Drop.CLIENT_GONE] += 1
                return False
            return listener.send(data, destination or five_tuple.client, server)
        return self._send_to_sink(data, five_tuple)

    def totals(self) -> Totals:
        """See `Datapath.totals`."""
        return self._counters.totals()

    # Tables

    def reserve_relay(self, local: Address) -> None:
        """See `Tables.reserve_relay`."""
        self._relays.reserve(local, self._settings)

    def release_reservation(self, local: Address) -> None:
        """See `Tables.release_reservation`."""
        self._relays.release(local)

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        """See `Tables.open_relay`."""
        sock = self._relays.socket_for(relayed.local, self._settings)
        row = self._allocations.get(allocation) or self._add(allocation, five_tuple, bandwidth)
        relay = RelayRow(row, relayed, sock, relayed.local.family)
        row.relays[len(relayed.local.packed)] = relay
        self._relays.add(relay, lambda: self._receive_relay(relay))

    def close_relay(self, allocation: int, relayed: RelayedAddress) -> None:
        """See `Tables.close_relay`."""
        row = self._allocations.get(allocation)
        relay = row.relays.pop(len(relayed.local.packed), None) if row else None
        if relay is not None:
            self._relays.remove(relay)

    def close_allocation(self, allocation: int) -> Traffic:
        """See `Tables.close_allocation`."""
        row = self._allocations.pop(allocation, None)
        if row is None:
            return Traffic()
        for relay in row.relays.values():
            self._relays.remove(relay)
        row.relays.clear()
        self._forget_client(row)
        return row.traffic.snapshot()

    def move_allocation(self, allocation: int, five_tuple: FiveTuple) -> None:
        """See `Tables.move_allocation`."""
        row = self._allocations[allocation]
        self._forget_client(row)
        row.five_tuple = five_tuple
        row.send = self._sender_to(five_tuple)
        row.pads = five_tuple.transport.is_stream
        self._remember_client(row)

    def set_permission(
        self, allocation: int, peer_ip: bytes, deadline: float, *, internal_only: bool
    ) -> None:
        """See `Tables.set_permission`."""
        row = self._allocations[allocation]
        row.permissions[peer_ip] = PermissionRow(deadline, internal_only)

    def remove_permission(self, allocation: int, peer_ip: bytes) -> None:
        """See `Tables.remove_permission`."""
        self._allocations[allocation].permissions.pop(peer_ip, None)

    def set_channel(self, allocation: int, number: int, peer: Address, deadline: float) -> None:
        """See `Tables.set_channel`."""
        row = self._allocations[allocation]
        channel = ChannelRow(peer, number.to_bytes(2, "big"), deadline)
        row.channels[number] = channel
        row.channel_of[peer] = channel

    def remove_channel(self, allocation: int, number: int) -> None:
        """See `Tables.remove_channel`."""
        row = self._allocations[allocation]
        channel = row.channels.pop(number, None)
        if channel is not None:
            row.channel_of.pop(channel.peer, None)

    def is_relayed_address(self, address: Address) -> bool:
        """See `Tables.is_relayed_address`."""
        return address in self._relays.by_address

    def traffic(self, allocation: int) -> Traffic:
        """See `Tables.traffic`."""
        row = self._allocations.get(allocation)
        return row.traffic.snapshot() if row else Traffic()

    # Packets

    def _receive_listener(self, listener: UdpListener) -> None:
        for _ in range(TURN):
            received = listener.receive()
            if received is None:
                return
            data, key, tos = received
            self._take(data, listener.clients.get(key), tos, lambda: listener.five_tuple(key))  # noqa: B023 - called before the next turn of the loop

    def _take(
        self,
        data: bytes,
        allocation: AllocationRow | None,
        tos: int,
        five_tuple: Callable[[], FiveTuple],
    ) -> None:
        """Relay a client's datagram or frame, or hand it up. Hot."""
        if not data or (first := data[0]) >= 0x80 or 4 <= first < 20:
            self._counters.drops[Drop.MALFORMED] += 1
        elif 20 <= first < 0x40:
            client = five_tuple()
            if client.transport is Transport.UDP and self._handler is not None:
                dtls = FiveTuple(Transport.DTLS, client.client, client.server)
                self._handler.on_dtls(data, dtls)
            else:
                self._counters.drops[Drop.MALFORMED] += 1
        elif not self._road.from_client(data, allocation, tos) and self._handler is not None:
            self._handler.on_request(data, five_tuple())

    def _receive_relay(self, relay: RelayRow) -> None:
        """Take a turn of datagrams from peers. Hot."""
        sock = relay.sock
        for _ in range(TURN):
            try:
                data, ancillary, _, sender = sock.recvmsg(MAX_DATAGRAM, ANCILLARY_SIZE)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error is told once in place of a datagram; so is a socket that a
                # handler of this very batch has closed.
                if sock.fileno() < 0:
                    return
                for error in drain_error_queue(sock, TURN):
                    self._road.icmp(relay, error)
                continue
            peer = relay.peers.get(sender)
            if peer is None:
                if len(relay.peers) >= MAX_PEERS:
                    relay.peers.clear()
                peer = relay.peers[sender] = Address.from_sockaddr(sender)
            tos = 0
            if ancillary:
                received = read_ancillary(ancillary)
                tos = received.tos
                if received.overflow is not None:
                    lost = (received.overflow - relay.overflow) & 0xFFFFFFFF
                    self._counters.drops[Drop.SOCKET_OVERFLOW] += lost
                    relay.overflow = received.overflow
            self._road.from_peer(relay, peer, data, tos)

    # Clients

    def _add(self, number: int, five_tuple: FiveTuple, bandwidth: int) -> AllocationRow:
        now = self._clock()
        row = AllocationRow(
            number,
            five_tuple,
            self._sender_to(five_tuple),
            five_tuple.transport.is_stream,
            TokenBucket(bandwidth, now),
            TokenBucket(bandwidth, now),
        )
        self._allocations[number] = row
        self._remember_client(row)
        return row

    def _remember_client(self, row: AllocationRow) -> None:
        self._clients[row.five_tuple] = row
        listener = self._listener_of(row.five_tuple)
        if listener is not None:
            listener.clients[listener.key(row.five_tuple)] = row

    def _forget_client(self, row: AllocationRow) -> None:
        if self._clients.get(row.five_tuple) is row:
            del self._clients[row.five_tuple]
            listener = self._listener_of(row.five_tuple)
            if listener is not None:
                listener.clients.pop(listener.key(row.five_tuple), None)

    def _listener_of(self, five_tuple: FiveTuple) -> UdpListener | None:
        udp = five_tuple.transport is Transport.UDP
        return self._listener_at(five_tuple.server) if udp else None

    def _listener_at(self, server: Address) -> UdpListener | None:
        """Find the listener of a local address: bound to it, or to its family's wildcard."""
        exact = self._listeners.get(server)
        if exact is not None:
            return exact
        return self._listeners.get(Address(bytes(len(server.packed)), server.port))

    def _sender_to(self, five_tuple: FiveTuple) -> SendToClient:
        listener = self._listener_of(five_tuple)
        if listener is not None:
            return listener.sender_to(five_tuple)

        def send(data: bytes, _tos: int) -> None:
            self._send_to_sink(data, five_tuple)

        return send

    def _send_to_sink(self, data: bytes, five_tuple: FiveTuple) -> bool:
        sink = self._sinks.get(five_tuple)
        if sink is None:
            self._counters.drops[Drop.CLIENT_GONE] += 1
            return False
        if not sink.send(data):
            self._counters.drops[Drop.CLIENT_QUEUE_FULL] += 1
            return False
        return True

    # Sockets

    def _watch(self, sock: socket.socket, receive: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, receive)

    def _unwatch(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)

    def _close(self) -> None:
        for number in list(self._allocations):
            self.close_allocation(number)
        self._relays.close()
        for listener in self._listeners.values():
            listener.sock.close()
        self._selector.close()
