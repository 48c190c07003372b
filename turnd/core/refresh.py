"""Refresh (RFC 8656 §8.2) and moving an allocation by mobility ticket (RFC 8016 §3.2)."""

from __future__ import annotations

import attrs

from stun import ErrorCode, Family
from stun import attributes as a
from turnd.core.allocate import MOBILITY_TICKET_SIZE, granted_lifetime, new_ticket
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.outputs import AllocationMoved, AllocationRefreshed, Output
from turnd.core.request import RejectionError, Request
from turnd.core.special_purpose import is_tunnelled
from turnd.core.state import State


@attrs.frozen(slots=True)
class _Wish:
    """What a Refresh request asks for: seconds, and of which family (None for all)."""

    asked: int | None
    family: Family | None


def handle_refresh(state: State, request: Request) -> Answer:
    """Answer a Refresh request."""
    ticket = request.message.get(a.MOBILITY_TICKET)
    if ticket is not None:
        return _come_back(state, request, ticket)
    allocation = state.require_allocation(request.five_tuple)
    return _refresh(state, request, allocation, _read(request, allocation), [])


def _read(request: Request, allocation: Allocation) -> _Wish:
    family = request.requested_family(ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH)
    if family is not None and family not in allocation.relayed:
        raise RejectionError(
            ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH, f"the allocation has no {family.name} relay"
        )
    return _Wish(request.message.get(a.LIFETIME), family)


def _refresh(
    state: State, request: Request, allocation: Allocation, wish: _Wish, events: list[Output]
) -> Answer:
    state.purge(allocation, request.now)
    if wish.asked == 0:
        return _delete(state, request, allocation, wish.family, events)
    credential = request.credential or allocation.credential
    if request.message.has(a.ACCESS_TOKEN):
        # RFC 7635 §4.1.1: a newer token takes the older one's place, mac_key and all.
        allocation.credential = credential
    lifetime = granted_lifetime(wish.asked, state.settings.lifetimes, credential)
    for each in [wish.family] if wish.family else list(allocation.relayed):
        state.set_lifetime(allocation, each, request.now + lifetime)
    events.append(AllocationRefreshed(allocation.number, allocation.five_tuple, lifetime))
    return Answer([a.LIFETIME.of(lifetime)], events)


def _delete(
    state: State,
    request: Request,
    allocation: Allocation,
    family: Family | None,
    events: list[Output],
) -> Answer:
    if family is not None and len(allocation.relayed) > 1:
        state.close_family(allocation, family)
    else:
        events += state.close(allocation, "refresh-zero", request.now)
    return Answer([a.LIFETIME.of(0)], events, remember=True)


def _come_back(state: State, request: Request, ticket: bytes) -> Answer:
    """Refresh by ticket, from the client's new 5-tuple."""
    if not state.settings.mobility:
        raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "mobility.enabled is off")
    allocation = state.allocations.of_ticket(ticket)
    if allocation is None:
        # RFC 8016 §3.2.2: no allocation any more is 437, no ticket of ours at all is 400.
        ours = len(ticket) == MOBILITY_TICKET_SIZE
        code = ErrorCode.ALLOCATION_MISMATCH if ours else ErrorCode.BAD_REQUEST
        raise RejectionError(code, "no allocation has that MOBILITY-TICKET")
    # Whatever may be wrong is found before anything changes: a client that gets an error
    # is still where it was, and has the ticket that is still good.
    wish = _read(request, allocation)
    events: list[Output] = []
    if ticket == allocation.ticket:
        events.append(_move(state, request, allocation))
    elif request.five_tuple != allocation.five_tuple:
        # RFC 8016 §3.2.2: a ticket moves once. From where it moved to it may come again:
        # the answer with the next one may have been lost.
        raise RejectionError(ErrorCode.BAD_REQUEST, "that MOBILITY-TICKET was used")
    answer = _refresh(state, request, allocation, wish, events)
    if state.allocations.get(allocation.number) is None:
        return answer
    attributes = [*answer.attributes, a.MOBILITY_TICKET.of(allocation.ticket)]
    return Answer(attributes, answer.events, remember=True)


def _move(state: State, request: Request, allocation: Allocation) -> AllocationMoved:
    old, new = allocation.five_tuple, request.five_tuple
    if new == old and not allocation.client_gone:
        # RFC 8016 §3.2.2: a ticket is for moving, and this client has not moved.
        raise RejectionError(ErrorCode.BAD_REQUEST, "MOBILITY-TICKET from the same 5-tuple")
    if new != old and state.allocation_of(new) is not None:
        raise RejectionError(ErrorCode.ALLOCATION_MISMATCH, "the 5-tuple has an allocation")
    if is_tunnelled(new.client.packed) or state.is_own_relay(new):
        raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "not to that client address")
    state.allocations.move(allocation, new, new_ticket(state))
    state.tables.move_allocation(allocation.number, new)
    return AllocationMoved(allocation.number, new, old)
