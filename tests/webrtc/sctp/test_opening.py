"""How associations begin (RFC 9260 §5): one side, both sides, again, and with broken peers."""

from __future__ import annotations

import random
import struct
from typing import Any

import attrs
import pytest

from tests.webrtc.sctp.network import Link, Network, association_pair
from webrtc.sctp import (
    Association,
    AssociationState,
    Closed,
    CloseReason,
    Established,
    Restarted,
    Settings,
)
from webrtc.sctp.chunks import ChunkType, Init, ParameterChunk, decode_chunk
from webrtc.sctp.cookie import Features, StateCookie
from webrtc.sctp.packet import Packet, RawChunk, decode_packet, encode_packet
from webrtc.sctp.parameters import CauseCode, Parameter, ParameterType

State = AssociationState
COOKIE_LIFETIME = 60.0


def open_both(network: Network) -> None:
    for end in network.ends:
        assert isinstance(end, Association)
        end.connect(network.now)
    network.run(lambda: all(is_established(end) for end in network.ends))


def is_established(end: object) -> bool:
    return isinstance(end, Association) and end.state is State.ESTABLISHED


def packet(tag: int, *chunks: RawChunk) -> bytes:
    return encode_packet(Packet(5000, 5000, tag, chunks))


def raw(encoded: bytes) -> RawChunk:
    kind, flags, length = struct.unpack_from("!BBH", encoded)
    return RawChunk(kind, flags, encoded[4:length])


def an_init(**changes: Any) -> RawChunk:
    return raw(attrs.evolve(Init(77, 100_000, 10, 10, 1), **changes).encode())


def types(packets: list[bytes]) -> list[list[int]]:
    decoded = [decode_packet(each, zero_is_valid=True) for each in packets]
    return [[chunk.type for chunk in each.chunks] for each in decoded]


def only_chunk(packets: list[bytes]) -> object:
    (only,) = packets
    (chunk,) = decode_packet(only).chunks
    return decode_chunk(chunk)


def test_four_chunks_open_an_association() -> None:
    network, client, server = association_pair()
    client.connect(network.now)
    network.run(lambda: is_established(client))
    assert types([sent for _, sent in network.sent]) == [
        [ChunkType.INIT],
        [ChunkType.INIT_ACK],
        [ChunkType.COOKIE_ECHO],
        [ChunkType.COOKIE_ACK],
    ]
    assert server.take_events() == client.take_events() == [Established(65535, 65535)]


@pytest.mark.parametrize("loss", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(12))
def test_both_may_begin_at_once(seed: int, loss: float) -> None:
    link = Link(loss=loss, jitter=0.05)
    settings = Settings(max_init_retransmits=40)
    network, first, second = association_pair(seed, link, settings)
    open_both(network)
    for sender, receiver in ((first, second), (second, first)):
        sender.send(1, 53, b"x", now=network.now)
        network.run(lambda: receiver.take_message() == (1, 53, b"x"))  # noqa: B023
    assert [type(event) for event in first.take_events()] == [Established]


def test_nothing_is_kept_for_an_init() -> None:
    _, _, server = association_pair()
    sizes = set()
    for tag in range(1, 500):
        server.receive(packet(0, an_init(initiate_tag=tag)), 0.0)
        (answer,) = server.take_datagrams(0.0)
        sizes.add(len(answer))
        assert decode_packet(answer).verification_tag == tag
    assert server.state is State.CLOSED
    assert server.next_deadline() is None
    assert server._control.tcb is None
    assert len(sizes) == 1


def cookie_of(server: Association, now: float = 0.0) -> tuple[int, bytes]:
    server.receive(packet(0, an_init()), now)
    init_ack = only_chunk(server.take_datagrams(now))
    assert isinstance(init_ack, Init)
    cookie = init_ack.parameter(ParameterType.STATE_COOKIE)
    assert cookie is not None
    return init_ack.initiate_tag, cookie


def echo(tag: int, cookie: bytes, *more: RawChunk) -> bytes:
    return packet(tag, RawChunk(ChunkType.COOKIE_ECHO, 0, cookie), *more)


def test_a_changed_cookie_is_dropped_in_silence() -> None:
    _, _, server = association_pair()
    tag, cookie = cookie_of(server)
    for index in range(len(cookie)):
        changed = bytearray(cookie)
        changed[index] ^= 1
        server.receive(echo(tag, bytes(changed)), 0.0)
    server.receive(echo(tag, cookie[:-1]), 0.0)
    server.receive(echo(tag + 1, cookie), 0.0)
    assert server.take_datagrams(0.0) == []
    assert server.state is State.CLOSED
    server.receive(echo(tag, cookie), 0.0)
    assert is_established(server)


