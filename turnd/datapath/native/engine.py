"""The native engine as the shell sees it: sockets, sinks, replies and what is handed up.

Packets of UDP clients and of peers are moved by threads in C (`engine.h` tells how); what
needs Python comes up through rings and an eventfd. Rows are changed by the caller's thread
under the lock of the thread that owns them, between two batches of packets.
"""

from __future__ import annotations

import os
import socket
import time

import trio

from stun import Address, Family
from stun import attributes as a
from turnd.core.challenge import Challenge
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic
from turnd.datapath.interface import (
    ClientSink,
    DatapathSettings,
    Direction,
    Drop,
    OwnAnswers,
    PacketCount,
    RequestHandler,
    Totals,
)
from turnd.datapath.native._engine import Engine
from turnd.datapath.portable.clients import ClientTable
from turnd.datapath.portable.relay_socket import open_relay_socket, unavailable
from turnd.datapath.portable.udp_listener import UdpListener
from turnd.datapath.portable.wire import SEND_INDICATION

UPWARD_TURN = 64
"""Requests and sink deliveries before trio's other tasks get the thread."""

_REQUEST, _DTLS, _GONE = 0, 1, 3
_MOST_THREADS = 64
_MAX_RATE = 10**12
_DROPS = tuple(Drop)
_FAMILIES = (Family.IPV4, Family.IPV6)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def _answers(answers: OwnAnswers) -> tuple[list[int], int, int, bool, Challenge | None]:
    interval = _nanoseconds(1 / answers.rate) if answers.rate else 0
    burst = max(int(answers.burst), 1) * interval
    return list(answers.ports), interval, burst, answers.bindings, answers.challenge


