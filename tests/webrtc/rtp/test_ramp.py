"""How soon a call has the bit rate that it has a use for, and what that costs the path."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from tests.webrtc.rtp.network import Path
from tests.webrtc.rtp.pair import STEP, VIDEO, Camera, End, Pair, video_receiver, video_sender
from webrtc.rtp import Datagram
from webrtc.rtp.congestion.probe_schedule import (
    MAX_INTERVAL,
    MAX_MISLED_INTERVAL,
    MIN_INTERVAL,
    WANTED_SHARE,
    ProbeSchedule,
)

WANTED_BPS = 1_700_000
"""What an encoder takes for 640x480."""


class BusyPair(Pair):
    """Two ends on a machine that now and then lets one of them wait."""

    def __init__(self, *, seed: int, stalls: tuple[float, float], delay: float) -> None:
        """Begin; `stalls` are how many a second, and for how many seconds at most."""
        super().__init__(seed=seed, out=Path(seed=seed, delay=delay), back=Path(delay=delay))
        self._dice = random.Random(seed)
        self._often, self._longest = stalls
        self._waits: dict[str, float] = {}

    def _exchange(self, end: End, out: Path[Datagram], incoming: Path[Datagram]) -> None:
        if self._dice.random() < self._often * STEP:
            wait = self._dice.random() * self._longest
            self._waits[end.session.config.cname] = self.now + wait
        if self.now >= self._waits.get(end.session.config.cname, 0.0):
            super()._exchange(end, out, incoming)


class Call:
    """A call whose camera takes what there is up to `WANTED_BPS`; notes the target."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.targets: list[float] = []
        pair.sender.session.add_sender(video_sender)
        pair.receiver.session.add_receiver(video_receiver)
        pair.sender.session.want(WANTED_BPS)
        self.camera = Camera(pair)
        pair.ticks.insert(0, self._tick)

    def _tick(self, _now: float) -> None:
        target = self.pair.sender.session.target_bps
        self.targets.append(target)
        self.camera.bitrate_bps = min(target, WANTED_BPS)

    @property
    def target_bps(self) -> float:
        return self.pair.sender.session.target_bps

    @property
    def reached_at(self) -> float | None:
        """Seconds after which the target was what is wanted."""
        for step, target in enumerate(self.targets):
            if target >= WANTED_BPS:
                return step * STEP
        return None

    @property
    def padding(self) -> int:
        """Packets that were sent to fill probes."""
        return self.pair.sender.session.send_statistics()[VIDEO].retransmitted_packets_sent


def good_line(seed: int, delay: float, jitter: float = 0.0, loss: float = 0.0) -> Pair:
    out: Path[Datagram] = Path(seed=seed, delay=delay, jitter=jitter, loss=loss)
    return Pair(seed=seed, out=out, back=Path(seed=seed + 1, delay=delay, jitter=jitter))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("pair", "within"),
    [
        (lambda seed: good_line(seed, 0.001), 0.5),
        (lambda seed: good_line(seed, 0.05, jitter=0.005), 1.0),
        (lambda seed: good_line(seed, 0.15), 1.5),
        (lambda seed: BusyPair(seed=seed, stalls=(5, 0.08), delay=0.001), 2.0),
        (lambda seed: BusyPair(seed=seed, stalls=(2, 0.2), delay=0.02), 6.0),
        (lambda seed: good_line(seed, 0.1, jitter=0.03, loss=0.05), 8.0),
    ],
    ids=["lan", "internet", "far", "busy", "very busy", "bad"],
)
def test_a_call_has_the_bit_rate_it_wants_in_a_moment_where_the_line_carries_it(
    pair: Callable[[int], Pair], within: float, seed: int
) -> None:
    call = Call(pair(seed))
    call.pair.run(within)
    assert call.reached_at is not None


def test_what_nobody_wants_is_not_looked_for() -> None:
    call = Call(good_line(1, 0.02))
    call.pair.run(1)
    before = call.padding
    call.pair.run(30)
    assert call.padding == before
    assert call.target_bps < 2 * WANTED_BPS


def test_of_whom_nobody_knows_the_wants_no_more_is_looked_for_than_some_times_what_he_sends() -> (
    None
):
    call = Call(good_line(1, 0.02))
    call.pair.sender.session.want(None)
    call.pair.run(3)
    before = call.padding
    call.pair.run(30)
    assert call.target_bps > WANTED_BPS
    assert call.padding == before