def test_another_endpoints_cookie_is_dropped() -> None:
    _, first, second = association_pair()
    tag, cookie = cookie_of(first)
    second.receive(echo(tag, cookie), 0.0)
    assert second.state is State.CLOSED


def test_a_stale_cookie_is_answered_by_how_stale_it_is() -> None:
    _, _, server = association_pair()
    tag, cookie = cookie_of(server)
    server.receive(echo(tag, cookie), COOKIE_LIFETIME + 2.0)
    error = only_chunk(server.take_datagrams(COOKIE_LIFETIME + 2.0))
    staleness = struct.pack("!I", 2_000_000)
    assert error == ParameterChunk(ChunkType.ERROR, (Parameter(CauseCode.STALE_COOKIE, staleness),))
    assert server.state is State.CLOSED


def test_after_a_stale_cookie_the_client_begins_again_a_few_times() -> None:
    network, client, _server = association_pair()
    client.connect(network.now)
    for _ in range(4):
        client.take_datagrams(0.0)
        init_ack = Init(9, 1000, 1, 1, 1, (Parameter(7, b"c"),), is_ack=True)
        client.receive(packet(client._control.opening.tag, raw(init_ack.encode())), 0.0)
        assert client.state is State.COOKIE_ECHOED
        stale = ParameterChunk(ChunkType.ERROR, (Parameter(3, bytes(4)),))
        client.receive(packet(client._control.opening.tag, raw(stale.encode())), 0.0)
    assert client.take_events() == [Closed(CloseReason.NO_ANSWER, "cookies are stale")]


def test_data_behind_a_cookie_echo_is_taken() -> None:
    _, _, server = association_pair()
    tag, cookie = cookie_of(server)
    data = RawChunk(0, 3, struct.pack("!IHHI", 1, 0, 0, 53) + b"early")
    server.receive(echo(tag, cookie, data), 0.0)
    assert server.take_message() == (0, 53, b"early")
    assert types(server.take_datagrams(0.0)) == [[ChunkType.COOKIE_ACK]]
    assert types(server.take_datagrams(1.0)) == [[ChunkType.SACK]]


def test_a_repeated_cookie_echo_is_acknowledged_again() -> None:
    network, client, server = association_pair()
    network.drop = lambda sender, sent: sender == 1 and types([sent]) == [[ChunkType.COOKIE_ACK]]
    client.connect(network.now)
    network.run_for(0.3)
    assert is_established(server)
    assert client.state is State.COOKIE_ECHOED
    network.drop = lambda _sender, _sent: False
    network.run(lambda: is_established(client))
    assert server.take_events() == [Established(65535, 65535)]


def test_an_unanswered_init_is_repeated_ever_more_slowly_and_then_given_up() -> None:
    network, client, _ = association_pair(0, Link(loss=1.0))
    began = network.now
    client.connect(began)
    network.flush()
    times: list[float] = []
    while client.state is State.COOKIE_WAIT:
        before = len(network.sent)
        network.step(began + 1000)
        if len(network.sent) > before:
            times.append(network.now - began)
    assert times == pytest.approx([0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5, 39.5])
    assert client.take_events() == [Closed(CloseReason.NO_ANSWER, "to INIT or COOKIE ECHO")]
    assert client.next_deadline() is None


@pytest.mark.parametrize("changes", [{"outbound_streams": 0}, {"inbound_streams": 0}], ids=str)
def test_an_init_without_streams_is_aborted(changes: dict[str, int]) -> None:
    _, _, server = association_pair()
    server.receive(packet(0, an_init(**changes)), 0.0)
    (answer,) = server.take_datagrams(0.0)
    assert decode_packet(answer).verification_tag == 77
    assert types([answer]) == [[ChunkType.ABORT]]
    assert not server.is_over


@pytest.mark.parametrize(
    "sent",
    [
        packet(0, an_init(initiate_tag=0)),
        packet(5, an_init()),
        packet(0, an_init(), RawChunk(11, 0, b"")),
        encode_packet(Packet(5000, 5001, 0, (an_init(),))),
        encode_packet(Packet(4999, 5000, 0, (an_init(),))),
    ],
    ids=["tag of zero", "with a tag", "bundled", "to another port", "from another port"],
)
def test_an_init_that_breaks_the_rules_is_dropped(sent: bytes) -> None:
    _, _, server = association_pair()
    server.receive(sent, 0.0)
    assert server.take_datagrams(0.0) == []


