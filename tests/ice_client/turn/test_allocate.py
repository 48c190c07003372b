"""Allocate, what it asks for and how it ends: RFC 8656 §7, RFC 8489 §6.2 and §10."""

from __future__ import annotations

import pytest

from ice_client.turn import (
    AllocateOptions,
    AllocationMismatchError,
    AuthenticationError,
    FamilyNotSupportedError,
    ForbiddenError,
    InsufficientCapacityError,
    MalformedResponseError,
    MobilityForbiddenError,
    QuotaReachedError,
    RedirectedError,
    ResponseError,
    TransactionTimeoutError,
    TransportNotSupportedError,
    WrongCredentialsError,
)
from ice_client.turn.allocation import ClientState
from ice_client.turn.outputs import Allocation, Done, Failed
from stun import Address, Family, RawAttribute
from stun import attributes as a
from stun.values import AddressError as AddressErrorCode
from tests.ice_client.turn.wire import (
    LIFETIME,
    MAPPED,
    RELAYED,
    Wire,
    allocated,
    granted,
    make_wire,
)

UDP = (0x0019, bytes.fromhex("11000000"))
TCP = (0x0019, bytes.fromhex("06000000"))


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        (AllocateOptions(), [UDP]),
        (AllocateOptions(tcp=True), [TCP]),
        (AllocateOptions(lifetime=1200), [UDP, (0x000D, bytes.fromhex("000004b0"))]),
        (AllocateOptions(family=Family.IPV6), [UDP, (0x0017, bytes.fromhex("02000000"))]),
        (AllocateOptions(both_families=True), [UDP, (0x8000, bytes.fromhex("02000000"))]),
        (AllocateOptions(even_port=True), [UDP, (0x0018, b"\x00")]),
        (AllocateOptions(reserve_next=True), [UDP, (0x0018, b"\x80")]),
        (AllocateOptions(reservation_token=b"8 bytes."), [UDP, (0x0022, b"8 bytes.")]),
        (AllocateOptions(dont_fragment=True), [UDP, (0x001A, b"")]),
        (AllocateOptions(mobility=True), [UDP, (0x8030, b"")]),
    ],
)
def test_options_are_the_attributes_of_the_rfc(
    options: AllocateOptions, attributes: list[RawAttribute]
) -> None:
    wire = make_wire(options=options)
    wire.client.allocate(wire.now)
    assert list(wire.request().attributes) == attributes


@pytest.mark.parametrize(
    "options",
    [
        {"reservation_token": b"8 bytes.", "even_port": True},
        {"reservation_token": b"8 bytes.", "family": Family.IPV6},
        {"reservation_token": b"8 bytes.", "both_families": True},
        {"both_families": True, "family": Family.IPV4},
        {"both_families": True, "reserve_next": True},
        {"tcp": True, "even_port": True},
        {"tcp": True, "dont_fragment": True},
        {"tcp": True, "mobility": True},
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match=r"exclude|has no"):
        AllocateOptions(**options)  # type: ignore[arg-type]


def end(wire: Wire) -> Done | Failed:
    (event,) = wire.take_events()
    assert isinstance(event, (Done, Failed))
    return event


def test_success_tells_all_that_was_granted() -> None:
    second = Address.parse("2001:db8::1", 50001)
    wire = make_wire(None)
    operation = wire.client.allocate(wire.now)
    request = wire.request()
    more = [
        a.XOR_RELAYED_ADDRESS.of(second, request.transaction_id),
        a.RESERVATION_TOKEN.of(b"reserved"),
        a.MOBILITY_TICKET.of(b"ticket"),
        a.ADDRESS_ERROR_CODE.of(AddressErrorCode(Family.IPV6, 440, "no")),
    ]
    wire.succeed(request, granted(request, *more), None)
    event = end(wire)
    assert isinstance(event, Done)
    assert event.operation == operation
    assert event.result == Allocation(
        relayed_addresses=(RELAYED, second),
        mapped_address=MAPPED,
        lifetime=LIFETIME,
        reservation_token=b"reserved",
        address_error=AddressErrorCode(Family.IPV6, 440, "no"),
        mobile=True,
    )
    assert wire.client.state is ClientState.ALLOCATED


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (403, ForbiddenError),
        (405, MobilityForbiddenError),
        (420, ResponseError),
        (437, AllocationMismatchError),
        (440, FamilyNotSupportedError),
        (441, WrongCredentialsError),
        (442, TransportNotSupportedError),
        (486, QuotaReachedError),
        (500, ResponseError),
        (508, InsufficientCapacityError),
    ],
)
def test_each_error_code_has_its_class(code: int, kind: type[ResponseError]) -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    wire.challenge(wire.request())
    wire.refuse(wire.request(), code)
    event = end(wire)
    assert isinstance(event, Failed)
    assert type(event.error) is kind
    assert isinstance(event.error, ResponseError)
    assert event.error.code == code
    assert wire.client.next_deadline() is None


