"""Peer connections of TCP allocations: connecting, waiting for their client, bound (RFC 6062)."""

from __future__ import annotations

import enum

import attrs

from stun import Address
from turnd.core.request import Request

BIND_TIMEOUT = 30.0
"""RFC 6062 §5.2, §5.3: seconds until a connection nobody binds is closed."""


class PeerConnectionState(enum.Enum):
    """Where a peer connection is between Connect and ConnectionBind."""

    CONNECTING = "connecting"
    PENDING = "pending"
    BOUND = "bound"


@attrs.define(slots=True, eq=False)
class PeerConnectionRecord:
    """One peer connection.

    Attributes:
        number: the CONNECTION-ID, 32 bits, unguessable.
        allocation: the number of the allocation it belongs to.
        peer: as the client names it.
        state: see `PeerConnectionState`.
        request: the Connect request that waits for its answer; None for an incoming one.

    """

    number: int
    allocation: int
    peer: Address
    state: PeerConnectionState
    request: Request | None = None


class PeerConnections:
    """Every peer connection, by CONNECTION-ID and by allocation."""

    def __init__(self) -> None:
        self._by_number: dict[int, PeerConnectionRecord] = {}
        self._by_allocation: dict[int, dict[int, PeerConnectionRecord]] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> PeerConnectionRecord | None:
        """Find by CONNECTION-ID."""
        return self._by_number.get(number)

    def of_allocation(self, allocation: int) -> list[PeerConnectionRecord]:
        """List an allocation's connections."""
        return list(self._by_allocation.get(allocation, {}).values())

    def add(self, connection: PeerConnectionRecord) -> None:
        """Take a connection in."""
        self._by_number[connection.number] = connection
        self._by_allocation.setdefault(connection.allocation, {})[connection.number] = connection

    def remove(self, number: int) -> PeerConnectionRecord | None:
        """Let a connection go; None if it is not known."""
        connection = self._by_number.pop(number, None)
        if connection is not None:
            siblings = self._by_allocation[connection.allocation]
            del siblings[number]
            if not siblings:
                del self._by_allocation[connection.allocation]
        return connection

    def remove_all(self, allocation: int) -> list[PeerConnectionRecord]:
        """Let all of an allocation's connections go."""
        removed = list(self._by_allocation.pop(allocation, {}).values())
        for connection in removed:
            del self._by_number[connection.number]
        return removed
