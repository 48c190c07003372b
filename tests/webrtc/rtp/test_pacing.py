"""Feedback of arrivals, the pacer and probes, each by itself."""

from __future__ import annotations

import pytest

from webrtc.rtp.arrivals import MAX_ARRIVALS, MAX_PER_FEEDBACK, ArrivalRecorder
from webrtc.rtp.congestion.probing import CAPACITY_SHARE, ProbeCluster, ProbeEstimator
from webrtc.rtp.pacer import BURST_INTERVAL, MAX_QUEUE_TIME, MAX_QUEUED, PACING_FACTOR, Priority
from webrtc.rtp.pacer import Pacer as AnyPacer
from webrtc.rtp.rtcp import parse_rtcp, serialise_rtcp
from webrtc.rtp.rtcp.transport_feedback import TICK

Pacer = AnyPacer[int]


def test_feedback_says_when_each_packet_came_and_which_were_lost() -> None:
    recorder = ArrivalRecorder()
    for number, at in ((65534, 100.0), (65535, 100.01), (1, 100.03)):
        recorder.receive(number, 7, at)
    assert recorder.take_feedback(9, 100.05) == []
    assert recorder.next_deadline() == pytest.approx(100.1)
    (feedback,) = recorder.take_feedback(9, 100.1)
    assert (feedback.base_sequence_number, feedback.packet_count) == (65534, 4)
    assert [place for place, _ in feedback.received] == [0, 1, 3]
    times = [ticks * TICK for _, ticks in feedback.arrivals()]
    assert times == pytest.approx([100.0, 100.01, 100.03], abs=TICK)
    assert recorder.next_deadline() is None


def test_what_was_lost_between_two_messages_is_in_the_second() -> None:
    recorder = ArrivalRecorder()
    recorder.receive(10, 7, 1.0)
    (first,) = recorder.take_feedback(9, 2.0)
    recorder.receive(13, 7, 3.0)
    (second,) = recorder.take_feedback(9, 4.0)
    assert (second.base_sequence_number, second.packet_count) == (11, 3)
    assert [place for place, _ in second.received] == [2]
    assert (first.feedback_count, second.feedback_count) == (0, 1)


def test_arrivals_too_far_apart_for_a_delta_go_into_two_messages() -> None:
    recorder = ArrivalRecorder()
    recorder.receive(1, 7, 10.0)
    recorder.receive(2, 7, 30.0)  # a delta of 16 bits reaches 8 s
    messages = recorder.take_feedback(9, 30.0)
    assert len(messages) == 2
    parsed = parse_rtcp(serialise_rtcp(messages))
    assert parsed == tuple(messages)


def test_arrivals_held_and_reported_at_once_are_bounded() -> None:
    recorder = ArrivalRecorder()
    for number in range(10_000):
        recorder.receive(number & 0xFFFF, 7, 0.001 * number)
    messages = recorder.take_feedback(9, 20.0)
    assert sum(len(message.received) for message in messages) == MAX_ARRIVALS
    assert max(message.packet_count for message in messages) <= MAX_PER_FEEDBACK
    assert recorder.dropped == 10_000 - MAX_ARRIVALS


def test_the_interval_keeps_feedback_at_a_share_of_the_bit_rate() -> None:
    recorder = ArrivalRecorder()
    recorder.set_bitrate(50_000)
    assert recorder.interval == pytest.approx(8 * 68 / 2500)
    recorder.set_bitrate(10_000_000)
    assert recorder.interval == 0.05


def test_packets_leave_at_the_pacing_rate() -> None:
    pacer = Pacer(1_000_000 / PACING_FACTOR, size_of=lambda size: size)
    for _ in range(50):
        pacer.add(1250, Priority.VIDEO)  # 10 ms each at 1 Mbit/s
    sent = 0
    now = 1.0
    while now < 1.2:
        sent += len(pacer.take(now))
        now += 0.001
    assert sent == pytest.approx(20, abs=1)


def test_time_unused_is_not_saved_up_for_a_burst() -> None:
    pacer = Pacer(1_000_000 / PACING_FACTOR, size_of=lambda size: size)
    pacer.add(125, Priority.VIDEO)
    pacer.take(1.0)
    for _ in range(100):
        pacer.add(125, Priority.VIDEO)  # 1 ms each
    assert len(pacer.take(60.0)) == pytest.approx(BURST_INTERVAL / 0.001, abs=1)


def test_audio_goes_at_once_then_repairs_then_video() -> None:
    pacer = Pacer(1_000, size_of=lambda size: 10)
    pacer.add(1, Priority.VIDEO)
    pacer.take(1.0)
    for item, priority in (
        (2, Priority.VIDEO),
        (3, Priority.RETRANSMISSION),
        (4, Priority.AUDIO),
        (5, Priority.AUDIO),
    ):
        pacer.add(item, priority)
    assert [paced.item for paced in pacer.take(1.0)] == [4, 5]
    rest = [paced.item for step in range(500) for paced in pacer.take(1.0 + step * 0.01)]
    assert rest == [3, 2]


def test_the_queue_is_bounded_and_drains_in_time() -> None:
    pacer = Pacer(1_000, size_of=lambda size: size)
    taken = sum(pacer.add(1000, Priority.VIDEO) for _ in range(MAX_QUEUED + 10))
    assert (taken, pacer.dropped) == (MAX_QUEUED, 10)
    now = 0.0
    while len(pacer) > 0.4 * MAX_QUEUED:
        now += 0.001
        pacer.take(now)
    assert now <= MAX_QUEUE_TIME


def test_a_probe_is_filled_with_padding_and_ends() -> None:
    pacer = Pacer(300_000, size_of=lambda size: size)
    pacer.allow_padding()
    pacer.probe(ProbeCluster.at(1, 3_000_000))
    assert pacer.take(0.9) == []  # it begins with media
    pacer.add(1000, Priority.VIDEO)
    out = [paced for step in range(100) for paced in pacer.take(1.0 + step * 0.001)]
    assert out[0].item == 1000
    assert {paced.item for paced in out[1:]} == {None}
    assert {paced.cluster for paced in out} == {1}
    assert 1000 + 400 * (len(out) - 1) >= 3_000_000 * 0.015 / 8
    assert pacer.next_deadline() is None


def probe(sent_interval: float, arrival_interval: float) -> float | None:
    estimator = ProbeEstimator()
    found = None
    for index in range(6):
        found = estimator.add(1, 1 + index * sent_interval, 2 + index * arrival_interval, 1250)
    return found


@pytest.mark.parametrize(
    ("sent", "arrived", "expected"),
    [
        (0.005, 0.005, 2_000_000),  # as fast as it was sent: at least that
        (0.005, 0.010, CAPACITY_SHARE * 1_000_000),  # the path was full
        (0.005, 0.001, None),  # queued before it was timed
        (0.0, 0.005, None),
    ],
)
def test_a_probe_tells_the_paths_rate(sent: float, arrived: float, expected: float | None) -> None:
    found = probe(sent, arrived)
    assert found == (None if expected is None else pytest.approx(expected))
    assert CAPACITY_SHARE < 1
