"""Every state and every chunk has an answer (RFC 9260 §4, §8.4, §8.5, §9)."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from tests.fuzz.mutate import mutate
from tests.webrtc.sctp.network import Link, association_pair
from tests.webrtc.sctp.test_opening import open_both
from tests.webrtc.sctp.test_opening import raw as as_raw
from webrtc.sctp import Association, AssociationState, Closed, CloseReason, Settings
from webrtc.sctp.chunks import (
    ChunkType,
    ForwardTsn,
    IForwardTsn,
    Init,
    ParameterChunk,
    PlainChunk,
    Sack,
    Shutdown,
)
from webrtc.sctp.packet import Packet, PacketWriter, RawChunk, decode_packet, encode_packet
from webrtc.sctp.parameters import Parameter
from webrtc.sctp.reconfig_parameters import IncomingResetRequest

State = AssociationState
NOW = 2000.0
CHECKED = Settings(zero_checksum=False, interleaving=False)


def established() -> Association:
    network, first, _ = association_pair(3, Link(), CHECKED)
    open_both(network)
    network.settle()
    return first


def cookie_wait() -> Association:
    association = Association(CHECKED, random.Random(1).randbytes)
    association.connect(NOW)
    association.take_datagrams(NOW)
    return association


def cookie_echoed() -> Association:
    association = cookie_wait()
    init_ack = Init(9, 100_000, 10, 10, 1, (Parameter(7, b"cookie"),), is_ack=True)
    deliver(association, as_raw(init_ack.encode()))
    association.take_datagrams(NOW)
    return association


def with_data_unacknowledged() -> Association:
    association = established()
    association.send(0, 53, b"data", now=NOW)
    association.take_datagrams(NOW)
    return association


def shutdown_pending() -> Association:
    association = with_data_unacknowledged()
    association.shutdown(NOW)
    return association


def shutdown_sent() -> Association:
    association = established()
    association.shutdown(NOW)
    association.take_datagrams(NOW)
    return association


def a_shutdown(association: Association) -> RawChunk:
    tcb = association._control.tcb
    tsn = 0 if tcb is None else tcb.outbound.outstanding.cumulative
    return as_raw(Shutdown(tsn & 0xFFFFFFFF).encode())


def shutdown_received() -> Association:
    association = with_data_unacknowledged()
    deliver(association, a_shutdown(association))
    return association


def shutdown_ack_sent() -> Association:
    association = established()
    deliver(association, a_shutdown(association))
    association.take_datagrams(NOW)
    return association


STATES: dict[State, Callable[[], Association]] = {
    State.CLOSED: lambda: Association(CHECKED, random.Random(1).randbytes),
    State.COOKIE_WAIT: cookie_wait,
    State.COOKIE_ECHOED: cookie_echoed,
    State.ESTABLISHED: established,
    State.SHUTDOWN_PENDING: shutdown_pending,
    State.SHUTDOWN_SENT: shutdown_sent,
    State.SHUTDOWN_RECEIVED: shutdown_received,
    State.SHUTDOWN_ACK_SENT: shutdown_ack_sent,
}


def deliver(association: Association, *chunks: RawChunk, tag: int | None = None) -> None:
    own = association._control.opening.tag
    association.receive(encode_packet(Packet(5000, 5000, own if tag is None else tag, chunks)), NOW)


def data_chunk(association: Association) -> RawChunk:
    tcb = association._control.tcb
    tsn = 1 if tcb is None else tcb.inbound.tsns.cumulative + 1
    return RawChunk(0, 3, struct.pack("!IHHI", tsn & 0xFFFFFFFF, 0, 0, 53) + b"data")


def sack(association: Association) -> RawChunk:
    tcb = association._control.tcb
    tsn = 0 if tcb is None else tcb.outbound.last_tsn
    return as_raw(Sack(tsn & 0xFFFFFFFF, 100_000).encode())


def plain(kind: ChunkType, value: bytes = b"") -> Callable[[Association], RawChunk]:
    return lambda _association: as_raw(PlainChunk(kind, value).encode())


CHUNKS: dict[str, Callable[[Association], RawChunk]] = {
    "DATA": data_chunk,
    "I-DATA": lambda each: RawChunk(
        64, 3, data_chunk(each).value[:4] + struct.pack("!HHII", 0, 0, 0, 53) + b"data"
    ),
    "INIT": lambda _: as_raw(Init(5, 1000, 1, 1, 1).encode()),
    "INIT ACK": lambda _: as_raw(
        Init(9, 100_000, 10, 10, 1, (Parameter(7, b"cookie"),), is_ack=True).encode()
    ),
    "SACK": sack,
    "HEARTBEAT": lambda _: as_raw(
        ParameterChunk(ChunkType.HEARTBEAT, (Parameter(1, b"info"),)).encode()
    ),
    "HEARTBEAT ACK": lambda _: as_raw(
        ParameterChunk(ChunkType.HEARTBEAT_ACK, (Parameter(1, b"info"),)).encode()
    ),
    "ABORT": lambda _: as_raw(ParameterChunk(ChunkType.ABORT).encode()),
    "SHUTDOWN": a_shutdown,
    "SHUTDOWN ACK": plain(ChunkType.SHUTDOWN_ACK),
    "ERROR": lambda _: as_raw(ParameterChunk(ChunkType.ERROR, (Parameter(1, bytes(4)),)).encode()),
    "COOKIE ECHO": plain(ChunkType.COOKIE_ECHO, b"forged"),
    "COOKIE ACK": plain(ChunkType.COOKIE_ACK),
    "SHUTDOWN COMPLETE": plain(ChunkType.SHUTDOWN_COMPLETE),
    "RE-CONFIG": lambda _: as_raw(
        ParameterChunk(ChunkType.RECONFIG, (IncomingResetRequest(1, (1,)).encode(),)).encode()
    ),
    "PAD": plain(ChunkType.PADDING, bytes(8)),
    "FORWARD TSN": lambda each: as_raw(
        ForwardTsn(struct.unpack("!I", data_chunk(each).value[:4])[0]).encode()
    ),
    "I-FORWARD-TSN": lambda _: as_raw(IForwardTsn(1).encode()),
    "unknown, drop": lambda _: RawChunk(0x3F, 0, b""),
    "unknown, drop and report": lambda _: RawChunk(0x7F, 0, b""),
    "unknown, skip": lambda _: RawChunk(0xBF, 0, b""),
    "unknown, skip and report": lambda _: RawChunk(0xFF, 0, b""),
}
MOVES = {
    (State.COOKIE_WAIT, "INIT ACK"): State.COOKIE_ECHOED,
    (State.COOKIE_WAIT, "ABORT"): State.CLOSED,
    (State.COOKIE_ECHOED, "ABORT"): State.CLOSED,
    (State.COOKIE_ECHOED, "COOKIE ACK"): State.ESTABLISHED,
    (State.ESTABLISHED, "ABORT"): State.CLOSED,
    (State.ESTABLISHED, "I-DATA"): State.CLOSED,
    (State.ESTABLISHED, "SHUTDOWN"): State.SHUTDOWN_ACK_SENT,
    (State.SHUTDOWN_PENDING, "ABORT"): State.CLOSED,
    (State.SHUTDOWN_PENDING, "I-DATA"): State.CLOSED,
    (State.SHUTDOWN_PENDING, "SACK"): State.SHUTDOWN_SENT,
    (State.SHUTDOWN_PENDING, "SHUTDOWN"): State.SHUTDOWN_RECEIVED,
    (State.SHUTDOWN_SENT, "ABORT"): State.CLOSED,
    (State.SHUTDOWN_SENT, "I-DATA"): State.CLOSED,
    (State.SHUTDOWN_SENT, "SHUTDOWN"): State.SHUTDOWN_ACK_SENT,
    (State.SHUTDOWN_SENT, "SHUTDOWN ACK"): State.CLOSED,
    (State.SHUTDOWN_RECEIVED, "ABORT"): State.CLOSED,
    (State.SHUTDOWN_RECEIVED, "SACK"): State.SHUTDOWN_ACK_SENT,
    (State.SHUTDOWN_ACK_SENT, "ABORT"): State.CLOSED,
    (State.SHUTDOWN_ACK_SENT, "SHUTDOWN ACK"): State.CLOSED,
    (State.SHUTDOWN_ACK_SENT, "SHUTDOWN COMPLETE"): State.CLOSED,
}
_DATA_STATES = {State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT}
_SACK_STATES = {State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED}
_KNOWN_PEER = set(State) - {State.CLOSED, State.COOKIE_WAIT}
TAKEN = {
    "DATA": _DATA_STATES,
    "I-DATA": _DATA_STATES,
    "FORWARD TSN": _DATA_STATES,
    "SACK": _SACK_STATES,
    "HEARTBEAT": _KNOWN_PEER,
    "ERROR": set(State) - {State.CLOSED},
    "PAD": set(State) - {State.CLOSED},
    "RE-CONFIG": _SACK_STATES,
    "SHUTDOWN": _KNOWN_PEER - {State.COOKIE_ECHOED},
}


@pytest.mark.parametrize("state", STATES, ids=lambda each: each.value)
def test_the_states_can_be_reached(state: State) -> None:
    assert STATES[state]().state is state


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("state", STATES, ids=lambda each: each.value)
def test_every_chunk_in_every_state_is_taken_or_counted(state: State, chunk: str) -> None:
    association = STATES[state]()
    before = association.statistics.ignored
    deliver(association, CHUNKS[chunk](association))
    assert association.state is MOVES.get((state, chunk), state)
    taken = state in TAKEN.get(chunk, set()) or (state, chunk) in MOVES
    # INIT with a tag is dropped before any chunk is looked at, and so is a forged ABORT.
    if chunk != "INIT" and not (state is State.CLOSED and chunk in ("ABORT", "SHUTDOWN COMPLETE")):
        assert (association.statistics.ignored == before) == taken
    association.take_datagrams(NOW)
    deadline = association.next_deadline()
    assert association.is_over or state is State.CLOSED or deadline is not None


@pytest.mark.parametrize("state", STATES, ids=lambda each: each.value)
def test_no_state_asks_to_be_woken_for_nothing(state: State) -> None:
    association = STATES[state]()
    for chunk in ("DATA", "SACK", "SHUTDOWN", "RE-CONFIG", "HEARTBEAT"):
        deliver(association, CHUNKS[chunk](association))
    now = NOW
    for _ in range(2000):
        association.take_datagrams(now)
        deadline = association.next_deadline()
        if deadline is None:
            break
        assert deadline > now, "nothing was done at its deadline"
        now = deadline
        for _ in range(3):
            association.on_deadline(now)
    assert association.is_over == (state is not State.CLOSED)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("state", STATES, ids=lambda each: each.value)
def test_a_wrong_tag_changes_nothing(state: State, chunk: str) -> None:
    association = STATES[state]()
    tag = association._control.opening.tag ^ 0x5555
    deliver(association, CHUNKS[chunk](association), tag=tag)
    assert association.state is state
    assert not association.is_over
    assert association.take_message() is None


@pytest.mark.parametrize("state", STATES, ids=lambda each: each.value)
def test_an_init_is_answered_in_every_state(state: State) -> None:
    association = STATES[state]()
    deliver(association, CHUNKS["INIT"](association), tag=0)
    (answer,) = association.take_datagrams(NOW)
    expected = ChunkType.SHUTDOWN_ACK if state is State.SHUTDOWN_ACK_SENT else ChunkType.INIT_ACK
    assert decode_packet(answer).chunks[0].type == expected
    assert association.state is state


@pytest.mark.parametrize(
    ("kind", "is_reported", "next_is_handled"),
    [(0x3F, False, False), (0x7F, True, False), (0xBF, False, True), (0xFF, True, True)],
)
def test_unknown_chunks_are_treated_as_their_upper_bits_say(
    kind: int, is_reported: bool, next_is_handled: bool
) -> None:
    association = established()
    heartbeat = CHUNKS["HEARTBEAT"](association)
    deliver(association, RawChunk(kind, 7, b"abc"), heartbeat)
    answers = [c for sent in association.take_datagrams(NOW) for c in decode_packet(sent).chunks]
    unrecognized = Parameter(6, RawChunk(kind, 7, b"abc").encode())
    error = as_raw(ParameterChunk(ChunkType.ERROR, (unrecognized,)).encode())
    answer = RawChunk(ChunkType.HEARTBEAT_ACK, 0, heartbeat.value)
    assert answers == [error] * is_reported + [answer] * next_is_handled


def test_a_packet_cut_short_anywhere_is_counted_as_malformed() -> None:
    network, first, _ = association_pair(3, Link(), CHECKED)
    open_both(network)
    network.settle()
    whole = next(packet for sender, packet in network.sent if sender == 1 and packet[12] in (2, 11))
    for size in range(len(whole)):
        first.receive(whole[:size], NOW)
    assert first.statistics.malformed == len(whole)
    assert first.state is State.ESTABLISHED


def test_a_reflected_abort_ends_only_with_the_right_tag() -> None:
    association = established()
    tcb = association._control.tcb
    assert tcb is not None
    abort = RawChunk(ChunkType.ABORT, 1, b"")
    deliver(association, abort, tag=tcb.peer_tag ^ 1)
    deliver(association, abort)
    assert association.state is State.ESTABLISHED
    deliver(association, abort, tag=tcb.peer_tag)
    assert association.is_over


def test_shutdown_waits_for_everything_queued_on_both_sides() -> None:
    network, first, second = association_pair()
    open_both(network)
    first.send(0, 53, bytes(200_000), now=network.now)
    second.send(0, 53, bytes(100_000), now=network.now)
    first.shutdown(network.now)
    with pytest.raises(Exception, match="shutdown-pending"):
        first.send(0, 53, b"late", now=network.now)
    received: list[int] = []

    def ended() -> bool:
        for end in (first, second):
            while (message := end.take_message()) is not None:
                received.append(len(message[2]))
                end.free(len(message[2]), network.now)
        return first.is_over and second.is_over

    network.run(ended)
    assert sorted(received) == [100_000, 200_000]
    for end in (first, second):
        assert end.take_events()[-1] == Closed(CloseReason.SHUTDOWN)
        assert end.next_deadline() is None


@pytest.mark.parametrize("seed", range(8))
def test_shutdown_from_both_sides_at_once_ends_over_loss(seed: int) -> None:
    network, first, second = association_pair(seed, Link(loss=0.3))
    open_both(network)
    first.shutdown(network.now)
    second.shutdown(network.now)
    network.run(lambda: first.is_over and second.is_over, within=400)


def test_an_abort_tells_the_peer_why() -> None:
    network, first, second = association_pair()
    open_both(network)
    network.settle()
    first.take_events(), second.take_events()
    first.abort("enough")
    network.settle()
    assert first.take_events() == [Closed(CloseReason.ABORTED_LOCALLY, "enough", 12)]
    assert second.take_events() == [Closed(CloseReason.ABORTED_BY_PEER, "enough", 12)]


def test_a_peer_that_vanishes_is_noticed_by_heartbeats() -> None:
    network, first, _ = association_pair(0, None, Settings(max_retransmits=3))
    open_both(network)
    network.run_for(70.0)
    assert first.state is State.ESTABLISHED
    network.drop = lambda _sender, _packet: True
    network.run(lambda: first.is_over, within=60.0)
    assert isinstance(event := first.take_events()[-1], Closed)
    assert event.reason is CloseReason.NO_ANSWER


def test_mutated_packets_with_right_tags_break_nothing_and_leave_nothing() -> None:
    network, first, second = association_pair(1, Link(), CHECKED)
    open_both(network)
    for index in range(20):
        first.send(index % 3, 53, bytes(index * 200 + 1), now=network.now)
    first.reset_streams([1])
    network.run_for(2.0)
    seeds = [packet[12:] for sender, packet in network.sent if sender == 0]
    seeds += [CHUNKS[name](second).encode() for name in CHUNKS if name != "ABORT"]
    rng = random.Random(4)
    ended = 0
    for _ in range(300):
        victim = established()
        tcb = victim._control.tcb
        assert tcb is not None
        writer = PacketWriter(5000, 5000, victim._control.opening.tag)
        for _ in range(60):
            victim.receive(writer.write(mutate(rng, seeds)[:1300]), NOW)
            assert len(victim.take_datagrams(NOW)) < 200
            victim.take_events()
            assert tcb.inbound.held <= 2 * CHECKED.receive_buffer + 2000
        ended += victim.is_over
    assert ended < 300
