"""Relay sockets: live ones by address, and those a reservation holds."""

from __future__ import annotations

import socket
from collections.abc import Callable

from stun import Address
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.portable.rows import RelayRow
from turnd.datapath.portable.sockets import open_relay_socket


class RelayTable:
    """The relay sockets of the portable engine.

    Args:
        watch: has a socket's callback called when it is readable.
        unwatch: undoes that.

    """

    def __init__(
        self,
        watch: Callable[[socket.socket, Callable[[], None]], None],
        unwatch: Callable[[socket.socket], None],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._reserved: dict[Address, socket.socket] = {}
        self.by_address: dict[Address, RelayRow] = {}
        """Live relays by local and by public address."""

    def reserve(self, local: Address, settings: DatapathSettings) -> None:
        """Bind a socket and hold it; raises `RelayUnavailableError`."""
        self._reserved[local] = self._open(local, settings)

    def release(self, local: Address) -> None:
        """Close what `reserve` holds there."""
        sock = self._reserved.pop(local, None)
        if sock is not None:
            sock.close()

    def socket_for(self, local: Address, settings: DatapathSettings) -> socket.socket:
        """Take over a reserved socket, or bind one; raises `RelayUnavailableError`."""
        return self._reserved.pop(local, None) or self._open(local, settings)

    def add(self, relay: RelayRow, receive: Callable[[], None]) -> None:
        """Take a relay in and have `receive` called when it is readable."""
        self.by_address[relay.relayed.local] = relay
        self.by_address[relay.relayed.public] = relay
        self._watch(relay.sock, receive)

    def remove(self, relay: RelayRow) -> None:
        """Close a relay."""
        self.by_address.pop(relay.relayed.local, None)
        self.by_address.pop(relay.relayed.public, None)
        self._unwatch(relay.sock)
        relay.sock.close()

    def close(self) -> None:
        """Close the sockets that reservations hold."""
        for local in list(self._reserved):
            self.release(local)

    @staticmethod
    def _open(local: Address, settings: DatapathSettings) -> socket.socket:
        return open_relay_socket(local, settings.relay_receive_buffer, dscp=settings.preserve_dscp)
