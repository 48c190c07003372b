"""Stream reset (RFC 6525)."""

from __future__ import annotations

import struct

import pytest

from tests.webrtc.sctp.network import Link, Network
from tests.webrtc.sctp.test_transfer import opened, received, sent_by
from webrtc.sctp import (
    Association,
    IncomingStreamsReset,
    OutgoingStreamsReset,
    ResetAsked,
    SctpStateError,
    Settings,
)
from webrtc.sctp.chunks import ChunkType, ParameterChunk
from webrtc.sctp.packet import Packet, RawChunk, decode_packet, encode_packet
from webrtc.sctp.parameters import Parameter, ParameterType
from webrtc.sctp.reconfig_parameters import (
    IncomingResetRequest,
    OutgoingResetRequest,
    ReconfigResponse,
    ReconfigResult,
    decode_reconfig,
)


def events_of(association: Association) -> list[object]:
    wanted = (IncomingStreamsReset, OutgoingStreamsReset, ResetAsked)
    return [event for event in association.take_events() if isinstance(event, wanted)]


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_a_reset_comes_after_all_messages_and_numbers_begin_again(seed: int, loss: float) -> None:
    network, first, second = opened(Link(loss=0.0, jitter=0.02), seed=seed)
    network.link = Link(loss=loss, jitter=0.02)
    for _ in range(30):
        first.send(4, 53, bytes(700), now=network.now)
    first.reset_streams([4])
    with pytest.raises(SctpStateError):
        first.send(4, 53, b"too late", now=network.now)
    count = 0
    events: list[object] = []
    receiver, sender = second._control.tcb, first._control.tcb
    assert receiver is not None
    assert sender is not None
    last = sender.outbound.last_tsn + 30
    tsns = receiver.inbound.tsns

    def done() -> bool:
        nonlocal count
        for event in events_of(second):
            assert tsns.cumulative >= last
            events.append(event)
        count += len(received(second, network.now))
        events.extend(events_of(first))
        return len(events) == 2

    network.run(done, within=200)
    assert count == 30
    assert events == [IncomingStreamsReset((4,)), OutgoingStreamsReset((4,), True)]
    first.send(4, 53, b"again", now=network.now)
    network.run(lambda: received(second, network.now) == [b"again"])


def test_hundreds_of_streams_are_reset_in_turns() -> None:
    network, first, second = opened()
    first.reset_streams(range(500))
    done: set[int] = set()

    def ready() -> bool:
        for event in events_of(first):
            assert isinstance(event, OutgoingStreamsReset)
            done.update(event.stream_ids)
        return len(done) == 500

    network.run(ready)
    assert done == set(range(500))
    assert max(len(packet) for _, packet in network.sent) <= Settings().packet_size
    assert len(events_of(second)) == 3


def request(network: Network, association: Association, *parameters: Parameter) -> list[object]:
    """Hand an association a RE-CONFIG and return the parameters it answers by."""
    chunk = ParameterChunk(ChunkType.RECONFIG, parameters).encode()
    raw = RawChunk(130, 0, chunk[4 : struct.unpack_from("!BBH", chunk)[2]])
    tag = association._control.opening.tag
    association.receive(encode_packet(Packet(5000, 5000, tag, (raw,))), network.now)
    answers: list[object] = []
    for packet in association.take_datagrams(network.now):
        for each in decode_packet(packet, zero_is_valid=True).chunks:
            if each.type == ChunkType.RECONFIG:
                answers += map(decode_reconfig, ParameterChunk.decode(each).parameters)
    return answers


def numbers(association: Association) -> tuple[int, int]:
    """Return the number that a peer's first request must have, and the last TSN it has sent."""
    tcb = association._control.tcb
    assert tcb is not None
    tsn = tcb.inbound.tsns.cumulative
    return (tsn + 1) & 0xFFFFFFFF, tsn & 0xFFFFFFFF


def test_requests_are_answered_once_each_and_repetitions_alike() -> None:
    network, first, _ = opened()
    number, tsn = numbers(first)
    reset = OutgoingResetRequest(number, 0, tsn, (1,)).encode()
    performed = [ReconfigResponse(number, ReconfigResult.PERFORMED)]
    assert request(network, first, reset) == performed
    assert events_of(first) == [IncomingStreamsReset((1,))]
    assert request(network, first, reset) == performed
    assert events_of(first) == []


def test_a_request_out_of_turn_is_refused() -> None:
    network, first, _ = opened()
    number, tsn = numbers(first)
    reset = OutgoingResetRequest(number + 5, 0, tsn, (1,)).encode()
    refused = ReconfigResponse(number + 5, ReconfigResult.BAD_SEQUENCE_NUMBER)
    assert request(network, first, reset) == [refused]
    assert events_of(first) == []


