"""The TURN client without I/O (RFC 8656): one allocation, from Allocate to Refresh(0).

The shell hands in what arrives and the time, sends what `next_output` returns, and calls
`on_deadline` at `next_deadline`. A method that starts something returns an operation number,
which `Done` or `Failed` come back with.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import attrs

from ice_client.turn.authentication import Authenticator
from ice_client.turn.channels import ChannelPurpose, Channels
from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    AllocationMismatchError,
    LinkError,
    MalformedResponseError,
    RedirectedError,
    RelayClosedError,
    ResponseError,
    TransactionTimeoutError,
    TurnClientError,
)
from ice_client.turn.exchanges import DEFAULT_TIMING, Exchanges, Outcome, Request
from ice_client.turn.options import AllocateOptions, peer_attribute
from ice_client.turn.outputs import (
    Allocation,
    AllocationLost,
    ConnectionAttempted,
    DataReceived,
    Done,
    Failed,
    IcmpReceived,
    Output,
)
from ice_client.turn.permissions import REFRESH_MARGIN, PermissionPurpose, Permissions
from stun import Address, DecodeError, ErrorCode, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.channel_data import CHANNEL_DATA_HEADER_SIZE, ChannelData
from stun.constants import TRANSACTION_ID_SIZE
from stun.transaction import Timing

_SHORTEST_RETRY = 5.0
"""Seconds from a refused Refresh to the next."""


class ClientState(enum.Enum):
    """Where the allocation is."""

    IDLE = "idle"
    ALLOCATING = "allocating"
    ALLOCATED = "allocated"
    CLOSED = "closed"


@attrs.frozen(slots=True)
class _AllocatePurpose:
    operation: int


@attrs.frozen(slots=True)
class _RefreshPurpose:
    operation: int | None
    deletes: bool = False
    moves: bool = False


@attrs.frozen(slots=True)
class _ConnectPurpose:
    operation: int


class TurnClient:
    """One allocation on one server.

    Args:
        authenticator: signs requests.
        options: what to allocate.
        random_bytes: a cryptographic source, for transaction ids.
        reliable: whether the link is a stream (TCP, TLS).
        timing: of retransmissions.
        automatic_channels: bind a channel to each peer that is sent to.

    Attributes:
        state: see `ClientState`.
        allocation: once there is one.
        dropped: what came and was not understood or not expected, counted.

    """

    def __init__(
        self,
        authenticator: Authenticator,
        options: AllocateOptions,
        *,
        random_bytes: Callable[[int], bytes],
        reliable: bool = False,
        timing: Timing = DEFAULT_TIMING,
        automatic_channels: bool = True,
    ) -> None:
        self.state = ClientState.IDLE
        self.allocation: Allocation | None = None
        self.dropped = 0
        self._options = options
        self._random_bytes = random_bytes
        self._reliable = reliable
        self._automatic_channels = automatic_channels
        self._outputs: deque[Output] = deque()
        self._deadlines = Deadlines()
        self._exchanges = Exchanges(
            authenticator,
            self._deadlines,
            self._outputs,
            random_bytes=random_bytes,
            reliable=reliable,
            timing=timing,
        )
        self._permissions = Permissions(self._start, self._deadlines, self._outputs)
        self._channels = Channels(self._start, self._permissions, self._deadlines, self._outputs)
        self._operations = 0
        self._expires_at = 0.0
        self._ticket: bytes | None = None

    # Operations

    def allocate(self, now: float) -> int:
        """Ask for the allocation; `Done` has the `Allocation`.

        Fails with a `ResponseError` of the class of its code, `RedirectedError` for 300 among
        them.
        """
        if self.state is not ClientState.IDLE:
            raise RuntimeError("a client allocates once")
        self.state = ClientState.ALLOCATING
        operation = self._new_operation()
        attributes = self._options.attributes()
        self._start(Method.ALLOCATE, lambda _: attributes, _AllocatePurpose(operation), now)
        return operation

    def refresh(self, now: float, lifetime: int | None = None) -> int:
        """Refresh the allocation now; `lifetime` in seconds, None for what was asked before."""
        return self._refresh(self._new_operation(), lifetime or self._options.lifetime, now)

    def close(self, now: float) -> int:
        """Delete the allocation (RFC 8656 §8: a Refresh with a lifetime of 0)."""
        self._require_allocation()
        operation = self._new_operation()
        self.state = ClientState.CLOSED
        self._deadlines.set(("refresh",), None)
        self._send_refresh(_RefreshPurpose(operation, deletes=True), 0, now)
        return operation

    def move(self, now: float) -> int:
        """Take the allocation along to another client address (RFC 8016 §3.2).

        To be called once what is queued from here on goes out by the new link.

        Raises:
            TurnClientError: the server gave no ticket.

        """
        self._require_allocation()
        if self._ticket is None:
            raise TurnClientError("the server gave no mobility ticket")
        operation = self._new_operation()
        purpose = _RefreshPurpose(operation, moves=True)
        self._send_refresh(purpose, self._options.lifetime, now)
        return operation

    def permit(self, peers: Iterable[Address], now: float) -> int:
        """Install permissions for the peers' IP addresses, and keep them (RFC 8656 §10).

        Fails with the first error, once all are answered; those that were not refused stand.

        Raises:
            TooManyPeersError: more than are kept.

        """
        self._require_allocation()
        operation = self._new_operation()
        self._permissions.permit(operation, peers, now)
        return operation

    def forget(self, peer: Address) -> None:
        """Refresh the permission of a peer's IP address no more."""
        self._permissions.forget(peer)

    def bind_channel(self, peer: Address, now: float) -> int:
        """Bind a channel to a peer, and keep it (RFC 8656 §12).

        Raises:
            TooManyPeersError: there is no channel number left.

        """
        self._require_allocation()
        operation = self._new_operation()
        self._channels.bind(operation, peer, now)
        return operation

    def connect(self, peer: Address, now: float) -> int:
        """Have the server connect to a peer; `Done` has the CONNECTION-ID (RFC 6062 §4.3)."""
        self._require_allocation()
        operation = self._new_operation()
        self._start(
            Method.CONNECT,
            lambda transaction_id: [peer_attribute(peer, transaction_id)],
            _ConnectPurpose(operation),
            now,
        )
        return operation

    # Data

    def is_permitted(self, peer: Address) -> bool:
        """Whether `send` may be called for that peer. Per packet."""
        return self._permissions.is_installed(peer.packed)

    def send(self, data: bytes, peer: Address, now: float, *, dont_fragment: bool = False) -> bytes:
        """Wrap data for a peer; the caller sends what is returned. Per packet.

        ChannelData where a channel stands, else a Send indication (RFC 8656 §11.1, §12.5).

        Args:
            data: at most 65,507 bytes (IPv4's limit) to be of use.
            peer: with a permission.
            now: monotonic seconds.
            dont_fragment: have DF set, which only Send indications can ask for (§14).

        Raises:
            EncodeError: the data do not fit a message.
            TurnClientError: there is no allocation, or no permission.

        """
        channel = None if dont_fragment else self._channels.number_to(peer)
        if channel is not None:
            return ChannelData(channel, data).encode(stream=self._reliable)
        self._require_allocation()
        if not self._permissions.is_installed(peer.packed):
            raise TurnClientError(f"no permission for {peer.host}")
        if self._automatic_channels and not self._channels.known(peer) and self._channels.has_room:
            self._channels.bind(None, peer, now)
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        attributes = [peer_attribute(peer, transaction_id), a.DATA.of(data)]
        if dont_fragment:
            attributes.append(a.DONT_FRAGMENT.of(True))
        return Message.build(
            Method.SEND, MessageClass.INDICATION, transaction_id, attributes
        ).encode()

    def receive(self, data: bytes, now: float) -> None:
        """Take one datagram, or one frame of a stream, from the server. Per packet."""
        try:
            if len(data) >= CHANNEL_DATA_HEADER_SIZE and data[0] & 0xC0 == 0x40:
                frame = ChannelData.decode(data)
                peer = self._channels.peer_of(frame.channel)
                if peer is None:
                    self.dropped += 1
                else:
                    self._outputs.append(DataReceived(frame.data, peer))
                return
            self._receive_message(Message.decode(data), now)
        except DecodeError:
            self.dropped += 1

    # Time and outputs

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`, monotonic seconds."""
        return self._deadlines.next()

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        while (key := self._deadlines.pop_due(now)) is not None:
            match key:
                case ("request", bytes(transaction_id)):
                    outcome = self._exchanges.on_deadline(transaction_id, now)
                    if outcome is not None:
                        self._settle(outcome, now)
                case ("permission", bytes(packed)):
                    self._permissions.on_deadline(packed, now)
                case ("channel", int(number)):
                    self._channels.on_deadline(number, now)
                case ("refresh",):
                    self._refresh(None, self._options.lifetime, now)

    def next_output(self) -> Output | None:
        """Return what is to be done or told next; None when there is nothing."""
        return self._outputs.popleft() if self._outputs else None

    def link_failed(self, error: LinkError, now: float) -> None:
        """End everything: the link broke."""
        for outcome in self._exchanges.fail_all(error, now):
            self._settle(outcome, now)
        self._lose(error)

    # Inside

    def _new_operation(self) -> int:
        self._operations += 1
        return self._operations

    def _require_allocation(self) -> None:
        if self.state is not ClientState.ALLOCATED:
            raise RelayClosedError("there is no allocation")

    def _start(
        self,
        method: Method,
        attributes: Callable[[bytes], Sequence[RawAttribute]],
        purpose: object,
        now: float,
    ) -> None:
        self._exchanges.start(Request(method, attributes, purpose), now)

    def _refresh(self, operation: int | None, lifetime: int | None, now: float) -> int:
        self._require_allocation()
        self._send_refresh(_RefreshPurpose(operation), lifetime, now)
        return operation or 0

    def _send_refresh(self, purpose: _RefreshPurpose, lifetime: int | None, now: float) -> None:
        attributes: list[RawAttribute] = []
        if lifetime is not None:
            attributes.append(a.LIFETIME.of(lifetime))
        if len(allocation_families(self.allocation)) == 1 and self._options.family is not None:
            # RFC 8656 §8.1: the family of the relayed address, where one was asked for.
            attributes.append(a.REQUESTED_ADDRESS_FAMILY.of(self._options.family))
        if purpose.moves and self._ticket is not None:
            attributes.append(a.MOBILITY_TICKET.of(self._ticket))
        self._start(Method.REFRESH, lambda _: attributes, purpose, now)

    def _receive_message(self, message: Message, now: float) -> None:
        if message.message_class is MessageClass.INDICATION:
            self._receive_indication(message)
        elif message.message_class is not MessageClass.REQUEST:
            outcome = self._exchanges.receive(message, now)
            if outcome is not None:
                self._settle(outcome, now)

    def _receive_indication(self, message: Message) -> None:
        peer = message.get(a.XOR_PEER_ADDRESS)
        if peer is None:
            self.dropped += 1
        elif message.method == Method.DATA:
            self._receive_data(message, peer)
        elif message.method == Method.CONNECTION_ATTEMPT:
            connection_id = message.get(a.CONNECTION_ID)
            if connection_id is None:
                self.dropped += 1
            else:
                self._outputs.append(ConnectionAttempted(connection_id, peer))

    def _receive_data(self, message: Message, peer: Address) -> None:
        # RFC 8656 §11.4: only from peers there is a permission for.
        if not self._permissions.is_expected(peer.packed):
            self.dropped += 1
            return
        data, icmp = message.get(a.DATA), message.get(a.ICMP)
        if data is not None:
            self._outputs.append(DataReceived(data, peer))
        elif icmp is not None:
            self._outputs.append(IcmpReceived(peer, icmp))
        else:
            self.dropped += 1

    def _settle(self, outcome: Outcome, now: float) -> None:
        """Take what became of a request."""
        error = _as_redirection(outcome.error)
        match outcome.request.purpose:
            case _AllocatePurpose(operation=operation):
                self._allocated(operation, outcome.response, error, now)
            case _RefreshPurpose() as purpose:
                self._refreshed(purpose, outcome.response, error, now)
            case PermissionPurpose() as permission:
                self._permissions.answered(permission, outcome.response, error, now)
            case ChannelPurpose() as channel:
                self._channels.answered(channel, outcome.response, error, now)
            case _ConnectPurpose(operation=operation):
                self._connected(operation, outcome.response, error)

    def _allocated(
        self,
        operation: int,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        if response is not None:
            try:
                self.allocation = read_allocation(response)
                self._ticket = response.get(a.MOBILITY_TICKET)
            except (DecodeError, MalformedResponseError) as problem:
                error = MalformedResponseError(f"Allocate's answer: {problem}")
        if error is not None or self.allocation is None:
            self.state = ClientState.CLOSED
            self._outputs.append(Failed(operation, error or RelayClosedError("closed")))
            return
        self.state = ClientState.ALLOCATED
        self._granted(self.allocation.lifetime, now)
        self._outputs.append(Done(operation, response, self.allocation))

    def _refreshed(
        self,
        purpose: _RefreshPurpose,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        if purpose.deletes:
            # RFC 8656 §8: 437 tells that there is nothing left to delete, which is as good.
            if isinstance(error, AllocationMismatchError):
                error = None
            self._report(purpose.operation, response, error)
            return
        if response is not None:
            error = self._prolonged(response, now)
        if error is not None:
            self._refresh_failed(purpose, error, now)
        self._report(purpose.operation, response, error)

    def _prolonged(self, response: Message, now: float) -> TurnClientError | None:
        try:
            lifetime = response.get(a.LIFETIME)
            self._ticket = response.get(a.MOBILITY_TICKET) or self._ticket
        except DecodeError as problem:
            return MalformedResponseError(f"Refresh's answer: {problem}")
        if lifetime is None:
            return MalformedResponseError("Refresh's answer has no LIFETIME")
        if self.allocation is not None:
            self.allocation = attrs.evolve(self.allocation, lifetime=float(lifetime))
        self._granted(float(lifetime), now)
        return None

    def _refresh_failed(self, purpose: _RefreshPurpose, error: TurnClientError, now: float) -> None:
        if isinstance(error, AllocationMismatchError) and not purpose.moves:
            self._lose(error)
        elif purpose.operation is None:
            # The allocation stands until its lifetime ends: try again, unless nobody is there.
            retry_at = now + max((self._expires_at - now) / 2, _SHORTEST_RETRY)
            gone = isinstance(error, (TransactionTimeoutError, LinkError))
            if gone or retry_at >= self._expires_at:
                self._lose(error)
            else:
                self._deadlines.set(("refresh",), retry_at)

    def _granted(self, lifetime: float, now: float) -> None:
        self._expires_at = now + lifetime
        self._deadlines.set(("refresh",), now + lifetime - min(REFRESH_MARGIN, lifetime / 2))

    def _connected(
        self, operation: int, response: Message | None, error: TurnClientError | None
    ) -> None:
        connection_id = None
        if response is not None:
            try:
                connection_id = response.get(a.CONNECTION_ID)
            except DecodeError as problem:
                error = MalformedResponseError(f"Connect's answer: {problem}")
            if connection_id is None and error is None:
                error = MalformedResponseError("Connect's answer has no CONNECTION-ID")
        if error is None:
            self._outputs.append(Done(operation, response, connection_id))
        else:
            self._outputs.append(Failed(operation, error))

    def _report(
        self, operation: int | None, response: Message | None, error: TurnClientError | None
    ) -> None:
        if operation is None:
            return
        if error is None:
            self._outputs.append(Done(operation, response))
        else:
            self._outputs.append(Failed(operation, error))

    def _lose(self, error: TurnClientError) -> None:
        if self.state is ClientState.ALLOCATED:
            self._outputs.append(AllocationLost(error))
        self.state = ClientState.CLOSED
        self._deadlines.clear()


def allocation_families(allocation: Allocation | None) -> set[int]:
    """Return the families of an allocation's relayed addresses."""
    return {each.family for each in allocation.relayed_addresses} if allocation else set()


def read_allocation(response: Message) -> Allocation:
    """Read an Allocate success response (RFC 8656 §7.3).

    Raises:
        MalformedResponseError: an attribute that must be there is not.
        DecodeError: one is malformed.

    """
    relayed = response.get_all(a.XOR_RELAYED_ADDRESS)
    mapped = response.get(a.XOR_MAPPED_ADDRESS)
    lifetime = response.get(a.LIFETIME)
    if not relayed or mapped is None or lifetime is None:
        raise MalformedResponseError("XOR-RELAYED-ADDRESS, XOR-MAPPED-ADDRESS or LIFETIME missing")
    return Allocation(
        relayed_addresses=tuple(relayed),
        mapped_address=mapped,
        lifetime=float(lifetime),
        reservation_token=response.get(a.RESERVATION_TOKEN),
        address_error=response.get(a.ADDRESS_ERROR_CODE),
        mobile=response.has(a.MOBILITY_TICKET),
    )


def _as_redirection(error: TurnClientError | None) -> TurnClientError | None:
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