def test_an_init_ack_without_a_cookie_is_aborted() -> None:
    _, client, _ = association_pair()
    client.connect(0.0)
    client.take_datagrams(0.0)
    bad = Init(9, 1000, 1, 1, 1, is_ack=True)
    client.receive(packet(client._control.opening.tag, raw(bad.encode())), 0.0)
    abort = only_chunk(client.take_datagrams(0.0))
    missing = Parameter(CauseCode.MISSING_PARAMETER, bytes.fromhex("00000001 0007"))
    assert abort == ParameterChunk(ChunkType.ABORT, (missing,))
    assert client.is_over


@pytest.mark.parametrize(
    ("kind", "is_reported", "stops"),
    [(0x1234, False, True), (0x5234, True, True), (0x9234, False, False), (0xD234, True, False)],
)
def test_unknown_parameters_are_treated_as_their_upper_bits_say(
    kind: int, is_reported: bool, stops: bool
) -> None:
    _, _, server = association_pair()
    unknown, after = Parameter(kind, b"abc"), Parameter(0xD000, b"")
    server.receive(packet(0, an_init(parameters=(unknown, after))), 0.0)
    init_ack = only_chunk(server.take_datagrams(0.0))
    assert isinstance(init_ack, Init)
    reports = [each.value for each in init_ack.parameters if each.type == 8]
    expected = [unknown.encode()] * is_reported + [after.encode()] * (not stops)
    assert [report[: len(want)] for report, want in zip(reports, expected, strict=True)] == expected


def test_a_peer_that_lost_its_state_begins_again() -> None:
    network, first, second = association_pair()
    open_both(network)
    first.send(0, 53, b"lost with the old one" * 9999, now=network.now)
    again = Association(Settings(), random.Random(9).randbytes)
    network.ends = (first, again)
    again.connect(network.now)
    network.run(lambda: is_established(again) and is_established(first))
    assert first.take_events() == [
        Established(65535, 65535),
        Restarted(),
        Established(65535, 65535),
    ]
    assert first.buffered == 0
    first.send(0, 53, b"new", now=network.now)
    network.run(lambda: again.take_message() == (0, 53, b"new"))
    again.send(0, 53, b"back", now=network.now)
    network.run(lambda: first.take_message() == (0, 53, b"back"))
    assert second.state is State.ESTABLISHED


def test_an_init_alone_does_not_disturb_an_association() -> None:
    network, first, second = association_pair()
    open_both(network)
    first.receive(packet(0, an_init()), network.now)
    (answer,) = first.take_datagrams(network.now)
    assert types([answer]) == [[ChunkType.INIT_ACK]]
    first.send(0, 53, b"on", now=network.now)
    network.run(lambda: second.take_message() == (0, 53, b"on"))


def test_features_are_those_of_both() -> None:
    ours = Settings(interleaving=True, zero_checksum=False)
    network, first, second = association_pair(0, None, ours, Settings(interleaving=False))
    open_both(network)
    for end in (first, second):
        assert end._control.tcb is not None
        assert end._control.tcb.features == Features(True, True, False, False)


def test_cookie_keeps_all_it_was_given() -> None:
    cookie = StateCookie(1.5, 1, 2, 3, 4, 5, 6, 7, Features(True, False, True, False), 8, 9)
    assert StateCookie.open(cookie.seal(b"k" * 32), b"k" * 32) == cookie
    assert StateCookie.open(cookie.seal(b"k" * 32), b"l" * 32) is None


def test_out_of_the_blue_packets_are_answered_as_the_rfc_says() -> None:
    _, _, server = association_pair()
    # T (1) says that the tag is the sender's own.
    cases: dict[RawChunk, list[RawChunk]] = {
        RawChunk(ChunkType.DATA, 3, bytes(13)): [RawChunk(ChunkType.ABORT, 1, b"")],
        RawChunk(ChunkType.SHUTDOWN_ACK, 0, b""): [RawChunk(ChunkType.SHUTDOWN_COMPLETE, 1, b"")],
        RawChunk(ChunkType.ABORT, 0, b""): [],
        RawChunk(ChunkType.SHUTDOWN_COMPLETE, 0, b""): [],
        RawChunk(ChunkType.COOKIE_ACK, 0, b""): [],
        RawChunk(ChunkType.ERROR, 0, b""): [],
    }
    for chunk, expected in cases.items():
        server.receive(packet(1234, chunk), 0.0)
        answers = server.take_datagrams(0.0)
        assert [decode_packet(answer).chunks[0] for answer in answers] == expected
        assert all(decode_packet(answer).verification_tag == 1234 for answer in answers)
