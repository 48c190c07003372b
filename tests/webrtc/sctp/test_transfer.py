"""Data on its way: SACKs and their delay, retransmission, windows (RFC 9260 §6, §7)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.webrtc.sctp.network import Link, Network, association_pair
from tests.webrtc.sctp.test_opening import open_both
from webrtc.sctp import (
    Association,
    Closed,
    CloseReason,
    Reliability,
    SctpStateError,
    Settings,
)
from webrtc.sctp.chunks import Data, IData, Sack, decode_chunk
from webrtc.sctp.packet import decode_packet
from webrtc.sctp.rto import RetransmissionTimeout

PLAIN = Settings(interleaving=False, zero_checksum=False)


def opened(
    link: Link | None = None, *settings: Settings, seed: int = 0
) -> tuple[Network, Association, Association]:
    network, first, second = association_pair(seed, link, *(settings or (PLAIN,)))
    open_both(network)
    network.settle()
    network.sent.clear()
    return network, first, second


def sent_by(network: Network, sender: int, kind: type) -> list[object]:
    chunks = [
        decode_chunk(chunk)
        for who, packet in network.sent
        if who == sender
        for chunk in decode_packet(packet, zero_is_valid=True).chunks
    ]
    return [chunk for chunk in chunks if isinstance(chunk, kind)]


def drop_once(*wanted: int) -> Callable[[int, bytes], bool]:
    """Drop the packets with these indices among those with data from the first end, once each."""
    seen = 0

    def drop(sender: int, packet: bytes) -> bool:
        nonlocal seen
        types = {chunk.type for chunk in decode_packet(packet, zero_is_valid=True).chunks}
        if sender != 0 or not types & {0, 64}:
            return False
        seen += 1
        return seen - 1 in wanted

    return drop


def received(association: Association, now: float) -> list[bytes]:
    messages = []
    while (message := association.take_message()) is not None:
        messages.append(message[2])
        association.free(len(message[2]), now)
    return messages


# Fragments


@pytest.mark.parametrize("interleaving", [False, True])
@pytest.mark.parametrize("size", [1, 1132, 1133, 1128, 1129, 4000, 262144])
def test_a_message_of_any_size_arrives_whole(size: int, interleaving: bool) -> None:
    settings = Settings(interleaving=interleaving)
    network, first, second = opened(None, settings)
    message = random.Random(size).randbytes(size)
    first.send(3, 99, message, now=network.now)
    network.run(
        lambda: bool(second._control.tcb and second._control.tcb.inbound.reassembly.messages)
    )
    assert second.take_message() == (3, 99, message)


@pytest.mark.parametrize("mtu", [576, 1200, 1500, 9000])
def test_no_packet_is_larger_than_the_path_takes(mtu: int) -> None:
    settings = Settings(path_mtu=mtu)
    network, first, second = opened(Link(max_size=mtu - 37, loss=0.1, jitter=0.05), settings)
    for index in range(30):
        first.send(index % 4, 53, bytes(index * index * 20 + 1), now=network.now)
        second.send(index % 4, 53, bytes(index + 1), now=network.now)
    count = 0

    def done() -> bool:
        nonlocal count
        count += len(received(first, network.now)) + len(received(second, network.now))
        return count == 60

    network.run(done)
    largest = max(len(packet) for _, packet in network.sent)
    assert mtu - 37 - 100 < largest <= mtu - 37


def test_the_path_mtu_may_change_in_mid_course() -> None:
    network, first, second = opened(Link(delay=0.01, max_size=1163), Settings())
    for _ in range(40):
        first.send(0, 53, bytes(10_000), now=network.now)
    network.run_for(0.03)
    first.set_path_mtu(700)
    network.sent.clear()
    count = 0

    def done() -> bool:
        nonlocal count
        count += len(received(second, network.now))
        return count == 40

    network.run(done)
    assert max(len(packet) for sender, packet in network.sent if sender == 0) == 660
    with pytest.raises(ValueError, match="at least"):
        first.set_path_mtu(100)


@pytest.mark.parametrize("interleaving", [False, True])
def test_tsns_and_stream_numbers_wrap(interleaving: bool) -> None:
    # Drawn numbers all ones: the first TSN is the last before the wrap.
    settings = Settings(interleaving=interleaving)
    ends = tuple(Association(settings, lambda size: b"\xff" * size) for _ in range(2))
    network = Network(1, (ends[0], ends[1]), Link(jitter=0.001, loss=0.01))
    open_both(network)
    total, sent, expected = 66_000, 0, 0

    def done() -> bool:
        nonlocal sent, expected
        while ends[0].buffered < 10_000 and sent < total:
            ends[0].send(0, 53, sent.to_bytes(4, "big"), now=network.now)
            sent += 1
        for message in received(ends[1], network.now):
            assert int.from_bytes(message, "big") == expected
            expected += 1
        return expected == total

    network.run(done)


def test_small_messages_share_a_packet() -> None:
    network, first, _ = opened()
    for _ in range(10):
        first.send(0, 53, b"small", now=network.now)
    network.flush()
    assert len(network.sent) == 1


# SACKs


def test_every_second_packet_is_acknowledged_at_once_and_a_single_one_soon() -> None:
    network, first, second = opened(Link(delay=0.001))
    network.drop = lambda sender, _packet: sender == 1
    first.send(0, 53, bytes(1132), now=network.now)
    first.send(0, 53, bytes(1132), now=network.now)
    first.send(0, 53, bytes(1132), now=network.now)
    packets = first.take_datagrams(network.now)
    assert len(packets) == 3
    second.receive(packets[0], network.now)
    assert second.take_datagrams(network.now) == []
    assert second.next_deadline() == network.now + PLAIN.sack_delay
    second.receive(packets[1], network.now)
    assert len(second.take_datagrams(network.now)) == 1


def test_the_last_message_of_a_burst_asks_for_its_sack_and_gets_it_without_delay() -> None:
    network, first, second = opened(Link(delay=0.001))
    first.send(0, 53, b"question", now=network.now)
    network.flush()
    (data,) = sent_by(network, 0, Data)
    assert isinstance(data, Data)
    assert data.flags & 8
    (packet,) = [packet for sender, packet in network.sent if sender == 0]
    second.receive(packet, network.now)
    assert len(second.take_datagrams(network.now)) == 1


def test_a_reply_carries_the_sack() -> None:
    network, first, second = opened()
    first.send(0, 53, b"question", now=network.now)
    (packet,) = first.take_datagrams(network.now)
    second.receive(packet, network.now)
    second.send(0, 53, b"answer", now=network.now)
    (answer,) = second.take_datagrams(network.now)
    assert [chunk.type for chunk in decode_packet(answer).chunks] == [3, 0]


def test_small_messages_back_and_forth_take_a_round_trip_each() -> None:
    network, first, second = opened(Link(delay=0.01))
    began = network.now
    for index in range(20):
        ends = (first, second) if index % 2 == 0 else (second, first)
        ends[0].send(0, 53, bytes(10), now=network.now)
        network.run(lambda: bool(received(ends[1], network.now)))  # noqa: B023
    assert network.now - began == pytest.approx(20 * 0.01)


def test_gaps_and_duplicates_are_reported() -> None:
    network, first, second = opened()
    for _ in range(4):
        first.send(0, 53, bytes(1132), now=network.now)
    packets = first.take_datagrams(network.now)
    for index in (0, 2, 2, 3):
        second.receive(packets[index], network.now)
    (answer,) = second.take_datagrams(network.now)
    (chunk,) = decode_packet(answer).chunks
    sack = decode_chunk(chunk)
    assert isinstance(sack, Sack)
    assert sack.gaps == ((2, 3),)
    assert sack.duplicates == ((sack.cumulative_tsn + 2) & 0xFFFFFFFF,)


# Loss


def test_three_missing_reports_bring_a_fast_retransmission() -> None:
    network, first, second = opened(Link(delay=0.05))
    network.drop = drop_once(1)
    for _ in range(8):
        first.send(0, 53, bytes(1132), now=network.now)
    began = network.now
    count = 0

    def done() -> bool:
        nonlocal count
        count += len(received(second, network.now))
        return count == 8

    network.run(done)
    # There, a SACK back, there again.
    assert network.now - began == pytest.approx(0.15, abs=0.01)
    assert network.now - began < PLAIN.rto_min


def test_a_retransmission_that_is_lost_too_is_noticed_before_the_timer() -> None:
    network, first, second = opened(Link(delay=0.05))
    network.drop = drop_once(1, 10)
    began = network.now
    count = sent = 0

    def done() -> bool:
        nonlocal count, sent
        while first.buffered < 3000 and sent < 60:
            first.send(0, 53, bytes(1132), now=network.now)
            sent += 1
        count += len(received(second, network.now))
        return count == 60

    network.run(done)
    tcb = first._control.tcb
    assert tcb is not None
    assert tcb.outbound.retransmitted == 2
    assert network.now - began < 2.0
    assert first._control.rto.seconds < 0.5


@pytest.mark.parametrize(("loss", "fewest", "most"), [(0.0, 0, 12), (0.02, 10, 45)])
def test_a_path_that_reorders_is_not_taken_for_one_that_loses(
    loss: float, fewest: int, most: int
) -> None:
    network, first, second = opened(Link(delay=0.05, jitter=0.02, loss=0.0), seed=2)
    network.link = Link(delay=0.05, jitter=0.02, loss=loss)
    count = sent = 0

    def done() -> bool:
        nonlocal count, sent
        while first.buffered < 50_000 and sent < 1000:
            first.send(0, 53, bytes(1100), now=network.now)
            sent += 1
        count += len(received(second, network.now))
        return count == 1000

    network.run(done)
    tcb = first._control.tcb
    assert tcb is not None
    assert tcb.outbound.outstanding.reorders
    assert fewest <= tcb.outbound.retransmitted <= most


def test_a_lost_last_packet_costs_a_timeout_below_a_second() -> None:
    network, first, second = opened(Link(delay=0.02))
    network.drop = drop_once(0)
    first.send(0, 53, b"only", now=network.now)
    began = network.now
    network.run(lambda: bool(received(second, network.now)))
    assert network.now - began < 0.6


def test_timeouts_double_up_to_the_maximum_and_end_the_association() -> None:
    network, first, _ = opened(Link(delay=0.02), Settings(max_retransmits=6, rto_max=4.0))
    network.drop = lambda _sender, _packet: True
    first.send(0, 53, b"x", now=network.now)
    network.flush()
    rto = first._control.rto.seconds
    times: list[float] = []
    last = network.now
    while not first.is_over:
        before = len(sent_by(network, 0, IData))
        network.step(network.now + 1000)
        if len(sent_by(network, 0, IData)) > before:
            times.append(network.now - last)
            last = network.now
    assert times == pytest.approx([min(rto * 2**n, 4.0) for n in range(6)])
    event = first.take_events()[-1]
    assert isinstance(event, Closed)
    assert event.reason is CloseReason.NO_ANSWER


def test_rto_follows_the_rfcs_formula_with_a_spread_for_delayed_sacks() -> None:
    rto = RetransmissionTimeout(Settings(rto_min=0.01, rto_spread=0.0))
    rto.measured(0.1)
    assert rto.seconds == pytest.approx(0.1 + 4 * 0.05)
    rto.measured(0.2)
    variation = 0.75 * 0.05 + 0.25 * 0.1
    assert rto.seconds == pytest.approx(0.1 * 7 / 8 + 0.2 / 8 + 4 * variation)
    rto.back_off()
    assert rto.seconds == pytest.approx(2 * (0.1125 + 4 * variation))
    spread = RetransmissionTimeout(Settings())
    for _ in range(50):
        spread.measured(0.02)
    assert spread.seconds == pytest.approx(0.25)


# What is refused


def test_sending_needs_a_living_association_a_stream_and_a_byte() -> None:
    network, first, _ = opened(None, Settings())
    with pytest.raises(Exception, match="empty"):
        first.send(0, 53, b"", now=network.now)
    with pytest.raises(SctpStateError):
        first.send(65535, 53, b"x", now=network.now)
    first.abort()
    with pytest.raises(SctpStateError):
        first.send(0, 53, b"x", now=network.now)
    with pytest.raises(SctpStateError):
        first.connect(network.now)


@pytest.mark.parametrize("values", [{"max_retransmits": -1}, {"lifetime": -0.1}], ids=str)
def test_a_reliability_below_zero_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="below zero"):
        Reliability(**values)


@pytest.mark.parametrize(
    "values",
    [{"path_mtu": 500}, {"receive_buffer": 1000}, {"sack_delay": 0.6}, {"max_burst": 0}],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Settings(**values)
