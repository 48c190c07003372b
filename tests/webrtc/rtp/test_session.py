"""Whole calls between two sessions over simulated paths."""

from __future__ import annotations

import itertools

import attrs
import pytest

from tests.webrtc.rtp.network import Path
from tests.webrtc.rtp.pair import (
    AUDIO,
    VIDEO,
    VIDEO_RTX,
    Camera,
    Microphone,
    Pair,
    audio_receiver,
    audio_sender,
    fec_sender,
    video_receiver,
    video_sender,
    vp8_frame,
)
from webrtc.rtp import Datagram, ExtensionMap
from webrtc.rtp.header_extensions import MID_URI


def video_pair(out: Path[Datagram] | None = None, back: Path[Datagram] | None = None) -> Pair:
    pair = Pair(out=out, back=back)
    pair.sender.session.add_sender(video_sender)
    pair.receiver.session.add_receiver(video_receiver)
    return pair


def test_frames_arrive_whole_and_in_order_on_a_perfect_path() -> None:
    pair = video_pair()
    camera = Camera(pair)
    pair.run(5)
    frames = [event.frame.data for event in pair.receiver.frames("v")]
    assert len(frames) >= 140
    assert frames == [frame for _, frame in camera.sent[: len(frames)]]
    assert camera.key_frames == 1


@pytest.mark.parametrize("seed", range(4))
def test_nack_and_rtx_repair_five_percent_loss(seed: int) -> None:
    pair = video_pair(out=Path(seed=seed, loss=0.05, jitter=0.005), back=Path(seed=seed, loss=0.05))
    camera = Camera(pair, bitrate_bps=800_000)
    pair.run(20)
    frames = [event.frame.data for event in pair.receiver.frames("v")]
    assert pair.out.lost > 50
    # All of them but those still on their way, and no key frame was needed for it.
    assert len(frames) >= len(camera.sent) - 15
    assert frames == [frame for _, frame in camera.sent[: len(frames)]]
    assert camera.key_frames <= 2
    (statistics,) = pair.receiver.session.receive_statistics().values()
    assert statistics.retransmitted_packets_received > 40
    assert statistics.frames_dropped == 0


def test_without_repair_a_key_frame_is_asked_for_and_decoding_goes_on() -> None:
    pair = Pair(out=Path(seed=3, loss=0.02))
    pair.sender.session.add_sender(attrs.evolve(video_sender, rtx_ssrc=None))
    pair.receiver.session.add_receiver(video_receiver)
    camera = Camera(pair, bitrate_bps=400_000)
    pair.run(30)
    events = pair.receiver.frames("v")
    sent = [frame for _, frame in camera.sent]
    places = [sent.index(event.frame.data) for event in events]
    assert places == sorted(places)
    assert camera.key_frames > 3
    # Whatever is given can be decoded: after a gap comes a key frame.
    gaps = [n for n in range(1, len(places)) if places[n] != places[n - 1] + 1]
    assert gaps
    assert all(events[n].frame.is_key_frame for n in gaps)
    assert places[-1] > len(sent) - 60


@pytest.mark.parametrize("seed", range(3))
def test_fec_recovers_single_losses_without_retransmission(seed: int) -> None:
    pair = Pair(out=Path(seed=seed, loss=0.02))
    pair.sender.session.add_sender(attrs.evolve(fec_sender, rtx_ssrc=None))
    codecs = tuple(attrs.evolve(codec, nack=False) for codec in video_receiver.codecs)
    pair.receiver.session.add_receiver(attrs.evolve(video_receiver, codecs=codecs))
    pair.sender.session.set_fec_ratio(VIDEO, 0.5)
    camera = Camera(pair, bitrate_bps=600_000)
    pair.run(20)
    (statistics,) = pair.receiver.session.receive_statistics().values()
    assert statistics.fec_packets_recovered > 10
    assert statistics.nack_count == 0
    data = {frame for _, frame in camera.sent}
    assert {event.frame.data for event in pair.receiver.frames("v")} <= data
    assert len(pair.receiver.frames("v")) > 0.9 * len(camera.sent)


@pytest.mark.parametrize("start_bps", [300_000, 2_000_000])
def test_the_target_converges_to_a_bottleneck_within_10_s_and_video_flows(start_bps: float) -> None:
    out: Path[Datagram] = Path(seed=5, bitrate_bps=500_000, jitter=0.003)
    pair = video_pair(out=out)
    session = pair.sender.session
    pair.sender.session = type(session)(
        attrs.evolve(session.config, start_bps=start_bps), lambda n: n // 3
    )
    pair.sender.session.add_sender(video_sender)
    Camera(pair)
    pair.run(10)
    targets = []
    for _ in range(50):
        pair.run(0.1)
        targets.append(pair.sender.session.target_bps)
    assert 330_000 <= sum(targets) / len(targets) <= 525_000
    recent = [at for at, _ in pair.receiver.events if at > pair.now - 5]
    assert len(recent) > 130  # of 150 frames


