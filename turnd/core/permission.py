"""CreatePermission and ChannelBind (RFC 8656 §10.2, §12.2)."""

from __future__ import annotations

from stun import Address, ErrorCode
from stun import attributes as a
from stun.address import unmap
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.outputs import Output, PeerDenied, PermissionInstalled
from turnd.core.request import RejectionError, Request, family_of
from turnd.core.state import State

FIRST_CHANNEL = 0x4000
LAST_CHANNEL = 0x7FFF
"""RFC 8656 §12 ends at 0x4FFF, but clients of RFC 5766 use its whole range."""


class PeerDeniedError(RejectionError):
    """403 for a peer the policy refuses; carries the event for the log."""

    def __init__(self, event: PeerDenied) -> None:
        super().__init__(ErrorCode.FORBIDDEN, f"{event.peer.host}: {event.rule}")
        self.event = event


def handle_create_permission(state: State, request: Request) -> Answer:
    """Answer a CreatePermission request: all of its peers, or none."""
    allocation = state.require_allocation(request.five_tuple)
    state.purge(allocation, request.now)
    peers = request.message.get_all(a.XOR_PEER_ADDRESS)
    if not peers:
        raise RejectionError(ErrorCode.BAD_REQUEST, "XOR-PEER-ADDRESS is missing")
    wanted: dict[bytes, tuple[Address, bool]] = {}  # ports are of no account (RFC 8656 §9)
    for peer in peers:
        internal = check_peer(state, allocation, request, peer)
        wanted.setdefault(peer.packed, (peer, internal))
    _check_room(state, allocation, len(wanted.keys() - allocation.permissions.keys()))
    events: list[Output] = []
    for peer, internal in wanted.values():
        _permit(state, allocation, peer, request.now, internal_only=internal)
        events.append(PermissionInstalled(allocation.number, request.five_tuple, peer))
    return Answer((), events)


def handle_channel_bind(state: State, request: Request) -> Answer:
    """Answer a ChannelBind request."""
    allocation = state.require_allocation(request.five_tuple)
    state.purge(allocation, request.now)
    if allocation.tcp:
        raise RejectionError(ErrorCode.BAD_REQUEST, "channels carry datagrams, not TCP")
    number = request.message.get(a.CHANNEL_NUMBER)
    peer = request.require_peer()
    if number is None or not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise RejectionError(ErrorCode.BAD_REQUEST, "CHANNEL-NUMBER is missing or out of range")
    internal_only = check_peer(state, allocation, request, peer)
    bound = allocation.channels.get(number)
    if bound is not None and bound[0] != peer:
        raise RejectionError(ErrorCode.BAD_REQUEST, "the channel is bound to another peer")
    if allocation.channel_of.get(peer, number) != number:
        raise RejectionError(ErrorCode.BAD_REQUEST, "the peer is bound to another channel")
    limit = state.settings.limits.channels_per_allocation
    if bound is None and len(allocation.channels) >= limit:
        raise RejectionError(
            ErrorCode.INSUFFICIENT_CAPACITY, f"quota.channels_per_allocation is {limit}"
        )
    _check_room(state, allocation, int(peer.packed not in allocation.permissions))
    # The channel's row last: as soon as it stands, packets go by it.
    _permit(state, allocation, peer, request.now, internal_only=internal_only)
    deadline = request.now + state.settings.lifetimes.channel
    allocation.channels[number] = (peer, deadline)
    allocation.channel_of[peer] = number
    state.tables.set_channel(allocation.number, number, peer, deadline)
    event = PermissionInstalled(allocation.number, request.five_tuple, peer, number)
    return Answer((), [event])


def check_peer(state: State, allocation: Allocation, request: Request, peer: Address) -> bool:
    """Check family and policy of a peer.

    Returns:
        whether only live relayed transport addresses may be reached there.

    Raises:
        RejectionError: 400 for IPv4-mapped IPv6, 443 for the wrong family, 403 where the
            policy refuses.

    """
    if unmap(peer.packed) != peer.packed:
        # Neither is it what its family says, nor would it be known for one of our own.
        raise RejectionError(ErrorCode.BAD_REQUEST, "XOR-PEER-ADDRESS is IPv4-mapped")
    if family_of(peer.packed) not in allocation.relayed:
        raise RejectionError(
            ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH,
            f"the allocation has no {peer.family.name} relay",
        )
    verdict = state.settings.policy.check(peer.packed)
    if not verdict.allowed:
        raise PeerDeniedError(PeerDenied(request.five_tuple, peer, verdict.rule))
    if peer in state.settings.denied_endpoints:
        rule = "one of this server's own listeners or databases"
        raise PeerDeniedError(PeerDenied(request.five_tuple, peer, rule))
    return verdict.internal_only


def _check_room(state: State, allocation: Allocation, new: int) -> None:
    limit = state.settings.limits.permissions_per_allocation
    if new and len(allocation.permissions) + new > limit:
        raise RejectionError(
            ErrorCode.INSUFFICIENT_CAPACITY, f"quota.permissions_per_allocation is {limit}"
        )


def _permit(
    state: State, allocation: Allocation, peer: Address, now: float, *, internal_only: bool
) -> None:
    deadline = now + state.settings.lifetimes.permission
    allocation.permissions[peer.packed] = deadline
    if not allocation.tcp:
        state.tables.set_permission(
            allocation.number, peer.packed, deadline, internal_only=internal_only
        )
