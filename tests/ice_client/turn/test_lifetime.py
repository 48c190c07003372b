"""How an allocation is kept and ends: RFC 8656 §8, RFC 8016 §3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ice_client.turn import (
    AllocateOptions,
    AllocationMismatchError,
    LinkError,
    MobilityForbiddenError,
    RelayClosedError,
    ResponseError,
    TransactionTimeoutError,
    TurnClientError,
)
from ice_client.turn.allocation import ClientState
from ice_client.turn.outputs import AllocationLost, Done, Failed
from stun import Method
from stun import attributes as a
from tests.ice_client.turn.wire import PEER, Wire, allocated, granted, make_wire


def lost(wire: Wire) -> TurnClientError:
    losses = [event for event in wire.take_events() if isinstance(event, AllocationLost)]
    (event,) = losses
    assert wire.client.state is ClientState.CLOSED
    assert wire.client.next_deadline() is None
    return event.error


@pytest.mark.parametrize(("lifetime", "after"), [(600, 540), (3600, 3540), (60, 30), (10, 5)])
def test_the_allocation_is_refreshed_before_it_ends(lifetime: int, after: int) -> None:
    wire = allocated(lifetime=lifetime)
    wire.advance(after - 0.1)
    assert wire.requests() == []
    wire.advance(0.1)
    request = wire.request()
    assert request.method == Method.REFRESH
    assert not request.has(a.LIFETIME)  # the server's choice, as in Allocate
    wire.succeed(request, [a.LIFETIME.of(lifetime)])
    wire.advance(after - 0.1)
    assert wire.requests() == []
    wire.advance(0.1)
    assert wire.request().method == Method.REFRESH


def test_a_refresh_asks_for_the_lifetime_that_allocate_asked_for() -> None:
    wire = allocated(options=AllocateOptions(lifetime=900), lifetime=900)
    wire.advance(840)
    assert wire.request().get(a.LIFETIME) == 900


def test_a_refresh_by_hand_asks_for_what_it_is_told() -> None:
    wire = allocated()
    operation = wire.client.refresh(wire.now, 1800)
    request = wire.request()
    assert request.get(a.LIFETIME) == 1800
    wire.succeed(request, [a.LIFETIME.of(1200)])
    (done,) = wire.take_events()
    assert isinstance(done, Done)
    assert done.operation == operation
    assert wire.client.allocation is not None
    assert wire.client.allocation.lifetime == 1200
    wire.advance(1139)
    assert wire.requests() == []
    wire.advance(1)
    assert wire.request().method == Method.REFRESH


def test_closing_sends_a_refresh_with_a_lifetime_of_0_and_nothing_after() -> None:
    wire = allocated()
    wire.client.permit([PEER], wire.now)
    wire.succeed(wire.request())
    wire.take_events()
    operation = wire.client.close(wire.now)
    request = wire.request()
    assert (request.method, request.get(a.LIFETIME)) == (Method.REFRESH, 0)
    wire.succeed(request, [a.LIFETIME.of(0)])
    (done,) = wire.take_events()
    assert isinstance(done, Done)
    assert done.operation == operation
    wire.advance(5000)
    assert wire.requests() == []
    with pytest.raises(RelayClosedError):
        wire.client.refresh(wire.now)


@pytest.mark.parametrize("asked", [False, True])
def test_a_lifetime_of_0_ends_the_allocation_and_is_not_refreshed(asked: bool) -> None:
    wire = allocated()
    if asked:
        wire.client.refresh(wire.now)
    else:
        wire.advance(540)
    wire.succeed(wire.request(), [a.LIFETIME.of(0)])
    events = wire.take_events()
    assert [type(event) for event in events] == [AllocationLost, *([Failed] if asked else [])]
    assert wire.client.state is ClientState.CLOSED
    assert wire.client.next_deadline() is None


def test_closing_what_the_server_has_forgotten_is_as_good() -> None:
    wire = allocated()
    wire.client.close(wire.now)
    wire.refuse(wire.request(), 437)
    (event,) = [each for each in wire.take_events() if isinstance(each, (Done, Failed))]
    assert isinstance(event, Done)


def test_a_refused_refresh_is_tried_again_until_the_lifetime_ends() -> None:
    wire = allocated(lifetime=600)
    refused = 0
    wire.advance(540)
    while wire.client.state is ClientState.ALLOCATED:
        for request in wire.requests():
            wire.refuse(request, 508)
            refused += 1
        wire.advance(1)
        assert refused < 20
    error = lost(wire)
    assert isinstance(error, ResponseError)
    assert error.code == 508
    assert refused >= 3


def test_a_refresh_that_nobody_answers_ends_it() -> None:
    wire = allocated()
    wire.advance(540 + 40)
    assert isinstance(lost(wire), TransactionTimeoutError)


@pytest.mark.parametrize("what", ["refresh", "permit", "bind_channel", "connect"])
def test_437_to_any_request_tells_that_the_allocation_is_gone(what: str) -> None:
    wire = allocated()
    starts: dict[str, Callable[[], int]] = {
        "refresh": lambda: wire.client.refresh(wire.now),
        "permit": lambda: wire.client.permit([PEER], wire.now),
        "bind_channel": lambda: wire.client.bind_channel(PEER, wire.now),
        "connect": lambda: wire.client.connect(PEER, wire.now),
    }
    operation = starts[what]()
    wire.refuse(wire.request(), 437)
    events = wire.take_events()
    failed = [each for each in events if isinstance(each, Failed)]
    assert [each.operation for each in failed] == [operation]
    assert isinstance(failed[0].error, AllocationMismatchError)
    assert any(isinstance(each, AllocationLost) for each in events)
    assert wire.client.state is ClientState.CLOSED


def test_a_broken_link_ends_every_operation() -> None:
    wire = allocated()
    operations = {
        wire.client.refresh(wire.now),
        wire.client.permit([PEER], wire.now),
        wire.client.connect(PEER, wire.now),
    }
    wire.pump()
    error = LinkError("gone")
    wire.client.fail(error, wire.now)
    events = wire.take_events()
    assert {e.operation for e in events if isinstance(e, Failed) and e.error is error} == operations
    assert AllocationLost(error) in events
    wire.client.fail(error, wire.now)
    assert wire.take_events() == []


def test_an_allocation_moves_with_its_ticket_and_gets_another() -> None:
    options = AllocateOptions(mobility=True)
    wire = allocated(options=options, more=[a.MOBILITY_TICKET.of(b"first")])
    wire.client.move(wire.now)
    request = wire.request()
    assert (request.method, request.get(a.MOBILITY_TICKET)) == (Method.REFRESH, b"first")
    wire.succeed(request, [a.LIFETIME.of(600), a.MOBILITY_TICKET.of(b"second")])
    assert isinstance(wire.take_events()[0], Done)
    wire.client.move(wire.now)
    assert wire.request().get(a.MOBILITY_TICKET) == b"second"


@pytest.mark.parametrize("code", [405, 437])
def test_a_move_that_is_refused_leaves_the_allocation_where_it_was(code: int) -> None:
    options = AllocateOptions(mobility=True)
    wire = allocated(options=options, more=[a.MOBILITY_TICKET.of(b"first")])
    wire.client.move(wire.now)
    wire.refuse(wire.request(), code)
    (event,) = wire.take_events()
    assert isinstance(event, Failed)
    assert isinstance(event.error, (MobilityForbiddenError, AllocationMismatchError))
    assert wire.client.state is ClientState.ALLOCATED
    wire.advance(540)
    assert wire.request().method == Method.REFRESH


def test_without_a_ticket_nothing_moves() -> None:
    wire = allocated()
    with pytest.raises(TurnClientError, match="ticket"):
        wire.client.move(wire.now)
    with pytest.raises(ValueError, match="close"):
        wire.client.refresh(wire.now, 0)


def test_a_quiet_client_sends_binding_indications_for_the_nats_on_the_way() -> None:
    wire = allocated()
    start = wire.now
    wire.advance(80)
    assert wire.keepalives == [start + 25, start + 50, start + 75]


def test_data_take_the_place_of_keepalives() -> None:
    wire = allocated(automatic_channels=False)
    wire.client.permit([PEER], wire.now)
    wire.succeed(wire.request())
    for _ in range(10):
        wire.advance(20)
        wire.client.send(b"x", PEER, wire.now)
    assert wire.keepalives == []


def test_a_stream_needs_no_keepalives() -> None:
    wire = allocated(reliable=True)
    wire.advance(200)
    assert wire.keepalives == []


def test_an_allocate_that_is_abandoned_is_followed_by_its_deletion() -> None:
    wire = make_wire()
    operation = wire.client.allocate(wire.now)
    wire.challenge(wire.request())
    request = wire.request()
    wire.client.abandon(wire.now)
    refresh = wire.request()
    assert (refresh.method, refresh.get(a.LIFETIME)) == (Method.REFRESH, 0)
    wire.succeed(request, granted(request))
    (failed,) = wire.take_events()
    assert isinstance(failed, Failed)
    assert failed.operation == operation
    wire.succeed(refresh, [a.LIFETIME.of(0)])
    assert wire.client.state is ClientState.CLOSED
    wire.advance(1000)
    assert wire.requests() == []