def test_audio_is_played_evenly_whatever_the_jitter() -> None:
    pair = Pair(out=Path(seed=2, jitter=0.06))
    pair.sender.session.add_sender(audio_sender)
    pair.receiver.session.add_receiver(audio_receiver)
    microphone = Microphone(pair)
    pair.run(20)
    events = pair.receiver.frames("a")
    data = [event.frame.data for event in events]
    sent = [payload for _, payload in microphone.sent]
    assert [payload for payload in sent if payload in set(data)] == data
    (statistics,) = pair.receiver.session.receive_statistics().values()
    assert statistics.concealed_packets <= 0.05 * len(sent)
    assert 0.03 < statistics.jitter_buffer_delay < 0.09
    # Once adapted, what is played 20 ms apart was captured 20 ms apart.
    settled = [event.frame.playout_at for event in events[500:]]
    assert settled[-1] - settled[0] == pytest.approx(0.02 * (len(settled) - 1), abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_call_stays_up_with_everything_wrong_at_once(seed: int) -> None:
    out: Path[Datagram] = Path(
        seed=seed, delay=0.05, jitter=0.03, loss=0.05, bitrate_bps=500_000
    )  # with 30 ms of jitter packets overtake one another
    pair = video_pair(out=out, back=Path(seed=seed + 9, delay=0.05, jitter=0.03, loss=0.05))
    camera = Camera(pair)
    pair.run(20)
    arrivals = [at for at, _ in pair.receiver.events]
    assert len(arrivals) >= 0.97 * len(camera.sent)
    assert max(after - before for before, after in itertools.pairwise(arrivals)) < 1.0
    assert camera.key_frames <= 2
    assert 250_000 < pair.sender.session.target_bps < 1.2 * 500_000


@pytest.mark.parametrize("seed", range(4))
def test_sound_waits_for_the_picture(seed: int) -> None:
    # Two ways of so different length would look like loss to congestion control: without it.
    pair = Pair(out=Path(seed=seed), seed=seed, extensions=ExtensionMap({1: MID_URI}))
    slow: Path[bytes] = Path(seed=3, delay=0.25)
    session = pair.receiver.session
    receive = session.receive
    pair.sender.session.add_sender(video_sender)
    pair.sender.session.add_sender(audio_sender)
    session.add_receiver(video_receiver)
    session.add_receiver(audio_receiver)

    def delayed(data: bytes, now: float) -> None:
        """Let only video take a quarter of a second more."""
        if data[8:12] in {VIDEO.to_bytes(4), VIDEO_RTX.to_bytes(4)}:
            slow.send(data, len(data), now)
        else:
            receive(data, now)

    session.receive = delayed  # type: ignore[method-assign]

    def deliver(now: float) -> None:
        for data in slow.take(now):
            receive(data, now)

    pair.ticks.append(deliver)
    camera, microphone = Camera(pair, bitrate_bps=200_000), Microphone(pair)
    pair.run(15)

    def latency(mid: str, sent: list[tuple[float, bytes]]) -> float:
        times = {data: at for at, data in sent}
        frame = pair.receiver.frames(mid)[-1].frame
        return frame.playout_at - times[frame.data]

    video, audio = latency("v", camera.sent), latency("a", microphone.sent)
    assert 0.3 < video < 0.4
    assert audio == pytest.approx(video, abs=0.04)


def test_a_large_key_frame_does_not_overflow_the_jitter_buffer() -> None:
    pair = video_pair()
    frame = vp8_frame(1_500_000, is_key=True, tag=1)
    pair.sender.session.send_frame(VIDEO, frame, 0, pair.now)
    pair.run(4)
    assert [event.frame.data for event in pair.receiver.frames("v")] == [frame]


def test_reports_tell_loss_and_the_round_trip() -> None:
    pair = Pair(out=Path(seed=4, loss=0.1), back=Path(delay=0.05))
    pair.sender.session.add_sender(audio_sender)
    pair.receiver.session.add_receiver(audio_receiver)
    Microphone(pair)
    pair.run(20)
    statistics = pair.sender.session.send_statistics()[AUDIO]
    received = pair.receiver.session.receive_statistics()["a", AUDIO]
    assert statistics.round_trip_time == pytest.approx(0.1, abs=0.005)
    assert statistics.packets_lost == pytest.approx(pair.out.lost, abs=12)
    assert received.packets_received + received.packets_lost == pytest.approx(1000, abs=6)
