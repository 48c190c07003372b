"""A UDP socket that clients send to: who sent what, and the way back."""

from __future__ import annotations

import socket
import sys
from typing import Any

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import Drop
from turnd.datapath.portable.ancillary import (
    PLAIN_V4,
    PLAIN_V6,
    AncillaryOut,
    prepare,
    source_ancillary,
    tos_ancillary,
)
from turnd.datapath.portable.rows import AllocationRow, SendToClient
from turnd.datapath.portable.send_errors import drop_of

SocketAddress = tuple[Any, ...]
ClientKey = tuple[Any, ...]
"""A client's socket address as `recvmsg` gives it; on a wildcard socket, paired with the IP
address it sent to. Allocations are found by it, so that no `Address` is made of each packet."""


class UdpListener:
    """One listening socket.

    Args:
        sock: bound, non-blocking.
        drops: where losses are counted.
        dscp: whether to learn each datagram's DSCP and ECN.
        receive_buffer: SO_RCVBUF in bytes, 0 for what the socket has.

    """

    def __init__(
        self, sock: socket.socket, drops: dict[Drop, int], *, dscp: bool, receive_buffer: int
    ) -> None:
        self.sock = sock
        self.address = Address.from_sockaddr(sock.getsockname())
        self.is_wildcard = not any(self.address.packed)
        self.v4 = len(self.address.packed) == 4
        self.plain = PLAIN_V4 if self.v4 else PLAIN_V6
        self.overflow = 0
        self.clients: dict[ClientKey, AllocationRow] = {}
        self._drops = drops
        self._dscp = dscp
        self._receive_buffer = receive_buffer
        self.prepare(sock)

    def prepare(self, sock: socket.socket) -> None:
        """Set the options of a socket bound to this listener's address."""
        prepare(sock, v4=self.v4, dscp=self._dscp, wildcard=self.is_wildcard)
        if self._receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)

    def five_tuple(self, key: ClientKey) -> FiveTuple:
        """Say who the client of that key is."""
        if not self.is_wildcard:
            return FiveTuple(Transport.UDP, Address.from_sockaddr(key), self.address)
        sender, destination = key
        width = len(self.address.packed)
        scope = int.from_bytes(destination[16:20], sys.byteorder) if len(destination) > width else 0
        server = Address(destination[:width] or self.address.packed, self.address.port, scope)
        return FiveTuple(Transport.UDP, Address.from_sockaddr(sender), server)

    def key(self, five_tuple: FiveTuple) -> ClientKey:
        """Return the key that datagrams of a client have here; undoes `five_tuple`."""
        sender = five_tuple.client.sockaddr
        if not self.is_wildcard:
            return sender
        server = five_tuple.server
        scope = server.scope.to_bytes(4, sys.byteorder) if server.scope else b""
        return (sender, server.packed + scope)

    def sender_to(self, five_tuple: FiveTuple) -> SendToClient:
        """Return the function that sends to a client, with all that does not change looked up."""
        sockaddr = five_tuple.client.sockaddr
        source = self._source(five_tuple.server)
        plain_send = self.sock.sendto

        def send(data: bytes, tos: int) -> bool:
            """Send to the client. Hot."""
            if tos or source:
                return self._send_message(data, sockaddr, source, tos)
            try:
                plain_send(data, sockaddr)
            except OSError as error:
                self._drops[drop_of(error)] += 1
                return False
            return True

        return send

    def send(self, data: bytes, client: Address, server: Address) -> bool:
        """Send one message to a client; False (and counted) if it could not be."""
        return self._send_message(data, client.sockaddr, self._source(server), 0)

    def _source(self, server: Address) -> AncillaryOut:
        return source_ancillary(server.packed, server.scope) if self.is_wildcard else []

    def _send_message(
        self, data: bytes, sockaddr: SocketAddress, source: AncillaryOut, tos: int
    ) -> bool:
        try:
            if tos or source:
                ancillary = source + tos_ancillary(tos, v4=self.v4) if tos else source
                self.sock.sendmsg((data,), ancillary, 0, sockaddr)
            else:
                self.sock.sendto(data, sockaddr)
        except OSError as error:
            self._drops[drop_of(error)] += 1
            return False
        return True
