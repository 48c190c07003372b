"""RFC 8489 §3; NAT behaviour discovery: RFC 5780 §6.1; RFC 3489 clients."""

import pytest

from stun import Address, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.values import ChangeRequest
from tests.turnd.core.kit import CLIENT, SERVER, Client, World
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import RequestAnswered, RequestDropped, Transmit
from turnd.core.settings import NatDiscovery

ALTERNATE = Address.parse("192.0.2.16", 3479)
DISCOVERY = NatDiscovery(SERVER, ALTERNATE)
TID = bytes(range(12))


def binding(*attributes: RawAttribute, transaction_id: bytes = TID) -> bytes:
    return Message.build(Method.BINDING, MessageClass.REQUEST, transaction_id, attributes).encode()


def ask(
    world: World,
    *attributes: RawAttribute,
    server: Address = SERVER,
    transport: Transport = Transport.UDP,
) -> tuple[Message, Transmit]:
    client = Client(world, FiveTuple(transport, CLIENT, server), "")
    reply = client.send(binding(*attributes))
    (transmit,) = reply.events(Transmit)
    return reply.message, transmit


def test_binding_tells_the_mapped_address_and_nothing_else() -> None:
    message, transmit = ask(World())
    assert message.get(a.XOR_MAPPED_ADDRESS) == CLIENT
    assert len(message.attributes) == 1
    assert (transmit.source, transmit.destination) == (None, None)


def test_classic_client_gets_a_mapped_address_it_can_read() -> None:
    transaction_id = bytes(range(50, 66))
    client = World().client()
    message = client.send(binding(transaction_id=transaction_id)).message
    assert message.transaction_id == transaction_id
    assert message.get(a.MAPPED_ADDRESS) == CLIENT
    assert not message.has(a.XOR_MAPPED_ADDRESS)


def test_classic_client_is_dropped_where_it_is_turned_off() -> None:
    world = World(classic=False)
    client = world.client()
    data = binding(transaction_id=bytes(16))
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert outputs == [RequestDropped(client.five_tuple, "malformed")]


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        (a.CHANGE_REQUEST.of(ChangeRequest(change_port=True)), 0x0003),
        (a.RESPONSE_PORT.of(99), 0x0027),
        (a.PADDING.of(bytes(8)), 0x0026),
    ],
)
def test_server_with_one_address_does_not_know_rfc_5780(attribute: RawAttribute, code: int) -> None:
    client = World().client()
    reply = client.send(binding(attribute))
    assert reply.code == 420
    assert reply.message.get(a.UNKNOWN_ATTRIBUTES) == (code,)


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (ChangeRequest(), None),
        (ChangeRequest(change_port=True), Address.parse("192.0.2.15", 3479)),
        (ChangeRequest(change_ip=True), Address.parse("192.0.2.16", 3478)),
        (ChangeRequest(change_ip=True, change_port=True), ALTERNATE),
    ],
)
def test_answer_comes_from_the_address_that_is_asked_for(
    change: ChangeRequest, source: Address | None
) -> None:
    message, transmit = ask(World(nat_discovery=DISCOVERY), a.CHANGE_REQUEST.of(change))
    assert transmit.source == source
    assert message.get(a.RESPONSE_ORIGIN) == (source or SERVER)
    assert message.get(a.OTHER_ADDRESS) == ALTERNATE


def test_other_address_is_the_one_that_differs_in_both() -> None:
    message, _ = ask(World(nat_discovery=DISCOVERY), server=Address.parse("192.0.2.16", 3478))
    assert message.get(a.OTHER_ADDRESS) == Address.parse("192.0.2.15", 3479)


def test_answer_goes_to_the_response_port() -> None:
    _, transmit = ask(World(nat_discovery=DISCOVERY), a.RESPONSE_PORT.of(99))
    assert transmit.destination == CLIENT.with_port(99)


