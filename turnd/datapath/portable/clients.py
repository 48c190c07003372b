"""Clients: whose allocation a 5-tuple is, and the way back to it."""

from __future__ import annotations

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import ClientSink, Drop
from turnd.datapath.portable.rows import AllocationRow, SendToClient
from turnd.datapath.portable.udp_listener import UdpListener


class ClientTable:
    """The clients of the portable engine.

    Args:
        drops: where losses are counted.

    """

    def __init__(self, drops: dict[Drop, int]) -> None:
        self._drops = drops
        self._sinks: dict[FiveTuple, ClientSink] = {}
        self.listeners: dict[Address, UdpListener] = {}
        self.allocations: dict[FiveTuple, AllocationRow] = {}

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """Say how to reach a client that is not on bare UDP."""
        self._sinks[five_tuple] = sink

    def detach(self, five_tuple: FiveTuple) -> None:
        """Forget what `attach` said."""
        self._sinks.pop(five_tuple, None)

    def remember(self, row: AllocationRow) -> None:
        """Find the allocation by its client's 5-tuple from now on."""
        self.allocations[row.five_tuple] = row
        listener = self._listener_of(row.five_tuple)
        if listener is not None:
            listener.clients[listener.key(row.five_tuple)] = row

    def forget(self, row: AllocationRow) -> None:
        """Undo `remember`, unless another allocation has the 5-tuple by now."""
        if self.allocations.get(row.five_tuple) is row:
            del self.allocations[row.five_tuple]
            listener = self._listener_of(row.five_tuple)
            if listener is not None:
                listener.clients.pop(listener.key(row.five_tuple), None)

    def sender_to(self, five_tuple: FiveTuple) -> SendToClient:
        """Return the function that sends packets to a client."""
        listener = self._listener_of(five_tuple)
        if listener is not None:
            return listener.sender_to(five_tuple)

        def send(data: bytes, _tos: int) -> bool:
            return self.send_to_sink(data, five_tuple)

        return send

    def send(
        self,
        data: bytes,
        five_tuple: FiveTuple,
        source: Address | None,
        destination: Address | None,
    ) -> bool:
        """Send a reply; see `Datapath.send_to_client`."""
        if five_tuple.transport is not Transport.UDP:
            return self.send_to_sink(data, five_tuple)
        server = source or five_tuple.server
        listener = self._listener_at(server)
        if listener is None:
            self._drops[Drop.CLIENT_GONE] += 1
            return False
        return listener.send(data, destination or five_tuple.client, server)

    def send_to_sink(self, data: bytes, five_tuple: FiveTuple, messages: int = 1) -> bool:
        """Send to a client that is not on bare UDP; False (and counted) if it could not be."""
        sink = self._sinks.get(five_tuple)
        if sink is None:
            self._drops[Drop.CLIENT_GONE] += messages
            return False
        if not sink.send(data):
            self._drops[Drop.CLIENT_QUEUE_FULL] += messages
            return False
        return True

    def _listener_of(self, five_tuple: FiveTuple) -> UdpListener | None:
        udp = five_tuple.transport is Transport.UDP
        return self._listener_at(five_tuple.server) if udp else None

    def _listener_at(self, server: Address) -> UdpListener | None:
        """Find the listener of a local address: bound to it, or to its family's wildcard."""
        exact = self.listeners.get(server)
        if exact is not None:
            return exact
        return self.listeners.get(Address(bytes(len(server.packed)), server.port))