def test_who_wants_more_later_gets_it_in_a_moment() -> None:
    call = Call(good_line(1, 0.02))
    call.pair.run(5)
    call.pair.sender.session.want(4 * WANTED_BPS)
    call.pair.run(MIN_INTERVAL + 1)
    assert call.target_bps >= 4 * WANTED_BPS


def test_a_path_that_stood_still_is_found_again_within_seconds() -> None:
    call = Call(good_line(1, 0.02))
    call.pair.run(3)
    # A second in which nothing arrives and everything is late: the rate falls to next to nothing.
    call.pair.out.bitrate_bps = 50_000
    call.pair.run(1)
    call.pair.out.bitrate_bps = None
    call.pair.run(2)
    fallen = min(call.targets[-3000:])
    assert fallen < 0.5 * WANTED_BPS
    call.pair.run(8)
    assert call.target_bps >= WANTED_BPS


@pytest.mark.parametrize("seed", range(3))
def test_probing_a_narrow_path_costs_little_and_fills_no_queue(seed: int) -> None:
    path: Path[Datagram] = Path(seed=seed, delay=0.05, jitter=0.003, bitrate_bps=500_000)
    call = Call(Pair(seed=seed, out=path, back=Path(seed=seed + 1)))
    call.pair.run(10)
    before, overflowed = call.padding, path.overflowed
    queues: list[float] = []
    call.pair.ticks.append(lambda now: queues.append(path._free_at - now))
    call.pair.run(60)
    assert path.overflowed == overflowed
    assert max(queues) < 0.25
    assert 0 < call.padding - before < 60  # kilobytes, of almost four megabytes


def probe_times(seconds: float, *, misleads: bool) -> list[float]:
    """Return when a schedule probes if each probe finds something, true or not."""
    schedule = ProbeSchedule(300_000, 20_000_000)
    assert [cluster.bitrate_bps for cluster in schedule.take()] == [900_000, 1_800_000]
    times = []
    for step in range(round(seconds / 0.1)):
        now = 0.1 * step
        schedule.look(500_000, now)
        if schedule.take():
            times.append(now)
            schedule.find(600_000, 500_000, now)
            if misleads:
                schedule.fall(600_000, 500_000, now + 1)
    return times


def test_probes_get_rarer_and_stay_rare_where_what_polices_a_rate_lets_bursts_pass() -> None:
    gaps = [after - before for before, after in itertools.pairwise(probe_times(60, misleads=False))]
    assert gaps[:3] == pytest.approx([2, 4, 8], abs=0.2)
    assert gaps[-1] == pytest.approx(MAX_INTERVAL, abs=0.2)
    gaps = [after - before for before, after in itertools.pairwise(probe_times(600, misleads=True))]
    assert gaps[-1] == pytest.approx(MAX_MISLED_INTERVAL + 1, abs=0.2)


def test_a_deep_fall_that_no_probe_led_to_is_followed_by_a_probe_at_once() -> None:
    schedule = ProbeSchedule(300_000, 20_000_000)
    schedule.take()
    for now in (0.0, 1.0, 3.0, 7.0, 15.0, 23.0):
        schedule.look(500_000, now)
        schedule.take()
    schedule.fall(500_000, 400_000, 23.5)
    schedule.look(400_000, 23.5 + MIN_INTERVAL)
    assert schedule.take() == []
    schedule.fall(400_000, 200_000, 26.0)
    schedule.look(200_000, 26.0 + MIN_INTERVAL)
    assert [cluster.bitrate_bps for cluster in schedule.take()] == [400_000]


def test_no_probe_is_faster_than_there_is_a_use_for() -> None:
    schedule = ProbeSchedule(300_000, 20_000_000)
    schedule.wanted_bps = 600_000
    (cluster,) = schedule.take()
    assert cluster.bitrate_bps == WANTED_SHARE * 600_000
    schedule.find(500_000, 300_000, 1.0)
    assert schedule.take() == []
    schedule.wanted_bps = None
    schedule.find(900_000, 300_000, 1.0)
    assert [cluster.bitrate_bps for cluster in schedule.take()] == [1_800_000]