def test_padding_is_answered_with_no_more_padding() -> None:
    message, _ = ask(World(nat_discovery=DISCOVERY), a.PADDING.of(b"x" * 100))
    assert message.get(a.PADDING) == bytes(100)


def test_padding_with_response_port_is_a_bad_request() -> None:
    client = World(nat_discovery=DISCOVERY).client()
    reply = client.send(binding(a.PADDING.of(bytes(8)), a.RESPONSE_PORT.of(99)))
    assert reply.code == 400


def test_addresses_behind_a_1_to_1_nat_have_their_outside_names() -> None:
    outside = {SERVER.packed: b"\x01\x02\x03\x04", ALTERNATE.packed: b"\x01\x02\x03\x05"}
    message, _ = ask(World(nat_discovery=NatDiscovery(SERVER, ALTERNATE, outside)))
    assert message.get(a.RESPONSE_ORIGIN) == Address.parse("1.2.3.4", 3478)
    assert message.get(a.OTHER_ADDRESS) == Address.parse("1.2.3.5", 3479)


def test_change_request_over_tcp_is_refused() -> None:
    world = World(nat_discovery=DISCOVERY)
    client = world.client(transport=Transport.TCP)
    change = a.CHANGE_REQUEST.of(ChangeRequest(change_port=True))
    assert client.send(binding(change)).code == 420


def test_binding_needs_credentials_where_so_configured() -> None:
    world = World(authenticate_binding=True)
    client = world.client()
    assert client.request(Method.BINDING, signed=False).code == 401
    reply = client.request(Method.BINDING)
    assert reply.code == 0
    assert reply.message.get(a.XOR_MAPPED_ADDRESS) == CLIENT
    assert reply.message.has(a.MESSAGE_INTEGRITY)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (bytes(30), "malformed"),
        (Message.build(0x0FF, MessageClass.REQUEST, TID).encode(), "unknown-method"),
        (Message.build(Method.SEND, MessageClass.REQUEST, TID).encode(), "unknown-method"),
        (
            Message.build(Method.BINDING, MessageClass.SUCCESS_RESPONSE, TID).encode(),
            "unexpected-class",
        ),
        (
            Message.build(Method.ALLOCATE, MessageClass.INDICATION, TID).encode(),
            "unexpected-class",
        ),
        (
            Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(16)).encode(),
            "unknown-method",
        ),
    ],
)
def test_what_is_no_request_of_ours_is_dropped_and_counted(data: bytes, reason: str) -> None:
    world = World()
    client = world.client()
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert outputs == [RequestDropped(client.five_tuple, reason)]


def test_binding_indication_keeps_a_mapping_alive_in_silence() -> None:
    world = World()
    data = Message.build(Method.BINDING, MessageClass.INDICATION, TID).encode()
    assert world.server.receive(data, world.client().five_tuple, world.now) == []


def test_answer_of_a_discovery_server_has_both_mapped_addresses() -> None:
    # RFC 5780 §6.1: a NAT that rewrites addresses in payloads is found by comparing them.
    message, _ = ask(World(nat_discovery=DISCOVERY))
    assert message.get(a.MAPPED_ADDRESS) == CLIENT
    assert message.get(a.XOR_MAPPED_ADDRESS) == CLIENT


def test_listener_outside_the_discovery_pair_does_not_take_part() -> None:
    elsewhere = Address.parse("192.0.2.15", 9999)
    client = Client(World(nat_discovery=DISCOVERY), FiveTuple(Transport.UDP, CLIENT, elsewhere), "")
    message = client.send(binding()).message
    assert not message.has(a.OTHER_ADDRESS)
    assert client.send(binding(a.CHANGE_REQUEST.of(ChangeRequest(change_ip=True)))).code == 420