class NativeDatapath:
    """See `turnd.datapath.interface.Datapath`. Deadlines are in `time.monotonic`'s seconds.

    Args:
        settings: see `DatapathSettings`.
        threads: how many share the work; a client stays with the one that hears it.

    """

    clock = staticmethod(time.monotonic)

    def __init__(self, settings: DatapathSettings, threads: int = 1) -> None:
        self._settings = settings
        self._drops = dict.fromkeys(Drop, 0)
        self._clients = ClientTable(self._drops)
        self._reserved: dict[Address, socket.socket] = {}
        self._handler: RequestHandler | None = None
        self._unannounced: list[tuple[int, int, Address, int]] | None = None
        self._threads = min(threads, _MOST_THREADS)
        self._engine = Engine(self._threads, [code for code in a.REGISTRY if code < 0x8000])
        self._configure()

    def set_clock(self, seconds: float) -> None:
        """Go by this time from now on, and no more by the system's: for tests."""
        self._engine.set_clock(_nanoseconds(seconds))

    # Shell

    def add_listener(self, sock: socket.socket) -> None:
        """See `Datapath.add_listener`."""
        settings = self._settings
        listener = UdpListener(
            sock, self._drops, dscp=settings.preserve_dscp, receive_buffer=settings.receive_buffer
        )
        # The engine closes its own descriptor; replies leave by this one.
        self._add_descriptor(0, os.dup(sock.fileno()), listener.address)
        self._clients.listeners[listener.address] = listener
        for shard in range(1, self._threads):
            another = self._same_address(sock, listener)
            self._add_descriptor(shard, another.detach(), listener.address)

    def _same_address(self, sock: socket.socket, listener: UdpListener) -> socket.socket:
        """Open one more socket of a listener: the kernel deals its clients out among them.

        The first was bound without SO_REUSEPORT, so that a second server does not get half
        of the clients of this one, but an error.
        """
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        another = socket.socket(sock.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reuse = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            if sock.family is socket.AF_INET6:
                v6_only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                another.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
            another.bind(sock.getsockname())
        except OSError:
            another.close()
            raise
        listener.prepare(another)
        send_buffer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2  # told doubled
        another.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        return another

    def _add_descriptor(self, shard: int, fd: int, address: Address) -> None:
        try:
            self._engine.add_listener(shard, fd, address)
        except OSError:
            os.close(fd)
            raise

    async def run(
        self,
        handler: RequestHandler,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Datapath.run`."""
        self._handler = handler
        self._engine.start()
        task_status.started()
        try:
            while True:
                while self._take_turn():
                    await trio.lowlevel.checkpoint()
                if self._engine.may_wait():
                    await trio.lowlevel.wait_readable(self._engine.up_fd)
                    self._engine.woken()
        finally:
            self._close()

    def _take_turn(self) -> bool:
        """Take a bounded number of what was handed up; False if that was all."""
        for _ in range(UPWARD_TURN):
            taken = self._engine.take()
            if taken is None:
                return False
            kind, data, five_tuple, count = taken
            if kind == _REQUEST:
                self._hand_up(data, five_tuple)
            elif kind == _DTLS:
                if self._handler is not None:
                    self._handler.on_dtls(data, five_tuple)
            elif kind == _GONE:
                self._drops[Drop.CLIENT_GONE] += 1
            elif self._clients.send_to_sink(data, five_tuple, count):
                self._engine.taken()
        return True

    def _hand_up(self, data: bytes, five_tuple: FiveTuple) -> None:
        if self._handler is None:
            return
        channels = self._unannounced = []
        try:
            self._handler.on_request(data, five_tuple)
        finally:
            self._unannounced = None
        for channel in channels:  # the answer is out
            self._engine.set_channel(*channel, announced=True)

    def reconfigure(self, settings: DatapathSettings) -> None:
        """See `Datapath.reconfigure`. Buffer sizes count for sockets opened from now on."""
        dscp_changed = settings.preserve_dscp != self._settings.preserve_dscp
        self._settings = settings
        self._configure()
        if dscp_changed:
            self._engine.receive_tos(settings.preserve_dscp)

    def _configure(self) -> None:
        settings = self._settings
        self._engine.reconfigure(
            [Address(ip, 0) for ip in settings.own_ips],
            list(settings.denied_endpoints),
            min(settings.total_bandwidth, _MAX_RATE),
            *_answers(settings.answers),
        )

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """See `Datapath.attach`."""
        self._clients.attach(five_tuple, sink)
        self._engine.takes_runs(five_tuple, sink.takes_runs)

    def detach(self, five_tuple: FiveTuple) -> None:
        """See `Datapath.detach`."""
        self._clients.detach(five_tuple)
        self._engine.takes_runs(five_tuple, False)

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        """See `Datapath.receive_from_client`."""
        first = data[0] if data else 0xFF
        if first < 4 and data[:2] != SEND_INDICATION:
            self._hand_up(data, five_tuple)
        elif 20 <= first < 64 and five_tuple.transport is not Transport.UDP:
            self._drops[Drop.MALFORMED] += 1  # DTLS inside a stream or inside DTLS is none
        else:
            self._engine.receive(data, five_tuple)

    def receive_run(self, data: memoryview, five_tuple: FiveTuple) -> int:
        """See `Datapath.receive_run`."""
        return self._engine.receive_run(data, five_tuple)

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
        traffic, drops, *others = self._engine.totals()
        relayed: dict[tuple[Direction, Transport, Family], PacketCount] = {}
        for (transport, index), counts in traffic.items():
            family = _FAMILIES[index]
            relayed[Direction.TO_PEER, transport, family] = PacketCount(*counts[:2])
            relayed[Direction.TO_CLIENT, transport, family] = PacketCount(*counts[2:])
        here = self._drops
        return Totals(
            relayed,
            {reason: here[reason] + drops[index] for index, reason in enumerate(_DROPS)},
            *others,
        )

    # Tables

    shares_relays = True

    def shared_relay(self, five_tuple: FiveTuple, local_ip: bytes) -> Address | None:
        """See `Tables.shared_relay`."""
        return self._engine.shared_relay(five_tuple, local_ip)

    def reserve_relay(self, local: Address) -> None:
        """See `Tables.reserve_relay`."""
        self._reserved[local] = open_relay_socket(local, self._settings)

    def release_reservation(self, local: Address) -> None:
        """See `Tables.release_reservation`."""
        sock = self._reserved.pop(local, None)
        if sock is not None:
            sock.close()

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        """See `Tables.open_relay`."""
        local, shared = relayed.local, relayed.shared
        if shared and self.shared_relay(five_tuple, local.packed) is not None:
            fd = -1
        else:
            sock = self._reserved.pop(local, None) or open_relay_socket(local, self._settings)
            fd = sock.detach()
        rate = min(bandwidth, _MAX_RATE)
        error = self._engine.open_relay(
            allocation, five_tuple, fd, local, relayed.public, rate, shared
        )
        if error:
            raise unavailable(local, OSError(error, os.strerror(error)))

    def close_relay(self, allocation: int, relayed: RelayedAddress) -> None:
        """See `Tables.close_relay`."""
        self._engine.close_relay(allocation, relayed.local.family is Family.IPV6)

    def close_allocation(self, allocation: int) -> Traffic:
        """See `Tables.close_allocation`."""
        moved = self._engine.close_allocation(allocation)
        return Traffic(*moved) if moved else Traffic()

    def move_allocation(self, allocation: int, five_tuple: FiveTuple) -> None:
        """See `Tables.move_allocation`."""
        if not self._engine.move_allocation(allocation, five_tuple):
            raise KeyError(allocation)

    def set_permission(
        self, allocation: int, peer_ip: bytes, deadline: float, *, internal_only: bool
    ) -> None:
        """See `Tables.set_permission`."""
        nanoseconds = _nanoseconds(deadline)
        if not self._engine.set_permission(allocation, peer_ip, nanoseconds, internal_only):
            raise KeyError(allocation)

    def remove_permission(self, allocation: int, peer_ip: bytes) -> None:
        """See `Tables.remove_permission`."""
        self._engine.remove_permission(allocation, peer_ip)

    def set_channel(self, allocation: int, number: int, peer: Address, deadline: float) -> None:
        """See `Tables.set_channel`."""
        channel = (allocation, number, peer, _nanoseconds(deadline))
        # The threads must not be faster than the answer to ChannelBind: RFC 8656 §12 allows it
        # over UDP, but libnice drops ChannelData of a channel it does not know of yet.
        if not self._engine.set_channel(*channel, self._unannounced is None):
            raise KeyError(allocation)
        if self._unannounced is not None:
            self._unannounced.append(channel)

    def remove_channel(self, allocation: int, number: int) -> None:
        """See `Tables.remove_channel`."""
        self._engine.remove_channel(allocation, number)

    def is_relayed_address(self, address: Address) -> bool:
        """See `Tables.is_relayed_address`."""
        return self._engine.is_relayed_address(address)

    def traffic(self, allocation: int) -> Traffic:
        """See `Tables.traffic`."""
        moved = self._engine.traffic(allocation)
        return Traffic(*moved) if moved else Traffic()

    def _close(self) -> None:
        self._engine.stop()
        self._engine.close_all()
        for local in list(self._reserved):
            self.release_reservation(local)
        for listener in self._clients.listeners.values():
            listener.sock.close()
        self._engine.close_listeners()
