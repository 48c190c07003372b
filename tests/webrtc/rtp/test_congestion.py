"""The controller against a simulated bottleneck, by seed and virtual time."""

import itertools
import random

import pytest

from tests.webrtc.rtp.network import Path
from webrtc.rtp.arrivals import ArrivalRecorder
from webrtc.rtp.congestion import CongestionController, ReceiveSideEstimator
from webrtc.rtp.congestion.inter_arrival import InterArrival
from webrtc.rtp.congestion.loss_control import LossControl
from webrtc.rtp.congestion.trendline import BandwidthUsage, TrendlineEstimator
from webrtc.rtp.header_extensions import absolute_send_time
from webrtc.rtp.pacer import PADDING_SIZE_BYTES, Pacer, Priority
from webrtc.rtp.rtcp import TransportFeedback, parse_rtcp, serialise_rtcp

FRAME_INTERVAL = 1 / 30
PACKET_BYTES = 1100
STEP = 0.001


class Call:
    """A video sender that fills its target bit rate, and a receiver that sends feedback."""

    def __init__(
        self,
        path: Path[tuple[int, int]],
        start_bps: float,
        *,
        feedback: Path[TransportFeedback] | None = None,
        probes: bool = True,
    ) -> None:
        self.path = path
        self.back = feedback if feedback is not None else Path(delay=0.05)
        self.controller = CongestionController(start_bps)
        self.recorder = ArrivalRecorder()
        self.pacer: Pacer[int] = Pacer(
            start_bps, size_of=lambda size: size, pad=lambda: PADDING_SIZE_BYTES
        )
        self.now = 1e5
        self.history: list[float] = []
        self.probes = probes
        self.is_sending = True
        self._frame_at = self.now

    def step(self) -> None:
        now = self.now = self.now + STEP
        controller, pacer = self.controller, self.pacer
        if now >= self._frame_at and self.is_sending:
            self._frame_at = now + FRAME_INTERVAL
            frame = int(controller.target_bps * FRAME_INTERVAL / 8)
            for start in range(0, frame, PACKET_BYTES):
                pacer.add(min(frame - start, PACKET_BYTES), Priority.VIDEO)
        if self.probes:
            for cluster in controller.take_probes():
                pacer.probe(cluster)
        pacer.set_bitrate(controller.target_bps)
        for paced in pacer.take(now):
            size = paced.item
            number = controller.send(size, now, paced.cluster)
            self.path.send((number, size), size, now)
        for number, _ in self.path.take(now):
            self.recorder.receive(number, 1, now)
        for feedback in self.recorder.take_feedback(2, now):
            (wired,) = parse_rtcp(serialise_rtcp([feedback]))
            assert isinstance(wired, TransportFeedback)
            self.back.send(wired, 60, now)
        for feedback in self.back.take(now):
            controller.receive_feedback(feedback, now)
        deadline = controller.next_deadline()
        if deadline is not None and now >= deadline:
            controller.on_deadline(now)
        self.history.append(controller.target_bps)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.step()

    def mean_bps(self, seconds: float) -> float:
        last = self.history[-round(seconds / STEP) :]
        return sum(last) / len(last)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("start_bps", [100_000, 300_000, 2_000_000])
def test_the_rate_converges_to_a_bottleneck_within_10_s(seed: int, start_bps: float) -> None:
    call = Call(Path(seed=seed, bitrate_bps=500_000, jitter=0.003), start_bps)
    call.run(10)
    call.run(5)
    assert 400_000 <= call.mean_bps(5) <= 525_000
    assert min(call.history[-5000:]) >= 350_000


@pytest.mark.parametrize("seed", range(3))
def test_loss_by_chance_does_not_starve_the_call(seed: int) -> None:
    call = Call(Path(seed=seed, bitrate_bps=500_000, jitter=0.003, loss=0.05), 300_000)
    call.run(20)
    assert 250_000 <= call.mean_bps(10) <= 525_000


def test_without_probes_the_rate_grows_8_percent_a_second() -> None:
    call = Call(Path(bitrate_bps=10_000_000), 300_000, probes=False)
    call.run(2)
    before = call.controller.target_bps
    call.run(4)
    assert call.controller.target_bps / before == pytest.approx(1.08**4, rel=0.1)


def test_probes_find_a_fast_path_within_two_seconds() -> None:
    call = Call(Path(bitrate_bps=10_000_000), 300_000)
    call.run(2)
    assert 4_000_000 < call.controller.target_bps < 11_000_000


def test_the_rate_follows_a_path_that_turns_slow_and_fast_again() -> None:
    path: Path[tuple[int, int]] = Path(bitrate_bps=2_000_000)
    call = Call(path, 1_000_000)
    call.run(10)
    assert call.mean_bps(2) > 1_400_000
    path.bitrate_bps = 500_000
    call.run(10)
    assert 350_000 < call.mean_bps(3) < 550_000
    path.bitrate_bps = 2_000_000
    call.run(25)
    assert call.mean_bps(1) > 1_000_000