def test_padding_is_never_more_than_makes_a_fragment() -> None:
    # As large as an IPv6 datagram can be: the answer's other attributes need their room.
    world = World(nat_discovery=DISCOVERY)
    client = Client(world, FiveTuple(Transport.UDP, Address.parse("2001:db8::7", 1), SERVER), "")
    message = client.send(binding(a.PADDING.of(bytes(65_500)))).message
    padding = message.get(a.PADDING)
    assert padding is not None
    assert len(padding) == 1500


def test_authenticated_answer_takes_the_way_that_is_asked_for_too() -> None:
    world = World(nat_discovery=DISCOVERY, authenticate_binding=True)
    reply = world.client().request(
        Method.BINDING, a.CHANGE_REQUEST.of(ChangeRequest(change_ip=True, change_port=True))
    )
    (transmit,) = reply.events(Transmit)
    assert transmit.source == ALTERNATE
    assert reply.message.get(a.RESPONSE_ORIGIN) == ALTERNATE


def test_unknown_attribute_of_a_binding_is_named() -> None:
    reply = World().client().send(binding((0x7FFE, b""), (0x7FFE, b"again"), (0x8FFE, b"")))
    assert reply.code == 420
    assert reply.message.get(a.UNKNOWN_ATTRIBUTES) == (0x7FFE,)


def test_malformed_change_request_is_a_bad_request() -> None:
    world = World(nat_discovery=DISCOVERY)
    assert world.client().send(binding((a.CHANGE_REQUEST.code, b"\0"))).code == 400


def test_answer_to_a_stranger_is_little_larger_than_a_request() -> None:
    # An error that lists attributes must not become an amplifier.
    many = [(code, b"") for code in range(0x7000, 0x7100)]
    for attributes in ([], many):
        request = binding(*attributes)
        answer = World(software="x" * 100).client().send(request).message.raw
        assert len(answer) <= max(len(request), 80)


CLASSIC_ID = bytes(range(50, 66))


def test_classic_client_learns_where_the_answer_comes_from_and_could_come_from() -> None:
    # RFC 3489 §8.1.
    world = World(nat_discovery=DISCOVERY)
    change = a.CHANGE_REQUEST.of(ChangeRequest(change_ip=True, change_port=True))
    reply = world.client().send(binding(change, transaction_id=CLASSIC_ID))
    assert reply.message.get(a.MAPPED_ADDRESS) == CLIENT
    assert reply.message.get(a.SOURCE_ADDRESS) == ALTERNATE
    assert reply.message.get(a.CHANGED_ADDRESS) == ALTERNATE
    assert len(reply.message.attributes) == 3
    (transmit,) = reply.events(Transmit)
    assert transmit.source == ALTERNATE


@pytest.mark.parametrize(
    ("change", "code"), [(ChangeRequest(), 0), (ChangeRequest(change_port=True), 420)]
)
def test_classic_client_that_wants_nothing_changed_is_answered(
    change: ChangeRequest, code: int
) -> None:
    client = World().client()
    request = binding(a.CHANGE_REQUEST.of(change), transaction_id=CLASSIC_ID)
    assert client.send(request).code == code


@pytest.mark.parametrize("transaction_id", [TID, CLASSIC_ID], ids=["RFC 8489", "RFC 3489"])
def test_client_that_wants_nothing_changed_is_no_exception_but_for_its_age(
    transaction_id: bytes,
) -> None:
    request = binding(a.CHANGE_REQUEST.of(ChangeRequest()), transaction_id=transaction_id)
    expected = 0 if transaction_id == CLASSIC_ID else 420
    assert World().client().send(request).code == expected


def test_answers_are_told_to_the_log() -> None:
    client = World().client()
    (event,) = client.send(binding()).events(RequestAnswered)
    assert (event.method, event.error_code, event.username) == (Method.BINDING, 0, "")
    (event,) = client.send(binding((0x7FFE, b""))).events(RequestAnswered)
    assert event.error_code == 420
    assert "0x7ffe" in event.reason
    (event,) = client.allocated().events(RequestAnswered)
    assert (event.method, event.error_code, event.username) == (Method.ALLOCATE, 0, "alice")
