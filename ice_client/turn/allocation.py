"""The allocation itself (RFC 8656 §7, §8; RFC 8016 §3): made, refreshed in time, moved, deleted."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

import attrs

from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    AllocationMismatchError,
    MalformedResponseError,
    RedirectedError,
    RelayClosedError,
    ResponseError,
    TransactionTimeoutError,
    TurnClientError,
)
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import Allocation, Done, Failed, Output
from ice_client.turn.permissions import REFRESH_MARGIN, StartRequest
from stun import DecodeError, ErrorCode, Message, Method, RawAttribute
from stun import attributes as a

SHORTEST_RETRY = 5.0
"""Seconds from a refused Refresh to the next."""

Lose = Callable[[TurnClientError, float], None]


class ClientState(enum.Enum):
    """Where the allocation is."""

    IDLE = "idle"
    ALLOCATING = "allocating"
    ALLOCATED = "allocated"
    CLOSED = "closed"


@attrs.frozen(slots=True)
class AllocatePurpose:
    """Why an Allocate request was sent."""

    operation: int


@attrs.frozen(slots=True)
class RefreshPurpose:
    """Why a Refresh request was sent; without an operation because it was time to."""

    operation: int | None
    deletes: bool = False
    moves: bool = False


class AllocationKeeper:
    """One allocation's life.

    Args:
        options: what to allocate.
        start: sends a request for a purpose.
        deadlines: where the refresh is scheduled, under ``("refresh",)``.
        outputs: where results are queued.
        lose: is told when the allocation is gone.

    Attributes:
        state: see `ClientState`.
        allocation: once there is one.

    """

    def __init__(
        self,
        options: AllocateOptions,
        start: StartRequest,
        deadlines: Deadlines,
        outputs: deque[Output],
        lose: Lose,
    ) -> None:
        self.state = ClientState.IDLE
        self.allocation: Allocation | None = None
        self._options = options
        self._start = start
        self._deadlines = deadlines
        self._outputs = outputs
        self._lose = lose
        self._expires_at = 0.0
        self._ticket: bytes | None = None

    def allocate(self, operation: int, now: float) -> None:
        """Send Allocate.

        Raises:
            RuntimeError: it was called before.

        """
        if self.state is not ClientState.IDLE:
            raise RuntimeError("a client allocates once")
        self.state = ClientState.ALLOCATING
        attributes = self._options.attributes()
        self._start(Method.ALLOCATE, lambda _: attributes, AllocatePurpose(operation), now)

    def refresh(self, operation: int | None, lifetime: int | None, now: float) -> None:
        """Send Refresh; `lifetime` in seconds, None for what Allocate asked for."""
        wanted = self._options.lifetime if lifetime is None else lifetime
        self._send(RefreshPurpose(operation), wanted, now)

    def delete(self, operation: int | None, now: float) -> None:
        """Send Refresh with a lifetime of 0 (RFC 8656 §8)."""
        self.state = ClientState.CLOSED
        self._deadlines.set(("refresh",), None)
        self._send(RefreshPurpose(operation, deletes=True), 0, now)

    def move(self, operation: int, now: float) -> None:
        """Send Refresh with the ticket (RFC 8016 §3.2).

        Raises:
            TurnClientError: there is no ticket.

        """
        if self._ticket is None:
            raise TurnClientError("the server gave no mobility ticket")
        self._send(RefreshPurpose(operation, moves=True), self._options.lifetime, now)

    def allocated(
        self,
        purpose: AllocatePurpose,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        """Take the outcome of Allocate."""
        if self.state is not ClientState.ALLOCATING:
            error = error or RelayClosedError("the relay was closed while it was being opened")
        elif response is not None:
            try:
                self.allocation = read_allocation(response)
                self._ticket = response.get(a.MOBILITY_TICKET)
            except (DecodeError, MalformedResponseError) as problem:
                error = MalformedResponseError(f"Allocate's answer: {problem}")
        if error is not None or self.allocation is None:
            self.state = ClientState.CLOSED
            failure = as_redirection(error) if error else RelayClosedError("closed")
            self._outputs.append(Failed(purpose.operation, failure))
            return
        self.state = ClientState.ALLOCATED
        self._granted(self.allocation.lifetime, now)
        self._outputs.append(Done(purpose.operation, response, self.allocation))

    def refreshed(
        self,
        purpose: RefreshPurpose,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        """Take the outcome of Refresh."""
        if purpose.deletes:
            # RFC 8656 §8.1: 437 tells that there was nothing left to delete, which is as good.
            if isinstance(error, AllocationMismatchError):
                error = None
        elif response is not None:
            error = self._prolonged(response, now)
        elif purpose.operation is None and error is not None:
            self._retry(error, now)
        if purpose.operation is not None:
            ended = Failed(purpose.operation, error) if error else Done(purpose.operation, response)
            self._outputs.append(ended)

    def _send(self, purpose: RefreshPurpose, lifetime: int | None, now: float) -> None:
        attributes: list[RawAttribute] = []
        if lifetime is not None:
            attributes.append(a.LIFETIME.of(lifetime))
        if purpose.moves and self._ticket is not None:
            attributes.append(a.MOBILITY_TICKET.of(self._ticket))
        self._start(Method.REFRESH, lambda _: attributes, purpose, now)

    def _prolonged(self, response: Message, now: float) -> TurnClientError | None:
        try:
            lifetime = response.get(a.LIFETIME)
            ticket = response.get(a.MOBILITY_TICKET)
        except DecodeError as problem:
            return MalformedResponseError(f"Refresh's answer: {problem}")
        if lifetime is None or self.allocation is None:
            return MalformedResponseError("Refresh's answer has no LIFETIME")
        self.allocation = attrs.evolve(self.allocation, lifetime=float(lifetime))
        self._ticket = ticket or self._ticket
        if self.state is ClientState.ALLOCATED and not lifetime:
            # RFC 8656 §8.3: 0 says that it is deleted. To refresh it would be a loop.
            gone = RelayClosedError("the server ended the allocation: it granted 0 seconds")
            self._lose(gone, now)
            return gone
        if self.state is ClientState.ALLOCATED:
            self._granted(float(lifetime), now)
        return None

    def _retry(self, error: TurnClientError, now: float) -> None:
        """Refresh again later: a refused allocation still stands until its lifetime ends."""
        retry_at = now + max((self._expires_at - now) / 2, SHORTEST_RETRY)
        if isinstance(error, TransactionTimeoutError) or retry_at >= self._expires_at:
            self._lose(error, now)
        else:
            self._deadlines.set(("refresh",), retry_at)

    def _granted(self, lifetime: float, now: float) -> None:
        self._expires_at = now + lifetime
        self._deadlines.set(("refresh",), now + lifetime - min(REFRESH_MARGIN, lifetime / 2))


def read_allocation(response: Message) -> Allocation:
    """Read an Allocate success response (RFC 8656 §7.3).

    Raises:
        MalformedResponseError: an attribute that must be there is not.
        DecodeError: one is malformed.

    """
    relayed = response.get_all(a.XOR_RELAYED_ADDRESS)
    mapped = response.get(a.XOR_MAPPED_ADDRESS)
    lifetime = response.get(a.LIFETIME)
    ticket = response.get(a.MOBILITY_TICKET)
    if not relayed or mapped is None or not lifetime:
        raise MalformedResponseError("XOR-RELAYED-ADDRESS, XOR-MAPPED-ADDRESS or LIFETIME missing")
    return Allocation(
        relayed_addresses=tuple(relayed),
        mapped_address=mapped,
        lifetime=float(lifetime),
        reservation_token=response.get(a.RESERVATION_TOKEN),
        address_error=response.get(a.ADDRESS_ERROR_CODE),
        mobile=bool(ticket),
        response=response,
    )


def as_redirection(error: TurnClientError) -> TurnClientError:
    """Return 300 as `RedirectedError`, with what it says; any other error as it is."""
    if not isinstance(error, ResponseError) or error.code != ErrorCode.TRY_ALTERNATE:
        return error
    if error.response is None:
        return error
    try:
        addresses = error.response.get_all(a.ALTERNATE_SERVER)
        domain = error.response.get(a.ALTERNATE_DOMAIN)
    except DecodeError as problem:
        return MalformedResponseError(f"300 Try Alternate: {problem}")
    return RedirectedError(error.code, error.reason, error.response, addresses, domain)
