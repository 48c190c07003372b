"""What the client core asks for and tells: the whole vocabulary between core and shell."""

from __future__ import annotations

import attrs

from ice_client.turn.errors import TurnClientError
from stun import Address, Message
from stun.values import AddressError as AddressErrorCode
from stun.values import Icmp


@attrs.frozen(slots=True)
class Transmit:
    """Send this to the server."""

    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True, kw_only=True)
class Exchange:
    """One request and its answer, as an observer sees it; a challenge and its repetition are two.

    Attributes:
        method: of the request.
        started_at: monotonic seconds at which it was first sent.
        ended_at: when it was answered or given up.
        transmissions: how often it was sent.
        round_trip_time: seconds; None without an answer or after a retransmission.
        response: the answer, if one came that counts.
        error: what it ended with; None for success, and for answers the client takes in its
            stride (challenges).

    """

    method: int
    started_at: float
    ended_at: float
    transmissions: int
    round_trip_time: float | None
    response: Message | None = None
    error: TurnClientError | None = None


@attrs.frozen(slots=True, kw_only=True)
class Allocation:
    """What an Allocate request was answered with (RFC 8656 §7.3).

    Attributes:
        relayed_addresses: one, or two with ADDITIONAL-ADDRESS-FAMILY.
        mapped_address: this client as the server sees it.
        lifetime: seconds until it ends unless refreshed.
        reservation_token: of the next-higher port, if that was asked for.
        address_error: why there is no relayed address of the additional family.
        mobile: whether the server gave a ticket to move with (RFC 8016).
        response: the whole answer.

    """

    relayed_addresses: tuple[Address, ...]
    mapped_address: Address
    lifetime: float
    reservation_token: bytes | None = attrs.field(default=None, repr=False)
    address_error: AddressErrorCode | None = None
    mobile: bool = False
    response: Message | None = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(slots=True)
class Done:
    """An operation ended well.

    Attributes:
        operation: the number its method returned.
        response: the last answer.
        result: what it brought: the `Allocation` of an Allocate, the CONNECTION-ID of a Connect.

    """

    operation: int
    response: Message | None = None
    result: Allocation | int | None = None


@attrs.frozen(slots=True)
class Failed:
    """An operation ended badly."""

    operation: int
    error: TurnClientError


@attrs.frozen(slots=True)
class DataReceived:
    """A peer sent something."""

    data: bytes = attrs.field(repr=False)
    peer: Address


@attrs.frozen(slots=True)
class IcmpReceived:
    """A datagram to that peer met an ICMP error (RFC 8656 §11.5)."""

    peer: Address
    icmp: Icmp


@attrs.frozen(slots=True)
class PermissionLost:
    """A permission or channel could not be refreshed, and is gone."""

    peer: Address
    error: TurnClientError


@attrs.frozen(slots=True)
class AllocationLost:
    """The allocation could not be refreshed, or the server is gone; nothing can follow."""

    error: TurnClientError


@attrs.frozen(slots=True)
class ConnectionAttempted:
    """A peer has connected to a TCP relay (RFC 6062 §4.4)."""

    connection_id: int
    peer: Address


Output = (
    Transmit
    | Exchange
    | Done
    | Failed
    | DataReceived
    | IcmpReceived
    | PermissionLost
    | AllocationLost
    | ConnectionAttempted
)
