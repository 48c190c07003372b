"""Permissions, channels, data: RFC 8656 §9 to §12; indications of RFC 6062."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ice_client.turn import ForbiddenError, TooManyPeersError, TurnClientError
from ice_client.turn.outputs import (
    ConnectionAttempted,
    DataReceived,
    Done,
    Failed,
    IcmpReceived,
    PermissionLost,
)
from ice_client.turn.permissions import MOST_PEERS_PER_REQUEST, MOST_PERMISSIONS
from stun import Address, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.channel_data import ChannelData
from stun.values import Icmp
from tests.ice_client.turn.wire import MD5_SIGNING, PEER, Wire, allocated

OTHER = Address.parse("203.0.113.6", 7000)


def hosts(request: Message) -> set[str]:
    return {each.host for each in request.get_all(a.XOR_PEER_ADDRESS)}


def permitted(*peers: Address, automatic_channels: bool = True, reliable: bool = False) -> Wire:
    wire = allocated(automatic_channels=automatic_channels, reliable=reliable)
    wire.client.permit(peers, wire.now)
    wire.succeed(wire.request())
    wire.take_events()
    return wire


def indication(method: Method, *attributes: RawAttribute, peer: Address = PEER) -> Message:
    transaction_id = b"indication.."
    return Message.build(
        method,
        MessageClass.INDICATION,
        transaction_id,
        [a.XOR_PEER_ADDRESS.of(peer, transaction_id), *attributes],
    )


def test_one_request_asks_for_several_permissions() -> None:
    wire = allocated()
    operation = wire.client.permit([PEER, OTHER, PEER.with_port(1)], wire.now)
    request = wire.request()
    assert request.method == Method.CREATE_PERMISSION
    assert hosts(request) == {PEER.host, OTHER.host}
    wire.succeed(request)
    (event,) = wire.take_events()
    assert isinstance(event, Done)
    assert event.operation == operation
    assert wire.client.is_permitted(PEER.with_port(4711))  # §9: ports do not matter


def test_what_is_permitted_is_not_asked_for_again() -> None:
    wire = permitted(PEER)
    wire.client.permit([PEER], wire.now)
    assert wire.requests() == []
    assert isinstance(wire.take_events()[0], Done)


def test_two_who_want_the_same_permission_wait_for_one_request() -> None:
    wire = allocated()
    operations = {wire.client.permit([PEER], wire.now) for _ in range(2)}
    wire.succeed(wire.request())
    assert {e.operation for e in wire.take_events() if isinstance(e, Done)} == operations


def test_one_peer_that_is_forbidden_does_not_poison_the_others() -> None:
    wire = allocated()
    operation = wire.client.permit([PEER, OTHER], wire.now)
    wire.refuse(wire.request(), 403)
    for request in wire.requests():
        if hosts(request) == {PEER.host}:
            wire.refuse(request, 403)
        else:
            wire.succeed(request)
    (event,) = wire.take_events()
    assert isinstance(event, Failed)
    assert event.operation == operation
    assert isinstance(event.error, ForbiddenError)
    assert not wire.client.is_permitted(PEER)
    assert wire.client.is_permitted(OTHER)


def test_permissions_are_refreshed_before_their_300_seconds_end() -> None:
    wire = permitted(PEER, OTHER)
    for _ in range(2):
        wire.advance(239)
        assert [r for r in wire.requests() if r.method == Method.CREATE_PERMISSION] == []
        wire.advance(1)
        (request,) = [r for r in wire.requests() if r.method == Method.CREATE_PERMISSION]
        assert hosts(request) == {PEER.host, OTHER.host}
        wire.succeed(request)


def test_a_permission_that_is_refused_later_is_told_of() -> None:
    wire = permitted(PEER)
    wire.advance(240)
    wire.refuse(wire.request(), 403)
    (event,) = wire.take_events()
    assert isinstance(event, PermissionLost)
    assert event.peer == PEER.with_port(0)
    assert not wire.client.is_permitted(PEER)


def test_a_forgotten_permission_is_left_to_end() -> None:
    wire = permitted(PEER)
    wire.client.forget(PEER)
    wire.advance(300)
    assert wire.requests() == []


def test_many_permissions_go_in_several_requests_and_have_a_limit() -> None:
    wire = allocated()
    peers = [Address(bytes((10, 0, n // 250, n % 250)), 1) for n in range(MOST_PERMISSIONS)]
    wire.client.permit(peers, wire.now)
    requests = wire.requests()
    assert max(len(hosts(request)) for request in requests) == MOST_PEERS_PER_REQUEST
    assert set().union(*map(hosts, requests)) == {peer.host for peer in peers}
    with pytest.raises(TooManyPeersError):
        wire.client.permit([PEER], wire.now)


def test_data_goes_in_send_indications_until_the_channel_stands() -> None:
    wire = permitted(PEER)
    packet = Message.decode(wire.client.send(b"hello", PEER, wire.now))
    assert (packet.method, packet.message_class) == (Method.SEND, MessageClass.INDICATION)
    assert packet.get(a.XOR_PEER_ADDRESS) == PEER
    assert packet.get(a.DATA) == b"hello"
    bind = wire.request()
    assert bind.method == Method.CHANNEL_BIND
    assert (bind.get(a.CHANNEL_NUMBER), bind.get(a.XOR_PEER_ADDRESS)) == (0x4000, PEER)
    again = Message.decode(wire.client.send(b"more", PEER, wire.now))
    assert again.method == Method.SEND
    assert wire.requests() == []  # it is being bound already
    wire.succeed(bind)
    assert wire.client.send(b"hello", PEER, wire.now) == bytes.fromhex("40000005") + b"hello"


def test_on_a_stream_channel_data_is_padded_to_four_bytes() -> None:
    wire = permitted(PEER, reliable=True)
    wire.client.bind_channel(PEER, wire.now)
    wire.succeed(wire.request())
    packet = wire.client.send(b"hello", PEER, wire.now)
    assert packet == bytes.fromhex("40000005") + b"hello\0\0\0"


def test_dont_fragment_is_asked_for_in_a_send_indication_even_with_a_channel() -> None:
    wire = permitted(PEER)
    wire.client.bind_channel(PEER, wire.now)
    wire.succeed(wire.request())
    packet = Message.decode(wire.client.send(b"x", PEER, wire.now, dont_fragment=True))
    assert packet.has(a.DONT_FRAGMENT)


def test_without_automatic_channels_none_is_bound() -> None:
    wire = permitted(PEER, automatic_channels=False)
    wire.client.send(b"hello", PEER, wire.now)
    assert wire.requests() == []


def test_nothing_is_sent_without_a_permission() -> None:
    wire = permitted(PEER)
    with pytest.raises(TurnClientError, match="no permission"):
        wire.client.send(b"hello", OTHER, wire.now)


def test_channels_are_refreshed_before_their_600_seconds_end() -> None:
    wire = allocated(lifetime=3600)
    wire.client.bind_channel(PEER, wire.now)
    wire.succeed(wire.request())
    assert wire.client.is_permitted(PEER)  # §12.2: it installs a permission as well
    seen = []
    for second in range(1, 1200):
        wire.advance(1)
        for request in wire.requests():
            seen.append((second, request.method))
            wire.succeed(request)
    assert [s for s, method in seen if method == Method.CHANNEL_BIND] == [540, 1080]
    # §12.2: the bindings refresh the permission, which has 300 s, as do its own requests.
    times = [0, *(second for second, _ in seen)]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 240


def test_a_refused_channel_leaves_the_send_indications() -> None:
    wire = permitted(PEER)
    wire.client.send(b"x", PEER, wire.now)
    wire.refuse(wire.request(), 508)
    packet = Message.decode(wire.client.send(b"hello", PEER, wire.now))
    assert packet.method == Method.SEND
    assert wire.requests() == []
    operation = wire.client.bind_channel(PEER, wire.now)
    (event,) = wire.take_events()
    assert isinstance(event, Failed)
    assert event.operation == operation


def test_each_peer_has_a_channel_number_of_its_own() -> None:
    wire = permitted(PEER, OTHER)
    for peer in (PEER, OTHER, PEER.with_port(1)):
        wire.client.bind_channel(peer, wire.now)
    assert [r.get(a.CHANNEL_NUMBER) for r in wire.requests()] == [0x4000, 0x4001, 0x4002]


def test_data_arrives_by_indication_and_by_channel() -> None:
    wire = permitted(PEER)
    wire.receive(indication(Method.DATA, a.DATA.of(b"one")))
    wire.client.bind_channel(PEER, wire.now)
    wire.client.receive(ChannelData(0x4000, b"two").encode(stream=False), wire.now)
    received = [each for each in wire.take_events() if isinstance(each, DataReceived)]
    assert received == [DataReceived(b"one", PEER), DataReceived(b"two", PEER)]


def test_data_of_strangers_is_dropped_and_counted() -> None:
    wire = permitted(PEER)
    wire.receive(indication(Method.DATA, a.DATA.of(b"?"), peer=OTHER))
    wire.client.receive(ChannelData(0x4001, b"?").encode(stream=False), wire.now)
    wire.receive(indication(Method.DATA))
    assert wire.take_events() == []
    assert wire.client.dropped == 3


def test_icmp_errors_are_told() -> None:
    wire = permitted(PEER)
    wire.receive(indication(Method.DATA, a.ICMP.of(Icmp(3, 4, 1280))))
    assert wire.take_events() == [IcmpReceived(PEER, Icmp(3, 4, 1280))]


def test_connections_of_peers_are_told() -> None:
    wire = allocated(reliable=True)
    wire.receive(indication(Method.CONNECTION_ATTEMPT, a.CONNECTION_ID.of(77)))
    assert wire.take_events() == [ConnectionAttempted(77, PEER)]


def test_a_connect_brings_a_connection_id() -> None:
    wire = allocated(reliable=True)
    operation = wire.client.connect(PEER, wire.now)
    request = wire.request()
    assert (request.method, request.get(a.XOR_PEER_ADDRESS)) == (Method.CONNECT, PEER)
    wire.succeed(request, [a.CONNECTION_ID.of(1234)])
    (event,) = wire.take_events()
    assert isinstance(event, Done)
    assert (event.operation, event.result) == (operation, 1234)


@given(st.binary(max_size=200))
def test_no_bytes_from_the_wire_raise(data: bytes) -> None:
    wire = permitted(PEER)
    wire.client.receive(data, wire.now)
    wire.take_events()


@given(st.data())
def test_no_answer_raises_however_its_attributes_are_damaged(data: st.DataObject) -> None:
    wire = allocated()
    wire.client.refresh(wire.now)
    wire.client.permit([PEER], wire.now)
    wire.client.connect(PEER, wire.now)
    for request in wire.requests():
        attributes = data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from([0x09, 0x0D, 0x14, 0x15, 0x1C, 0x20, 0x2A, 0x8002, 0x8030]),
                    st.binary(max_size=12),
                ),
                max_size=4,
            )
        )
        message_class = data.draw(
            st.sampled_from([MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE])
        )
        damaged = Message.build(request.method, message_class, request.transaction_id, attributes)
        wire.receive(damaged)
        signing = data.draw(st.sampled_from([True, False]))
        if signing:
            wire.receive(damaged, MD5_SIGNING)
    wire.advance(100)
