"""Feedback of arrivals, the pacer and probes, each by itself."""

from __future__ import annotations

import pytest

from webrtc.rtp.arrivals import MAX_ARRIVALS, MAX_PER_FEEDBACK, ArrivalRecorder
from webrtc.rtp.congestion.probing import CAPACITY_SHARE, ProbeCluster, ProbeEstimator
from webrtc.rtp.pacer import (
    BURST_INTERVAL,
    MAX_QUEUE_TIME,
    MAX_QUEUED,
    PACING_FACTOR,
    Pacer,
    Priority,
)
from webrtc.rtp.rtcp import parse_rtcp, serialise_rtcp
from webrtc.rtp.rtcp.transport_feedback import TICK

PADDING = 300


def pacer_at(
    bitrate_bps: float, *, size: int | None = None, padding: int | None = None
) -> Pacer[int]:
    """Return a pacer of numbers, which are as large as they say, or all of one size."""
    return Pacer(
        bitrate_bps,
        size_of=lambda item: item if size is None else size,
        pad=lambda: padding,
    )


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


def test_packets_leave_at_the_pacing_rate() -> None:
    pacer = pacer_at(1_000_000 / PACING_FACTOR)
    for _ in range(50):
        pacer.add(1250, Priority.VIDEO)  # 10 ms each at 1 Mbit/s
    sent = 0
    now = 1.0
    while now < 1.2:
        sent += len(pacer.take(now))
        now += 0.001
    assert sent == pytest.approx(20, abs=1)


def test_time_unused_is_not_saved_up_for_a_burst() -> None:
    pacer = pacer_at(1_000_000 / PACING_FACTOR)
    pacer.add(125, Priority.VIDEO)
    pacer.take(1.0)
    for _ in range(100):
        pacer.add(125, Priority.VIDEO)  # 1 ms each
    assert len(pacer.take(60.0)) == pytest.approx(BURST_INTERVAL / 0.001, abs=1)


def test_audio_goes_at_once_then_repairs_then_video() -> None:
    pacer = pacer_at(1_000, size=10)
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
    pacer = pacer_at(1_000)
    taken = sum(pacer.add(1000, Priority.VIDEO) for _ in range(MAX_QUEUED + 10))
    assert (taken, pacer.dropped) == (MAX_QUEUED, 10)
    now = 0.0
    while len(pacer) > 0.4 * MAX_QUEUED:
        now += 0.001
        pacer.take(now)
    assert now <= MAX_QUEUE_TIME


def test_a_probe_is_filled_with_padding_and_ends() -> None:
    pacer = pacer_at(300_000, padding=PADDING)
    pacer.probe(ProbeCluster.at(1, 3_000_000))
    assert pacer.take(0.9) == []  # it begins with media
    pacer.add(1000, Priority.VIDEO)
    out = [paced for step in range(100) for paced in pacer.take(1.0 + step * 0.001)]
    assert [paced.item for paced in out] == [1000] + [PADDING] * (len(out) - 1)
    assert {paced.cluster for paced in out} == {1}
    wanted = 3_000_000 * 0.015 / 8
    assert wanted <= 1000 + PADDING * (len(out) - 1) < wanted + PADDING
    assert pacer.next_deadline() is None


def test_a_probe_with_nothing_to_pad_with_ends_early() -> None:
    pacer = pacer_at(300_000, padding=None)
    pacer.probe(ProbeCluster.at(1, 3_000_000))
    pacer.add(100, Priority.VIDEO)
    out = [paced for step in range(100) for paced in pacer.take(1.0 + step * 0.001)]
    assert [paced.item for paced in out] == [100]
    assert pacer.next_deadline() is None
    pacer.add(100, Priority.VIDEO)
    assert [paced.cluster for paced in pacer.take(2.0)] == [None]


def probe(sent_interval: float, arrival_interval: float, packets: int = 6) -> float | None:
    estimator = ProbeEstimator()
    estimator.begin(ProbeCluster(1, 2_000_000, 5, 7500))
    found = None
    for index in range(packets):
        found = estimator.add(1, 1 + index * sent_interval, 2 + index * arrival_interval, 1250)
    return found


def test_some_packets_of_a_probe_tell_nothing() -> None:
    # Four fifths of its packets, but not of its bytes: the first of a burst flatter the path.
    assert probe(0.005, 0.005, packets=4) is None
    assert probe(0.005, 0.005, packets=5) == pytest.approx(2_000_000)


def test_what_was_no_probe_tells_nothing() -> None:
    estimator = ProbeEstimator()
    for number in range(20):  # a cluster for each: the oldest are forgotten
        estimator.begin(ProbeCluster(number, 2_000_000, 5, 7500))
    assert all(estimator.add(1, 1 + n, 2 + n, 1250) is None for n in range(10))


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
