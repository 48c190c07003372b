"""What the core asks of the engine that moves packets, and of the TCP relay (RFC 6062).

Rows are plain keys and values and every deadline is a value the engine compares
for itself, so that an engine may keep them in C structures or in eBPF maps. All
calls are synchronous, quick, and made from one thread.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from stun import Address
from turnd.core.five_tuple import FiveTuple


class RelayUnavailableError(Exception):
    """A relayed transport address could not be opened.

    Attributes:
        in_use: another socket has that port; another port may do.

    """

    def __init__(self, message: str, *, in_use: bool) -> None:
        super().__init__(message)
        self.in_use = in_use


@attrs.frozen(slots=True)
class Traffic:
    """What one allocation has moved so far: payload bytes, without STUN, UDP or IP headers."""

    packets_to_peer: int = 0
    bytes_to_peer: int = 0
    packets_to_client: int = 0
    bytes_to_client: int = 0


@attrs.frozen(slots=True)
class RelayedAddress:
    """A relayed transport address and the socket address behind it.

    Attributes:
        local: what the relay socket is bound to.
        public: what clients and peers are told: `local`, or its external (1:1 NAT) name.
        shared: whether other allocations have it too (see `Tables.shared_relay`).

    """

    local: Address
    public: Address
    shared: bool = attrs.field(default=False, kw_only=True)


class Tables(Protocol):
    """The relay tables of an engine (see DESIGN: allocation, channel, permission rows)."""

    def reserve_relay(self, local: Address) -> None:
        """Bind a relay socket and hold it for `open_relay` (EVEN-PORT's next-higher port).

        Raises:
            RelayUnavailableError: it can't be bound.

        """

    def release_reservation(self, local: Address) -> None:
        """Close a socket that `reserve_relay` holds; nothing happens if it holds none."""

    @property
    def shares_relays(self) -> bool:
        """Whether relays may be shared at all."""

    def shared_relay(self, five_tuple: FiveTuple, local_ip: bytes) -> Address | None:
        """Return where the relay is bound that such a client shares with others there.

        What a peer sends to it goes to the allocation that has last sent to that very transport
        address of the peer, or bound a channel to it; a second allocation can't have the same
        one. None if there is none yet: `open_relay` with `RelayedAddress.shared` makes one,
        which stays.
        """

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        """Bind (or take over from a reservation) a relay socket and start the allocation's rows.

        An allocation may open one relay per address family.

        Args:
            allocation: the allocation's number, never used twice.
            five_tuple: the client that owns it.
            relayed: where to bind, and the name it has outside.
            bandwidth: payload bytes per second in each direction, 0 for no limit.

        Raises:
            RelayUnavailableError: it can't be bound.

        """

    def close_relay(self, allocation: int, relayed: RelayedAddress) -> None:
        """Close one family's relay of an allocation that keeps the other."""

    def close_allocation(self, allocation: int) -> Traffic:
        """Close the relays, drop every row, and return what was moved."""

    def move_allocation(self, allocation: int, five_tuple: FiveTuple) -> None:
        """Give the allocation to another 5-tuple (RFC 8016)."""

    def set_permission(
        self, allocation: int, peer_ip: bytes, deadline: float, *, internal_only: bool
    ) -> None:
        """Install or refresh a permission.

        Args:
            allocation: the allocation's number.
            peer_ip: packed IP address, 4 or 16 bytes.
            deadline: monotonic seconds after which no packet may pass.
            internal_only: only live relayed transport addresses of this server may be
                reached there, nothing else on that IP address.

        """

    def remove_permission(self, allocation: int, peer_ip: bytes) -> None:
        """Drop a permission; nothing happens if there is none."""

    def set_channel(self, allocation: int, number: int, peer: Address, deadline: float) -> None:
        """Install or refresh a channel binding."""

    def remove_channel(self, allocation: int, number: int) -> None:
        """Drop a channel binding; nothing happens if there is none."""

    def is_relayed_address(self, address: Address) -> bool:
        """Whether a live relay socket of this server has that local or public address."""

    def traffic(self, allocation: int) -> Traffic:
        """Return what an allocation has moved so far."""


class TcpRelay(Protocol):
    """Peer connections of TCP allocations (RFC 6062)."""

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        """Listen on the relayed transport address.

        Peers that connect are reported to `TurnServer.peer_arrived`.

        Raises:
            RelayUnavailableError: it can't be bound.

        """

    def close_allocation(self, allocation: int) -> Traffic:
        """Stop listening, close all the allocation's connections, return what was moved."""

    def connect(
        self, allocation: int, connection_id: int, relayed: RelayedAddress, peer: Address
    ) -> None:
        """Start connecting from the relayed transport address to `peer`.

        The outcome comes back as `TurnServer.peer_connected` or `peer_unreachable`.
        """

    def bind(self, connection_id: int, five_tuple: FiveTuple) -> None:
        """Join the client's connection `five_tuple` to the peer's; from here on bytes flow.

        What the core transmits to `five_tuple` in the same turn goes out first.
        """

    def close_connection(self, connection_id: int) -> None:
        """Close a peer connection; nothing happens if it is gone."""
