"""Refresh (RFC 8656 §8.2) and moving an allocation by mobility ticket (RFC 8016 §3.2)."""

from __future__ import annotations

from stun import ErrorCode, Family
from stun import attributes as a
from turnd.core.allocate import granted_lifetime, new_ticket
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.outputs import AllocationMoved, AllocationRefreshed, Output
from turnd.core.request import RejectionError, Request
from turnd.core.state import State


def handle_refresh(state: State, request: Request) -> Answer:
    """Answer a Refresh request."""
    ticket = request.message.get(a.MOBILITY_TICKET)
    if ticket is None:
        return _refresh(state, request, state.require_allocation(request.five_tuple), [])
    return _move(state, request, ticket)


def _refresh(
    state: State, request: Request, allocation: Allocation, events: list[Output]
) -> Answer:
    state.purge(allocation, request.now)
    family = request.message.get(a.REQUESTED_ADDRESS_FAMILY)
    if family is not None and family not in allocation.relayed:
        raise RejectionError(
            ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH, f"the allocation has no {family.name} relay"
        )
    asked = request.message.get(a.LIFETIME)
    if asked == 0:
        return _delete(state, request, allocation, family)
    credential = request.credential or allocation.credential
    if request.message.has(a.ACCESS_TOKEN):
        # RFC 7635 §4.1.1: a newer token takes the older one's place, mac_key and all.
        allocation.credential = credential
    lifetime = granted_lifetime(asked, state.settings.lifetimes, credential)
    for each in [family] if family else list(allocation.relayed):
        state.set_lifetime(allocation, each, request.now + lifetime)
    events.append(AllocationRefreshed(allocation.number, allocation.five_tuple, lifetime))
    return Answer([a.LIFETIME.of(lifetime)], events)


def _delete(
    state: State, request: Request, allocation: Allocation, family: Family | None
) -> Answer:
    zero = a.LIFETIME.of(0)
    if family is not None and len(allocation.relayed) > 1:
        state.close_family(allocation, family)
        return Answer([zero], remember=True)
    return Answer([zero], state.close(allocation, "refresh-zero", request.now), remember=True)


def _move(state: State, request: Request, ticket: bytes) -> Answer:
    """Refresh by ticket: from the 5-tuple the allocation has, or from the client's new one."""
    if not state.settings.mobility:
        raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "mobility.enabled is off")
    allocation = state.allocations.of_ticket(ticket)
    if allocation is None:
        raise RejectionError(ErrorCode.BAD_REQUEST, "no allocation has that MOBILITY-TICKET")
    old, new = allocation.five_tuple, request.five_tuple
    if new != old and ticket == allocation.used_ticket:
        # RFC 8016 §3.2.2: a ticket moves once. From where it moved to it may come again:
        # the answer with the next one may have been lost.
        raise RejectionError(ErrorCode.BAD_REQUEST, "that MOBILITY-TICKET was used")
    events: list[Output] = []
    if new != old:
        if state.allocation_of(new) is not None:
            raise RejectionError(ErrorCode.ALLOCATION_MISMATCH, "the 5-tuple has an allocation")
        if allocation.tcp or state.is_own_relay(new.client):
            raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "not to that client address")
        state.allocations.move(allocation, new, new_ticket(state))
        state.tables.move_allocation(allocation.number, new)
        events.append(AllocationMoved(allocation.number, new, old))
    answer = _refresh(state, request, allocation, events)
    if state.allocations.get(allocation.number) is None:
        return answer
    attributes = [*answer.attributes, a.MOBILITY_TICKET.of(allocation.ticket)]
    return Answer(attributes, answer.events, remember=True)
