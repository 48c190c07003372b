"""Connect and ConnectionBind, and what becomes of peer connections (RFC 6062 §5)."""

from __future__ import annotations

from stun import Address, ErrorCode, Message, MessageClass, Method
from stun import attributes as a
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.outputs import Output, PeerConnection, PeerDenied, Transmit
from turnd.core.peer_connections import (
    BIND_TIMEOUT,
    PeerConnectionRecord,
    PeerConnectionState,
)
from turnd.core.permission import PeerDeniedError, check_peer
from turnd.core.request import RejectionError, Request
from turnd.core.state import State


def handle_connect(state: State, request: Request) -> None:
    """Start what a Connect request asks for; the answer waits for the peer."""
    allocation = state.require_allocation(request.five_tuple)
    if not allocation.tcp:
        raise RejectionError(ErrorCode.BAD_REQUEST, "Connect on a UDP allocation")
    peer = request.require_peer()
    siblings = state.connections.of_allocation(allocation.number)
    if any(connection.peer == peer for connection in siblings):
        raise RejectionError(ErrorCode.CONNECTION_ALREADY_EXISTS, f"to {peer}")
    internal_only = check_peer(state, allocation, request, peer)
    own = state.tcp_relayed.get(peer)
    if internal_only and own is None:
        rule = "this server's own address, and no live relayed transport address"
        raise PeerDeniedError(PeerDenied(request.five_tuple, peer, rule))
    _check_room(state, siblings)
    connection = _add(state, allocation, peer, PeerConnectionState.CONNECTING, request)
    # Behind a NAT that does not hairpin, our own relays are reached by their local address.
    target = own.local if own else peer
    relayed = allocation.relayed[peer.family]
    state.tcp_relay.connect(allocation.number, connection.number, relayed, target)


def peer_connected(state: State, number: int, now: float) -> tuple[Request, Answer] | None:
    """Take note that a connection stands; return the Connect request and its answer."""
    connection = state.connections.get(number)
    if connection is None or connection.request is None:
        state.tcp_relay.close_connection(number)
        return None
    connection.state = PeerConnectionState.PENDING
    request, connection.request = connection.request, None
    state.deadlines.set(("connection", number), now + BIND_TIMEOUT)
    event = PeerConnection(connection.allocation, number, connection.peer, "connected")
    return request, Answer([a.CONNECTION_ID.of(number)], [event])


def peer_unreachable(state: State, number: int) -> tuple[Request, RejectionError] | None:
    """Take note that a connection failed; return the Connect request and its rejection."""
    connection = state.connections.remove(number)
    if connection is None or connection.request is None:
        return None
    rejection = RejectionError(
        ErrorCode.CONNECTION_TIMEOUT_OR_FAILURE, f"no connection to {connection.peer}"
    )
    return connection.request, rejection


def peer_arrived(
    state: State, number: int, peer: Address, now: float
) -> tuple[int | None, list[Output]]:
    """Take a connection that a peer opened to the relayed transport address (RFC 6062 §5.3).

    Returns:
        its CONNECTION-ID, or None if it is to be closed at once; and the indication.

    """
    allocation = state.allocations.get(number)
    if allocation is None:
        return None, []
    own = state.tcp_relayed.get(peer)
    peer = own.public if own else peer
    # RFC 6062 §5.3: without a permission, close immediately.
    if allocation.permissions.get(peer.packed, now) <= now:
        return None, []
    if own is None and state.settings.policy.check(peer.packed).internal_only:
        return None, []  # this host's own address, and nobody's relay: not to be reached
    try:
        _check_room(state, state.connections.of_allocation(number))
    except RejectionError:
        return None, []
    connection = _add(state, allocation, peer, PeerConnectionState.PENDING, None)
    state.deadlines.set(("connection", connection.number), now + BIND_TIMEOUT)
    transaction_id = state.random_bytes(12)
    indication = Message.build(
        Method.CONNECTION_ATTEMPT,
        MessageClass.INDICATION,
        transaction_id,
        [
            a.CONNECTION_ID.of(connection.number),
            a.XOR_PEER_ADDRESS.of(peer, transaction_id),
        ],
    )
    return connection.number, [
        Transmit(indication.encode(), allocation.five_tuple),
        PeerConnection(number, connection.number, peer, "arrived"),
    ]


def handle_connection_bind(state: State, request: Request) -> Answer:
    """Answer a ConnectionBind request: join this client connection to the peer's."""
    if not request.five_tuple.transport.is_stream:
        raise RejectionError(ErrorCode.BAD_REQUEST, "ConnectionBind needs TCP or TLS")
    if state.allocation_of(request.five_tuple) is not None:
        raise RejectionError(ErrorCode.BAD_REQUEST, "ConnectionBind on the control connection")
    number = request.message.get(a.CONNECTION_ID)
    connection = state.connections.get(number) if number is not None else None
    if connection is None or connection.state is not PeerConnectionState.PENDING:
        raise RejectionError(ErrorCode.BAD_REQUEST, "CONNECTION-ID is of no pending connection")
    allocation = state.allocations.get(connection.allocation)
    owner = request.credential.owner if request.credential else ""
    if allocation is None or (allocation.realm, allocation.credential.owner) != (
        request.realm,
        owner,
    ):
        raise RejectionError(ErrorCode.BAD_REQUEST, "CONNECTION-ID is another user's")
    connection.state = PeerConnectionState.BOUND
    state.deadlines.discard(("connection", connection.number))
    state.tcp_relay.bind(connection.number, request.five_tuple)
    event = PeerConnection(allocation.number, connection.number, connection.peer, "bound")
    return Answer((), [event])


def connection_closed(state: State, number: int) -> None:
    """Take note that a peer connection is gone, from whichever side."""
    state.connections.remove(number)
    state.deadlines.discard(("connection", number))


def connection_due(state: State, number: int) -> list[Output]:
    """Close a connection that nobody bound in time."""
    connection = state.connections.remove(number)
    if connection is None:
        return []
    state.tcp_relay.close_connection(number)
    return [PeerConnection(connection.allocation, number, connection.peer, "timed-out")]


def _check_room(state: State, siblings: list[PeerConnectionRecord]) -> None:
    limit = state.settings.limits.connections_per_allocation
    if len(siblings) >= limit:
        raise RejectionError(
            ErrorCode.INSUFFICIENT_CAPACITY, f"quota.tcp_connections_per_allocation is {limit}"
        )


def _add(
    state: State,
    allocation: Allocation,
    peer: Address,
    connection_state: PeerConnectionState,
    request: Request | None,
) -> PeerConnectionRecord:
    number = int.from_bytes(state.random_bytes(4), "big")
    while state.connections.get(number) is not None:
        number = int.from_bytes(state.random_bytes(4), "big")
    connection = PeerConnectionRecord(number, allocation.number, peer, connection_state, request)
    state.connections.add(connection)
    return connection