@pytest.mark.parametrize("signed", [True, False])
def test_300_tells_where_to_go_signed_or_not(signed: bool) -> None:
    # RFC 8489 §10: "The error response message MAY be authenticated".
    wire = make_wire()
    wire.client.allocate(wire.now)
    wire.challenge(wire.request())
    request = wire.request()
    addresses = [Address.parse("192.0.2.9", 3479), Address.parse("2001:db8::9", 3479)]
    attributes = [a.ALTERNATE_SERVER.of(each) for each in addresses]
    attributes.append(a.ALTERNATE_DOMAIN.of("other.example.org"))
    if signed:
        wire.refuse(request, 300, attributes)
    else:
        wire.refuse(request, 300, attributes, None)
    event = end(wire)
    assert isinstance(event, Failed)
    assert isinstance(event.error, RedirectedError)
    assert event.error.addresses == tuple(addresses)
    assert event.error.domain == "other.example.org"


@pytest.mark.parametrize("missing", [a.XOR_RELAYED_ADDRESS, a.XOR_MAPPED_ADDRESS, a.LIFETIME])
def test_success_that_lacks_what_it_must_have_is_malformed(missing: object) -> None:
    wire = make_wire(None)
    wire.client.allocate(wire.now)
    request = wire.request()
    code = getattr(missing, "code", None)
    wire.succeed(request, [each for each in granted(request) if each[0] != code], None)
    event = end(wire)
    assert isinstance(event, Failed)
    assert isinstance(event.error, MalformedResponseError)


def transmission_times(wire: Wire) -> list[float]:
    start, times = wire.now, []
    wire.client.allocate(wire.now)
    wire.pump()
    while wire.sent or wire.client.next_deadline() is not None:
        times += [wire.now - start] * len(wire.requests())
        deadline = wire.client.next_deadline()
        if deadline is not None:
            wire.advance(deadline - wire.now)
    times.append(wire.now - start)
    return times


def test_over_udp_requests_are_sent_at_the_times_of_rfc_8489() -> None:
    # §6.2.1: "requests would be sent at times 0 ms, 500 ms, 1500 ms, 3500 ms, 7500 ms,
    # 15500 ms, and 31500 ms … fails after 39500 ms".
    wire = make_wire()
    assert transmission_times(wire) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 39.5]
    event = end(wire)
    assert isinstance(event, Failed)
    assert isinstance(event.error, TransactionTimeoutError)


def test_over_a_stream_requests_are_sent_once() -> None:
    assert transmission_times(make_wire(reliable=True)) == [0, 39.5]


def test_exchanges_are_told_to_the_observer_with_their_times() -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    start = wire.now
    wire.advance(0.25)
    wire.challenge(wire.request())
    wire.advance(0.75)  # one retransmission
    request = wire.requests()[-1]
    wire.refuse(request, 401, [a.REALM.of("example.org"), a.NONCE.of(b"x")], None)
    first, second = wire.exchanges
    assert (first.started_at, first.ended_at) == (start, start + 0.25)
    assert (first.transmissions, first.round_trip_time) == (1, 0.25)
    assert first.error is None
    assert (second.transmissions, second.round_trip_time) == (2, None)
    assert isinstance(second.error, AuthenticationError)


def test_a_client_allocates_once() -> None:
    wire = allocated()
    with pytest.raises(RuntimeError):
        wire.client.allocate(wire.now)
