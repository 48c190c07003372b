"""A UDP socket that clients send to: who sent what, and the way back."""

from __future__ import annotations

import errno
import socket
from typing import Any

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import Drop
from turnd.datapath.portable.road import count_send_failure
from turnd.datapath.portable.rows import AllocationRow, SendToClient
from turnd.datapath.portable.sockets import (
    ANCILLARY_SIZE,
    AncillaryOut,
    prepare,
    read_ancillary,
    source_ancillary,
    tos_ancillary,
)

MAX_DATAGRAM = 65535

SocketAddress = tuple[Any, ...]
ClientKey = tuple[SocketAddress, bytes]
"""A client's socket address as `recvmsg` gives it, and the IP address it sent to."""


class UdpListener:
    """One listening socket.

    Args:
        sock: bound, non-blocking.
        drops: where losses are counted.
        dscp: whether to learn and set DSCP and ECN.

    """

    def __init__(self, sock: socket.socket, drops: dict[Drop, int], *, dscp: bool) -> None:
        self.sock = sock
        self.address = Address.from_sockaddr(sock.getsockname())
        self.is_wildcard = not any(self.address.packed)
        self._v4 = len(self.address.packed) == 4
        self._drops = drops
        self._dscp = dscp
        self._overflow = 0
        # Allocations by what `recvmsg` says of a datagram, so that no Address is made of it.
        self.clients: dict[ClientKey, AllocationRow] = {}
        prepare(sock, v4=self._v4, relay=False, dscp=dscp, wildcard=self.is_wildcard)

    def receive(self) -> tuple[bytes, ClientKey, int] | None:
        """Receive a datagram, its client's key, and its DSCP and ECN byte; None if there is none.

        Hot.
        """
        try:
            if not (self._dscp or self.is_wildcard):
                data, sender = self.sock.recvfrom(MAX_DATAGRAM)
                return data, (sender, b""), 0
            data, ancillary, _, sender = self.sock.recvmsg(MAX_DATAGRAM, ANCILLARY_SIZE)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EINTR}:
                # Told of an earlier datagram (ICMP); the socket is as good as before.
                self._drops[Drop.CLIENT_GONE] += 1
            return None
        received = read_ancillary(ancillary)
        if received.overflow is not None:
            lost = (received.overflow - self._overflow) & 0xFFFFFFFF
            self._drops[Drop.SOCKET_OVERFLOW] += lost
            self._overflow = received.overflow
        return data, (sender, received.destination), received.tos

    def five_tuple(self, key: ClientKey) -> FiveTuple:
        """Say who the client of that key is."""
        sender, destination = key
        server = Address(destination, self.address.port) if destination else self.address
        return FiveTuple(Transport.UDP, Address.from_sockaddr(sender), server)

    def key(self, five_tuple: FiveTuple) -> ClientKey:
        """Return the key that datagrams of a client have here; undoes `five_tuple`."""
        destination = five_tuple.server.packed if self.is_wildcard else b""
        client = five_tuple.client
        if client.scope:  # the kernel's text names the interface: fe80::1%eth0
            zone = socket.if_indextoname(client.scope)
            return ((f"{client.host}%{zone}", client.port, 0, client.scope), destination)
        return (client.sockaddr, destination)

    def sender_to(self, five_tuple: FiveTuple) -> SendToClient:
        """Return the function that sends to a client, with all that does not change looked up."""
        sockaddr = five_tuple.client.sockaddr
        source = self._source(five_tuple.server)

        def send(data: bytes, tos: int) -> None:
            self._send(data, sockaddr, source, tos)

        return send

    def send(self, data: bytes, client: Address, server: Address) -> bool:
        """Send one message to a client; False if it could not be."""
        return self._send(data, client.sockaddr, self._source(server), 0)

    def _source(self, server: Address) -> AncillaryOut:
        return source_ancillary(server.packed, server.scope) if self.is_wildcard else []

    def _send(self, data: bytes, sockaddr: SocketAddress, source: AncillaryOut, tos: int) -> bool:
        try:
            if tos and self._dscp:
                ancillary = source + tos_ancillary(tos, v4=self._v4)
                self.sock.sendmsg([data], ancillary, 0, sockaddr)
            elif source:
                self.sock.sendmsg([data], source, 0, sockaddr)
            else:
                self.sock.sendto(data, sockaddr)
        except OSError as error:
            count_send_failure(self._drops, error)
            return False
        return True
