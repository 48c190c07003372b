"""What the server knows: allocations and all that hangs on them, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from stun import Address, ErrorCode, Family
from turnd.core.allocation import Allocation, Allocations
from turnd.core.deadlines import Deadlines
from turnd.core.five_tuple import FiveTuple
from turnd.core.outputs import AllocationClosed, Output, StepFailed
from turnd.core.peer_connections import PeerConnections
from turnd.core.port_pool import RandomBelow
from turnd.core.relay_addresses import RelayAddresses
from turnd.core.reply_cache import ReplyCache
from turnd.core.request import RejectionError
from turnd.core.reservations import Reservation, Reservations
from turnd.core.settings import Limits, Settings
from turnd.core.tables import RelayedAddress, Tables, TcpRelay, Traffic

RandomBytes = Callable[[int], bytes]
"""Cryptographically random bytes, as `secrets.token_bytes`."""

DeadlineKey = (
    tuple[Literal["relay"], int, Family]
    | tuple[Literal["reservation"], bytes]
    | tuple[Literal["connection"], int]
)


@attrs.define(slots=True, eq=False)
class State:
    """The mutable heart of the server; the request handlers work on it.

    Attributes:
        settings: in force now.
        tables: the engine's rows.
        tcp_relay: peer connections of TCP allocations.
        random_bytes: for tokens and tickets.
        random_below: for ports, as `secrets.randbelow`.
        allocations: every allocation.
        addresses: relayed transport addresses, free and taken.
        connections: RFC 6062 peer connections.
        deadlines: everything that ends by itself.
        replies: answers for retransmissions.
        tcp_relayed: TCP relays by their local and by their public address.
        reservations: relayed transport addresses held for later.

    """

    settings: Settings
    tables: Tables
    tcp_relay: TcpRelay
    random_bytes: RandomBytes
    random_below: RandomBelow
    allocations: Allocations = attrs.field(factory=Allocations)
    addresses: RelayAddresses = attrs.field(init=False)
    connections: PeerConnections = attrs.field(factory=PeerConnections)
    deadlines: Deadlines[DeadlineKey] = attrs.field(factory=Deadlines)
    replies: ReplyCache = attrs.field(factory=ReplyCache)
    tcp_relayed: dict[Address, RelayedAddress] = attrs.field(factory=dict)
    reservations: Reservations = attrs.field(factory=Reservations)

    def __attrs_post_init__(self) -> None:
        self.addresses = RelayAddresses(self.settings, self.random_below)

    def limits_of(self, realm: str) -> Limits:
        """Return the limits of a realm."""
        return self.settings.realms.get(realm, self.settings.limits)

    def set_lifetime(self, allocation: Allocation, family: Family, deadline: float) -> None:
        """Give one family of an allocation its time-to-expiry (monotonic seconds)."""
        allocation.deadlines[family] = deadline
        self.deadlines.set(("relay", allocation.number, family), deadline)

    def purge(self, allocation: Allocation, now: float) -> None:
        """Drop the allocation's permissions and channels that ran out.

        The engine lets nothing through by them anyway; this is for memory.
        """
        self._drop_rows(allocation, *allocation.purge(now))

    def reserve(self, token: bytes, reservation: Reservation, now: float) -> None:
        """Hold a relayed transport address until its token is shown, or its time is up."""
        self.reservations.add(token, reservation)
        self.deadlines.set(("reservation", token), now + self.settings.lifetimes.reservation)

    def take_reservation(self, token: bytes) -> RelayedAddress | None:
        """Hand over what `reserve` holds by that token; None if there is nothing."""
        self.deadlines.discard(("reservation", token))
        return self.reservations.take(token)

    def end_reservation(self, token: bytes) -> None:
        """Let go of what nobody took up in time."""
        relayed = self.reservations.take(token)
        if relayed is not None:
            self.tables.release_reservation(relayed.local)
            self.addresses.give_back(relayed)

    def close_family(self, allocation: Allocation, family: Family) -> None:
        """Close one family's relay of an allocation that keeps the other (RFC 8656 §8.1)."""
        relayed = allocation.relayed[family]
        self._drop_rows(allocation, *allocation.forget_family(family))
        self.deadlines.discard(("relay", allocation.number, family))
        self.tables.close_relay(allocation.number, relayed)
        self.addresses.give_back(relayed)

    def end_family(self, number: int, family: Family, now: float) -> list[Output]:
        """End what has run out: one family's relay, and with the last one the allocation."""
        allocation = self.allocations.get(number)
        if allocation is None:
            return []
        if len(allocation.relayed) > 1:
            self.close_family(allocation, family)
            return []
        return self.close(allocation, "expired", now)

    def abandon(self, allocation: Allocation) -> None:
        """Close the relays of an allocation that was never taken in."""
        if allocation.relayed:
            self._relays_of(allocation).close_allocation(allocation.number)
        for relayed in allocation.relayed.values():
            self.addresses.give_back(relayed)

    def close(self, allocation: Allocation, reason: str, now: float) -> list[Output]:
        """End an allocation: rows, sockets, ports, quotas and peer connections, each once."""
        if self.allocations.get(allocation.number) is None:
            return []
        self.allocations.remove(allocation)
        for family, relayed in allocation.relayed.items():
            self.deadlines.discard(("relay", allocation.number, family))
            self.tcp_relayed.pop(relayed.local, None)
            self.tcp_relayed.pop(relayed.public, None)
        for connection in self.connections.remove_all(allocation.number):
            self.deadlines.discard(("connection", connection.number))
        failed: list[Output] = []
        try:
            traffic = self._relays_of(allocation).close_allocation(allocation.number)
        except Exception as error:  # ours: ports are free, and the end is told of, all the same
            traffic, failed = Traffic(), [StepFailed(error)]
        for relayed in allocation.relayed.values():
            self.addresses.give_back(relayed)
        return [_closed(allocation, reason, now, traffic), *failed]

    def is_own_relay(self, five_tuple: FiveTuple) -> bool:
        """Whether the client's address is a live relayed transport address of this server.

        Of the client's own protocol: a TCP client may well have the port of a UDP relay.
        """
        if five_tuple.transport.is_stream:
            return five_tuple.client in self.tcp_relayed
        return self.tables.is_relayed_address(five_tuple.client)

    def allocation_of(self, five_tuple: FiveTuple) -> Allocation | None:
        """Find the allocation of a client."""
        return self.allocations.of_client(five_tuple)

    def require_allocation(self, five_tuple: FiveTuple) -> Allocation:
        """Find the allocation of a client, or reject with 437."""
        allocation = self.allocations.of_client(five_tuple)
        if allocation is None:
            raise RejectionError(ErrorCode.ALLOCATION_MISMATCH, "the 5-tuple has no allocation")
        return allocation

    def _relays_of(self, allocation: Allocation) -> Tables | TcpRelay:
        return self.tcp_relay if allocation.tcp else self.tables

    def _drop_rows(self, allocation: Allocation, peers: list[bytes], numbers: list[int]) -> None:
        if allocation.tcp:
            return
        for packed in peers:
            self.tables.remove_permission(allocation.number, packed)
        for number in numbers:
            self.tables.remove_channel(allocation.number, number)


def _closed(allocation: Allocation, reason: str, now: float, traffic: Traffic) -> AllocationClosed:
    return AllocationClosed(
        allocation.number,
        allocation.five_tuple,
        allocation.credential.username,
        allocation.realm,
        reason,
        now - allocation.opened_at,
        traffic,
        allocation.opened_over,
        allocation.tcp,
    )