def test_a_reset_of_no_stream_means_all() -> None:
    network, first, _ = opened()
    number, tsn = numbers(first)
    request(network, first, OutgoingResetRequest(number, 0, tsn).encode())
    assert events_of(first) == [IncomingStreamsReset(None)]


def test_a_reset_waits_for_data_that_is_on_its_way() -> None:
    network, first, second = opened(Link(delay=0.02))
    second.send(1, 53, b"before the reset", now=network.now)
    (data,) = second.take_datagrams(network.now)
    number, tsn = numbers(first)
    reset = OutgoingResetRequest(number, 0, (tsn + 1) & 0xFFFFFFFF, (1,)).encode()
    assert request(network, first, reset) == []
    assert request(network, first, reset) == [ReconfigResponse(number, ReconfigResult.IN_PROGRESS)]
    assert events_of(first) == []
    first.receive(data, network.now)
    assert events_of(first) == [IncomingStreamsReset((1,))]
    assert received(first, network.now) == [b"before the reset"]
    performed = ReconfigResponse(number, ReconfigResult.PERFORMED)
    assert request(network, first, reset) == [performed, performed]


def test_asked_for_a_reset_we_reset() -> None:
    network, first, second = opened()
    number, _ = numbers(first)
    ask = IncomingResetRequest(number, (3,)).encode()
    answers = request(network, first, ask)
    assert answers[0] == ReconfigResponse(number, ReconfigResult.PERFORMED)
    assert isinstance(answers[1], OutgoingResetRequest)
    assert answers[1].stream_ids == (3,)
    assert events_of(first) == [ResetAsked((3,))]
    network.run_for(2.0)
    assert events_of(first) == [OutgoingStreamsReset((3,), True)]
    assert events_of(second) == [IncomingStreamsReset((3,))]


@pytest.mark.parametrize(
    "kind",
    [
        ParameterType.SSN_TSN_RESET_REQUEST,
        ParameterType.ADD_OUTGOING_STREAMS,
        ParameterType.ADD_INCOMING_STREAMS,
    ],
)
def test_what_webrtc_has_no_use_for_is_denied(kind: ParameterType) -> None:
    network, first, _ = opened()
    number, _ = numbers(first)
    value = struct.pack("!IHH", number, 5, 0)
    denied = ReconfigResponse(number, ReconfigResult.DENIED)
    assert request(network, first, Parameter(kind, value)) == [denied]


def own_request(network: Network) -> OutgoingResetRequest:
    chunks = sent_by(network, 0, ParameterChunk)
    assert isinstance(chunks[-1], ParameterChunk)
    value = decode_reconfig(chunks[-1].parameters[0])
    assert isinstance(value, OutgoingResetRequest)
    return value


def test_a_refused_reset_is_told_as_such() -> None:
    network, first, _ = opened()
    first.reset_streams([2])
    network.flush()
    number = own_request(network).request
    request(network, first, ReconfigResponse(number + 1, ReconfigResult.PERFORMED).encode())
    assert events_of(first) == []
    request(network, first, ReconfigResponse(number, ReconfigResult.DENIED).encode())
    assert events_of(first) == [OutgoingStreamsReset((2,), False)]


def test_a_reset_in_progress_is_asked_for_under_a_new_number() -> None:
    network, first, _ = opened()
    network.drop = lambda _sender, _packet: True
    first.reset_streams([2])
    network.flush()
    before = own_request(network)
    request(network, first, ReconfigResponse(before.request, ReconfigResult.IN_PROGRESS).encode())
    network.run_for(1.0)
    after = own_request(network)
    assert after.request == (before.request + 1) & 0xFFFFFFFF
    assert after.stream_ids == (2,)


def test_a_lost_request_is_repeated() -> None:
    network, first, _ = opened(Link(delay=0.01))
    network.drop = lambda sender, _packet: sender == 0 and network.now < start + 1.0
    start = network.now
    first.reset_streams([2])
    events: list[object] = []

    def done() -> bool:
        events.extend(events_of(first))
        return bool(events)

    network.run(done)
    assert events == [OutgoingStreamsReset((2,), True)]
    assert len({own_request(network).request}) == 1


def test_a_reset_without_an_association_is_refused() -> None:
    association = Association(Settings(), lambda size: b"r" * size)
    with pytest.raises(SctpStateError):
        association.reset_streams([1])
    assert not association.can_reset
