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
    Direction,
    Drop,
    RequestHandler,
    Totals,
)
from turnd.datapath.portable.ancillary import (
    ANCILLARY_SIZE,
    LARGEST_DATAGRAM,
    read_ancillary,
    receive_tos,
)
from turnd.datapath.portable.clients import ClientTable
from turnd.datapath.portable.counters import Counters
from turnd.datapath.portable.icmp_errors import ERRORS_PER_SECOND, drain_error_queue
from turnd.datapath.portable.relay_table import RelayTable
from turnd.datapath.portable.road import Road, Upward
from turnd.datapath.portable.rows import AllocationRow, RelayRow
from turnd.datapath.portable.token_bucket import TokenBucket, bucket_of
from turnd.datapath.portable.udp_listener import UdpListener

RELAY_TURN = 32
"""Datagrams one relay may have handled before the next socket's turn."""
LISTENER_TURN = 128
"""The same for a listener, where all clients come together."""
SOCKETS_PER_STEP = 8
"""Sockets served before trio's other tasks get the thread: two milliseconds or so."""


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
        self._drops = self._counters.drops
        self._selector = selectors.DefaultSelector()
        self._clients = ClientTable(self._drops)
        self._relays = RelayTable(self._watch, self._unwatch)
        self._road = Road(settings, self._counters, self._relays.by_address, clock)
        self._allocations: dict[int, AllocationRow] = {}
        self._handler: RequestHandler | None = None

    # Shell

    def add_listener(self, sock: socket.socket) -> None:
        """See `Datapath.add_listener`."""
        settings = self._settings
        listener = UdpListener(
            sock, self._drops, dscp=settings.preserve_dscp, receive_buffer=settings.receive_buffer
        )
        self._clients.listeners[listener.address] = listener
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
                # Under load there is more by now, and asking costs less than going to sleep.
                while await self._serve_ready():
                    await trio.lowlevel.checkpoint()
        finally:
            self._close()

    async def _serve_ready(self) -> bool:
        """Give every ready socket its turn; False if none was ready."""
        ready: list[Callable[[], None]] = [key.data for key, _ in self._selector.select(0)]
        for start in range(0, len(ready), SOCKETS_PER_STEP):
            if start:
                await trio.lowlevel.checkpoint()
            self._road.tick()
            for receive in ready[start : start + SOCKETS_PER_STEP]:
                receive()
            if len(ready) > SOCKETS_PER_STEP:
                # Many busy relays are one direction; the few listeners are all of the other.
                for listener in list(self._clients.listeners.values()):
                    self._receive_listener(listener)
        return bool(ready)

    def reconfigure(self, settings: DatapathSettings) -> None:
        """See `Datapath.reconfigure`. Buffer sizes count for sockets opened from now on."""
        dscp_changed = settings.preserve_dscp != self._settings.preserve_dscp
        self._settings = settings
        self._road.tick()
        self._road.reconfigure(settings)
        for allocation in self._allocations.values():
            allocation.routes.clear()
        if dscp_changed:
            sockets = [(each.sock, each.v4) for each in self._clients.listeners.values()]
            for allocation in self._allocations.values():
                sockets += [(relay.sock, relay.v4) for relay in allocation.relays.values()]
            for sock, v4 in sockets:
                receive_tos(sock, v4=v4, on=settings.preserve_dscp)

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """See `Datapath.attach`."""
        self._clients.attach(five_tuple, sink)

    def detach(self, five_tuple: FiveTuple) -> None:
        """See `Datapath.detach`."""
        self._clients.detach(five_tuple)

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        """See `Datapath.receive_from_client`."""
        self._road.tick()
        upward = self._road.from_client(data, self._clients.allocations.get(five_tuple), 0)
        if upward is not None:
            self._hand_up(upward, data, five_tuple)

    def receive_run(self, data: memoryview, five_tuple: FiveTuple) -> int:
        """See `Datapath.receive_run`. Frame by frame is as fast here."""
        del data, five_tuple
        return 0

    def send_to_client(
        self,
        data: bytes,
        five_tuple: FiveTuple,
        *,
        source: Address | None = None,
        destination: Address | None = None,
    ) -> bool:
        """See `Datapath.send_to_client`."""
        return self._clients.send(data, five_tuple, source, destination)

    def totals(self) -> Totals:
        """See `Datapath.totals`."""
        return self._counters.totals()

    # Tables

    shares_relays = False

    def shared_relay(self, five_tuple: FiveTuple, local_ip: bytes) -> Address | None:
        """See `Tables.shared_relay`."""
        del five_tuple, local_ip
        return None

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
        now = self._clock()
        row = self._allocations.get(allocation) or AllocationRow(
            allocation,
            five_tuple,
            self._clients.sender_to(five_tuple),
            bucket_of(bandwidth, now),
            bucket_of(bandwidth, now),
        )
        relay = RelayRow(
            row,
            relayed,
            self._relays.socket_for(relayed.local, self._settings),
            self._counters.of(Direction.TO_PEER, five_tuple, relayed),
            self._counters.of(Direction.TO_CLIENT, five_tuple, relayed),
            TokenBucket(ERRORS_PER_SECOND, now),
        )
        self._relays.add(relay, lambda: self._receive_relay(relay))
        row.relays[len(relayed.local.packed)] = relay
        if allocation not in self._allocations:
            self._allocations[allocation] = row
            self._clients.remember(row)

    def close_relay(self, allocation: int, relayed: RelayedAddress) -> None:
        """See `Tables.close_relay`."""
        row = self._allocations.get(allocation)
        relay = row.relays.pop(len(relayed.local.packed), None) if row else None
        if relay is not None:
            relay.allocation.routes.clear()
            self._relays.remove(relay)

    def close_allocation(self, allocation: int) -> Traffic:
        """See `Tables.close_allocation`."""
        row = self._allocations.pop(allocation, None)
        if row is None:
            return Traffic()
        for relay in row.relays.values():
            self._relays.remove(relay)
        # They point back at the row: without them it goes now, not at the next collection.
        row.relays.clear()
        row.routes.clear()
        self._clients.forget(row)
        return row.traffic.snapshot()

    def move_allocation(self, allocation: int, five_tuple: FiveTuple) -> None:
        """See `Tables.move_allocation`."""
        row = self._allocations[allocation]
        self._clients.forget(row)
        row.belong_to(five_tuple, self._clients.sender_to(five_tuple))
        for relay in row.relays.values():
            relay.sent = self._counters.of(Direction.TO_PEER, five_tuple, relay.relayed)
            relay.received = self._counters.of(Direction.TO_CLIENT, five_tuple, relay.relayed)
        self._clients.remember(row)

    def set_permission(
        self, allocation: int, peer_ip: bytes, deadline: float, *, internal_only: bool
    ) -> None:
        """See `Tables.set_permission`."""
        row = self._allocations[allocation]
        row.set_permission(peer_ip, deadline, internal_only=internal_only)

    def remove_permission(self, allocation: int, peer_ip: bytes) -> None:
        """See `Tables.remove_permission`."""
        row = self._allocations.get(allocation)
        if row is not None:
            row.remove_permission(peer_ip)

    def set_channel(self, allocation: int, number: int, peer: Address, deadline: float) -> None:
        """See `Tables.set_channel`."""
        self._allocations[allocation].set_channel(number.to_bytes(2, "big"), peer, deadline)

    def remove_channel(self, allocation: int, number: int) -> None:
        """See `Tables.remove_channel`."""
        row = self._allocations.get(allocation)
        if row is not None:
            row.remove_channel(number.to_bytes(2, "big"))

    def is_relayed_address(self, address: Address) -> bool:
        """See `Tables.is_relayed_address`."""
        return address in self._relays.by_address

    def traffic(self, allocation: int) -> Traffic:
        """See `Tables.traffic`."""
        row = self._allocations.get(allocation)
        return row.traffic.snapshot() if row else Traffic()

    # Packets

    def _receive_listener(self, listener: UdpListener) -> None:
        """Take a turn of datagrams from clients. Hot."""
        receive, plain, road = listener.sock.recvmsg, listener.plain, self._road
        clients, wildcard = listener.clients, listener.is_wildcard
        for _ in range(LISTENER_TURN):
            try:
                data, ancillary, _, sender = receive(LARGEST_DATAGRAM, ANCILLARY_SIZE)
            except OSError:  # EAGAIN, or told of an earlier datagram: no harm to the socket
                return
            key, tos = sender, 0
            if ancillary and ancillary != plain:
                tos, destination, overflow = read_ancillary(ancillary)
                if wildcard:
                    key = (sender, destination)
                if overflow >= 0:
                    self._drops[Drop.SOCKET_OVERFLOW] += (overflow - listener.overflow) & 0xFFFFFFFF
                    listener.overflow = overflow
            elif wildcard:
                key = (sender, b"")
            upward = road.from_client(data, clients.get(key), tos)
            if upward is not None:
                self._hand_up(upward, data, listener.five_tuple(key))

    def _hand_up(self, upward: Upward, data: bytes, five_tuple: FiveTuple) -> None:
        if upward is Upward.DTLS and five_tuple.transport is not Transport.UDP:
            self._drops[Drop.MALFORMED] += 1  # DTLS inside a stream or inside DTLS is none
        elif self._handler is None:
            return
        elif upward is Upward.REQUEST:
            self._handler.on_request(data, five_tuple)
        else:
            dtls = FiveTuple(Transport.DTLS, five_tuple.client, five_tuple.server)
            self._handler.on_dtls(data, dtls)

    def _receive_relay(self, relay: RelayRow) -> None:
        """Take a turn of datagrams from peers. Hot."""
        receive, plain, road = relay.sock.recvmsg, relay.plain, self._road
        routes = relay.allocation.routes
        for taken in range(RELAY_TURN):
            try:
                data, ancillary, _, sender = receive(LARGEST_DATAGRAM, ANCILLARY_SIZE)
            except BlockingIOError:
                if not taken:
                    # Readable and yet nothing to read: a send was told the error already, and
                    # the queue that explains it would keep the selector awake.
                    self._tell_errors(relay)
                return
            except OSError:
                # Told of an ICMP error; or closed by what a packet of this turn led to, and
                # then there are no errors to tell, nor datagrams.
                self._tell_errors(relay)
                continue
            tos = 0
            if ancillary and ancillary != plain:
                tos, _, overflow = read_ancillary(ancillary)
                if overflow >= 0:
                    self._drops[Drop.SOCKET_OVERFLOW] += (overflow - relay.overflow) & 0xFFFFFFFF
                    relay.overflow = overflow
            route = routes.get(sender) or road.route_from(relay, sender)
            if route is not None:
                road.from_peer(route, data, tos)

    def _tell_errors(self, relay: RelayRow) -> None:
        for error in drain_error_queue(relay.sock, RELAY_TURN):
            self._road.icmp(relay, error)

    # Sockets

    def _watch(self, sock: socket.socket, receive: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, receive)

    def _unwatch(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)

    def _close(self) -> None:
        for number in list(self._allocations):
            self.close_allocation(number)
        self._relays.close()
        for listener in self._clients.listeners.values():
            listener.sock.close()
        self._selector.close()
