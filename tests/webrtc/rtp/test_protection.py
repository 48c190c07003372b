"""A call over a narrow and lossy path, on virtual time: bit rate, FEC and what arrives."""

from __future__ import annotations

import attrs
import pytest

from tests.webrtc.rtp.network import Path
from tests.webrtc.rtp.pair import (
    VIDEO,
    Camera,
    Pair,
    fec_sender,
    video_receiver,
)
from webrtc.rtp import Datagram, LossReported
from webrtc.rtp.fec_control import MAX_RATIO, FecControl

BOTTLENECK_BPS = 500_000
LOSS = 0.05


def call(out: Path[Datagram], *, seed: int = 1) -> tuple[Pair, Camera]:
    pair = Pair(seed=seed, out=out, back=Path(seed=seed + 1, delay=out.delay))
    pair.sender.session.add_sender(fec_sender)
    pair.receiver.session.add_receiver(video_receiver)
    return pair, Camera(pair)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("delay", [0.01, 0.1])
def test_the_bit_rate_converges_within_10_s_on_a_narrow_path_that_loses_5_percent(
    seed: int, delay: float
) -> None:
    narrow: Path[Datagram] = Path(
        seed=seed, delay=delay, jitter=0.005, loss=LOSS, bitrate_bps=BOTTLENECK_BPS
    )
    pair, camera = call(narrow, seed=seed)
    pair.run(10)
    rates: list[float] = []
    pair.ticks.append(lambda _now: rates.append(pair.sender.session.target_bps))
    seen, sent = len(pair.receiver.frames("v")), len(camera.sent)
    pair.run(10)
    assert 0.7 * BOTTLENECK_BPS <= sum(rates) / len(rates) <= 1.05 * BOTTLENECK_BPS
    assert min(rates) >= 0.5 * BOTTLENECK_BPS
    # All but what is on its way, or could not be repaired in time.
    assert len(pair.receiver.frames("v")) - seen >= 0.95 * (len(camera.sent) - sent)


def test_fec_comes_with_loss_on_a_long_path_and_goes_when_it_ends() -> None:
    path: Path[Datagram] = Path(delay=0.1)
    pair, camera = call(path)
    camera.bitrate_bps = 600_000
    session = pair.sender.session
    pair.run(5)
    assert session.fec_ratio(VIDEO) == 0
    assert session.send_statistics()[VIDEO].fec_packets_sent == 0
    path.loss = LOSS
    pair.run(10)
    assert 0.1 < session.fec_ratio(VIDEO) <= MAX_RATIO
    statistics = pair.receiver.session.receive_statistics()["v", VIDEO]
    assert statistics.fec_packets_recovered > 10
    path.loss = 0.0
    pair.run(30)
    assert session.fec_ratio(VIDEO) == 0
    before = session.send_statistics()[VIDEO].fec_packets_sent
    pair.run(5)
    assert session.send_statistics()[VIDEO].fec_packets_sent == before


def lateness(*, fec: bool) -> list[float]:
    """Return how much later than the path's delay each frame was whole, the worst last."""
    path: Path[Datagram] = Path(seed=5, delay=0.1, loss=LOSS)
    pair, camera = call(path)
    camera.bitrate_bps = 600_000
    pair.sender.session.set_fec_ratio(VIDEO, 0.25 if fec else 0)
    pair.run(30)
    sent = {frame: at for at, frame in camera.sent}
    return sorted(
        event.frame.received_at - sent[event.frame.data] - path.delay
        for event in pair.receiver.frames("v")
    )


def test_on_a_long_path_what_fec_brings_back_is_there_before_a_retransmission() -> None:
    round_trip = 0.2
    with_fec, without = lateness(fec=True), lateness(fec=False)

    def late_share(delays: list[float]) -> float:
        return sum(delay > round_trip for delay in delays) / len(delays)

    assert len(with_fec) >= 850
    assert late_share(without) > 0.1
    assert late_share(with_fec) < late_share(without) / 2


def test_on_a_short_path_retransmissions_are_enough() -> None:
    pair, camera = call(Path(delay=0.005, loss=LOSS))
    camera.bitrate_bps = 600_000
    pair.run(15)
    assert pair.sender.session.send_statistics()[VIDEO].fec_packets_sent == 0
    assert pair.sender.session.send_statistics()[VIDEO].retransmitted_packets_sent > 10


def test_without_retransmissions_there_is_fec_on_any_path() -> None:
    control = FecControl(repairs=False)
    assert control.receive(0.0, None) == 0
    assert control.receive(0.1, None) > 0
    assert attrs.evolve(fec_sender, rtx_ssrc=None).ulpfec_payload_type is not None


def test_the_expected_loss_is_told_with_each_report() -> None:
    pair, camera = call(Path(delay=0.05, loss=0.1))
    camera.bitrate_bps = 600_000
    pair.run(20)
    told = [
        event.expected_loss for _, event in pair.sender.events if isinstance(event, LossReported)
    ]
    assert len(told) >= 10
    assert 0.05 <= sum(told[-5:]) / 5 <= 0.2
