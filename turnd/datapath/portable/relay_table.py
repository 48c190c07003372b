"""Relay sockets: live ones by address, and those a reservation holds."""

from __future__ import annotations

import socket
from collections.abc import Callable

from stun import Address
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.portable.relay_socket import open_relay_socket, unavailable
from turnd.datapath.portable.rows import RelayRow


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
        self._reserved[local] = open_relay_socket(local, settings)

    def release(self, local: Address) -> None:
        """Close what `reserve` holds there."""
        sock = self._reserved.pop(local, None)
        if sock is not None:
            sock.close()

    def socket_for(self, local: Address, settings: DatapathSettings) -> socket.socket:
        """Take over a reserved socket, or bind one; raises `RelayUnavailableError`."""
        return self._reserved.pop(local, None) or open_relay_socket(local, settings)

    def add(self, relay: RelayRow, receive: Callable[[], None]) -> None:
        """Take a relay in and have `receive` called when it is readable.

        Raises:
            RelayUnavailableError: the system watches no more sockets; the relay is closed.

        """
        try:
            self._watch(relay.sock, receive)
        except OSError as error:
            relay.sock.close()
            raise unavailable(relay.relayed.local, error) from error
        self.by_address[relay.relayed.local] = relay
        self.by_address[relay.relayed.public] = relay

    def remove(self, relay: RelayRow) -> None:
        """Close a relay."""
        for address in (relay.relayed.local, relay.relayed.public):
            if self.by_address.get(address) is relay:
                del self.by_address[address]
        self._unwatch(relay.sock)
        relay.sock.close()

    def close(self) -> None:
        """Close the sockets that reservations hold."""
        for local in list(self._reserved):
            self.release(local)
