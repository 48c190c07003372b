"""The TURN client without I/O (RFC 8656): one allocation, from Allocate to Refresh(0).

The shell hands in what arrives and the time, sends what `next_output` returns, and calls
`on_deadline` at `next_deadline`. A method that starts something returns an operation number,
which `Done` or `Failed` come back with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import attrs

from ice_client.turn.allocation import (
    AllocatePurpose,
    AllocationKeeper,
    ClientState,
    RefreshPurpose,
)
from ice_client.turn.authentication import Authenticator
from ice_client.turn.channels import ChannelPurpose, Channels
from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    AllocationMismatchError,
    MalformedResponseError,
    RelayClosedError,
    TurnClientError,
)
from ice_client.turn.exchanges import DEFAULT_TIMING, Exchanges, Outcome, Request
from ice_client.turn.keepalive import Keepalive
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
from ice_client.turn.permissions import PermissionPurpose, Permissions
from stun import Address, DecodeError, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.channel_data import CHANNEL_DATA_HEADER_SIZE, ChannelData
from stun.constants import TRANSACTION_ID_SIZE
from stun.transaction import Timing


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
        self.dropped = 0
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
        self._keeper = AllocationKeeper(
            options, self._start, self._deadlines, self._outputs, self._lose
        )
        self._keepalive = Keepalive(self._deadlines, self._outputs, random_bytes)
        self._operations = 0
        self._lost = False

    # Operations

    @property
    def state(self) -> ClientState:
        """Where the allocation is."""
        return self._keeper.state

    @property
    def allocation(self) -> Allocation | None:
        """What the server granted, once it has."""
        return self._keeper.allocation

    def allocate(self, now: float) -> int:
        """Ask for the allocation; `Done` has the `Allocation`.

        Fails with a `ResponseError` of the class of its code, `RedirectedError` for 300 among
        them.
        """
        operation = self._new_operation()
        self._keeper.allocate(operation, now)
        return operation

    def refresh(self, now: float, lifetime: int | None = None) -> int:
        """Refresh the allocation now.

        Args:
            now: monotonic seconds.
            lifetime: seconds to ask for, at least 1; None for what Allocate asked for.

        """
        if lifetime is not None and lifetime < 1:
            raise ValueError("to delete the allocation is what close() is for")
        operation = self._new_allocated_operation()
        self._keeper.refresh(operation, lifetime, now)
        return operation

    def close(self, now: float) -> int:
        """Delete the allocation (RFC 8656 §8: a Refresh with a lifetime of 0)."""
        operation = self._new_allocated_operation()
        self._keeper.delete(operation, now)
        return operation

    def abandon(self, now: float) -> None:
        """Delete what an Allocate that is under way may bring: its answer is not waited for.

        It fails, and a Refresh with a lifetime of 0 goes after it.
        """
        if self.state is ClientState.ALLOCATING:
            self._keeper.delete(None, now)

    def move(self, now: float) -> int:
        """Take the allocation along to another client address (RFC 8016 §3.2).

        To be called once what is queued from here on goes out by the new link.

        Raises:
            TurnClientError: the server gave no ticket.

        """
        operation = self._new_allocated_operation()
        self._keeper.move(operation, now)
        return operation

    def permit(self, peers: Iterable[Address], now: float) -> int:
        """Install permissions for the peers' IP addresses, and keep them (RFC 8656 §10).

        Fails with the first error, once all are answered; those that were not refused stand.

        Raises:
            TooManyPeersError: more than are kept.

        """
        operation = self._new_allocated_operation()
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
        operation = self._new_allocated_operation()
        self._channels.bind(operation, peer, now)
        return operation

    def connect(self, peer: Address, now: float) -> int:
        """Have the server connect to a peer; `Done` has the CONNECTION-ID (RFC 6062 §4.3)."""
        operation = self._new_allocated_operation()
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
        self._keepalive.sent(now)
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
                case _ if self.state is not ClientState.ALLOCATED:
                    pass  # what is being deleted needs no refresh
                case ("permission", bytes(packed)):
                    self._permissions.on_deadline(packed, now)
                case ("channel", int(number)):
                    self._channels.on_deadline(number, now)
                case ("keepalive",):
                    self._keepalive.on_deadline(now)
                case _:
                    self._keeper.refresh(None, None, now)

    def next_output(self) -> Output | None:
        """Return what is to be done or told next; None when there is nothing."""
        return self._outputs.popleft() if self._outputs else None

    def fail(self, error: TurnClientError, now: float) -> None:
        """End everything: the link broke, or nobody wants it any more."""
        self._lose(error, now)

    # Inside

    def _new_operation(self) -> int:
        self._operations += 1
        return self._operations

    def _new_allocated_operation(self) -> int:
        self._require_allocation()
        return self._new_operation()

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
        """Hand what became of a request to whom it concerns."""
        response, error = outcome.response, outcome.error
        match outcome.request.purpose:
            case AllocatePurpose() as allocate:
                self._keeper.allocated(allocate, response, error, now)
                if self.state is ClientState.ALLOCATED and not self._reliable:
                    self._keepalive.start(now)
                return
            case RefreshPurpose() as refresh:
                self._keeper.refreshed(refresh, response, error, now)
                if refresh.moves:
                    return  # 437 would be of the new 5-tuple; the old one may stand
            case PermissionPurpose() as permission:
                self._permissions.answered(permission, response, error, now)
            case ChannelPurpose() as channel:
                self._channels.answered(channel, response, error, now)
            case _ConnectPurpose(operation=operation):
                self._outputs.append(_connected(operation, response, error))
        if isinstance(error, AllocationMismatchError):
            # RFC 8656 §8.1, §10.3: the server knows of no allocation. It restarted, perhaps.
            self._lose(error, now)

    def _lose(self, error: TurnClientError, now: float) -> None:
        """End everything; who waits for an answer gets the error."""
        if self._lost:
            return
        self._lost = True
        if self.state is ClientState.ALLOCATED:
            self._outputs.append(AllocationLost(error))
        self._keeper.state = ClientState.CLOSED
        for outcome in self._exchanges.fail_all(error, now):
            self._settle(outcome, now)
        self._deadlines.clear()


def _connected(operation: int, response: Message | None, error: TurnClientError | None) -> Output:
    """Return what became of a Connect (RFC 6062 §4.3)."""
    try:
        number = response.get(a.CONNECTION_ID) if response is not None else None
    except DecodeError:
        number = None
    if response is not None and number is not None:
        return Done(operation, response, number)
    missing = MalformedResponseError("Connect's answer has no CONNECTION-ID")
    return Failed(operation, error or missing)