def test_the_queue_of_the_bottleneck_stays_short_once_converged() -> None:
    path: Path[tuple[int, int]] = Path(bitrate_bps=500_000)
    call = Call(path, 300_000)
    call.run(15)
    before = path.overflowed
    worst = 0.0
    for _ in range(10_000):
        call.step()
        worst = max(worst, path._free_at - call.now)
    assert path.overflowed == before
    assert worst < 0.2


def test_missing_feedback_halves_the_rate_until_it_comes_again() -> None:
    back: Path[TransportFeedback] = Path(delay=0.05)
    call = Call(Path(bitrate_bps=2_000_000), 1_000_000, feedback=back, probes=False)
    call.run(3)
    before = call.controller.target_bps
    back.loss = 1.0
    call.run(4)
    assert call.controller.target_bps <= before / 4 * 1.01
    back.loss = 0.0
    call.run(10)
    assert call.controller.target_bps > before / 2


def test_silence_is_no_missing_feedback() -> None:
    call = Call(Path(bitrate_bps=2_000_000), 1_000_000, probes=False)
    call.run(3)
    call.is_sending = False
    call.run(1)
    assert call.controller.next_deadline() is None
    before = call.controller.target_bps
    call.run(60)
    assert call.controller.target_bps == before


def test_feedback_on_packets_never_sent_changes_nothing() -> None:
    controller = CongestionController(300_000)
    controller.send(1000, 0.0)
    fake = TransportFeedback(1, 1, 5000, 65000, 0, 0, tuple((i, 1) for i in range(100)))
    controller.receive_feedback(fake, 0.1)
    assert controller.target_bps == 300_000


def test_a_bursts_packets_are_one_group() -> None:
    groups = InterArrival()
    deltas = [
        groups.add(sent, arrival)
        for sent, arrival in [
            (0.000, 1.000),
            (0.004, 1.010),  # within 5 ms: the same group
            (0.033, 1.040),  # the next group begins; one alone has no deltas
            (0.066, 1.100),
        ]
    ]
    assert deltas[:3] == [None, None, None]
    assert deltas[3] == pytest.approx((0.029, 0.030))


@pytest.mark.parametrize(
    ("arrival_interval", "usage"),
    [
        (0.033, BandwidthUsage.NORMAL),
        (0.040, BandwidthUsage.OVERUSING),
        (0.026, BandwidthUsage.UNDERUSING),
    ],
)
def test_the_delays_slope_tells_how_the_path_is_used(
    arrival_interval: float, usage: BandwidthUsage
) -> None:
    trend = TrendlineEstimator()
    seen = {trend.add(0.033, arrival_interval, n * arrival_interval) for n in range(25)}
    assert seen == {BandwidthUsage.NORMAL, usage}


@pytest.mark.parametrize(
    ("lost", "expected"),
    [(0, 109_000), (2, 109_000), (5, 100_000), (10, 100_000), (20, 90_000)],
)
def test_loss_moves_the_rate_as_gcc_6_has_it(lost: int, expected: float) -> None:
    control = LossControl(100_000, 10_000, 1_000_000)
    assert control.receive(lost, 100, 1_000_000, 0.1, 0.0) == pytest.approx(expected)


def rate_after(loss: float, seconds: int, seed: int) -> float:
    """Return the loss-based estimate, from 500 kbit/s, where 60 packets a second are sent."""
    dice = random.Random(seed)
    control = LossControl(500_000, 10_000, 1_000_000)
    for step in range(10 * seconds):
        lost = sum(dice.random() < loss for _ in range(6))
        control.receive(lost, 6, 1_000_000, 0.1, 0.1 * step)
    return control.bitrate_bps


@pytest.mark.parametrize("seed", range(5))
def test_loss_by_chance_is_told_from_loss_that_is_too_high(seed: int) -> None:
    assert rate_after(0.05, 60, seed) >= 500_000
    assert rate_after(0.15, 10, seed) < 490_000
    assert rate_after(0.4, 3, seed) < 450_000


def test_the_receive_side_estimate_converges_and_is_told_at_once_when_it_falls() -> None:
    path: Path[tuple[int, int]] = Path(bitrate_bps=500_000, jitter=0.002)
    estimator = ReceiveSideEstimator(300_000)
    told: list[tuple[float, int]] = []
    target = 300_000.0
    frame_at = 0.0
    for step in range(15_000):
        now = step * STEP
        if now >= frame_at:
            frame_at += FRAME_INTERVAL
            size = int(target * FRAME_INTERVAL / 8)
            path.send((absolute_send_time(now), size), size, now)
        for sent_at, size in path.take(now):
            estimator.receive(sent_at, size, now)
        bitrate = estimator.take_remb(now)
        if bitrate is not None:
            target = bitrate
            told.append((now, bitrate))
    assert 350_000 <= sum(bitrate for _, bitrate in told[-4:]) / 4 <= 550_000
    pairs = list(itertools.pairwise(told))
    assert all(after < before for (then, before), (at, after) in pairs if at - then < 0.99)
