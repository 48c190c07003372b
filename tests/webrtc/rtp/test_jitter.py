"""Jitter buffers, the playout clock and synchronisation, each by itself."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.webrtc.rtp.pair import vp8_frame
from webrtc.rtp.jitter import AudioJitterBuffer, PlayoutClock, Synchroniser, VideoJitterBuffer
from webrtc.rtp.jitter.video import MAX_WAIT
from webrtc.rtp.ntp import to_ntp
from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.payload import Vp8Depacketiser, Vp8Packetiser

FRAME_TICKS = 3000


class Stream:
    """Makes VP8 frames' packets, with their unwrapped numbers."""

    def __init__(self) -> None:
        self.number = 70_000
        self.timestamp = 1 << 33
        self._packetiser = Vp8Packetiser()
        self._tag = 0

    def frame(self, size: int = 300, *, is_key: bool = False) -> list[tuple[RtpPacket, int, int]]:
        self._tag += 1
        payloads = self._packetiser.packetise(vp8_frame(size, is_key=is_key, tag=self._tag), 104)
        self.timestamp += FRAME_TICKS
        out = []
        for payload in payloads:
            packet = RtpPacket(
                96,
                self.number & 0xFFFF,
                self.timestamp & 0xFFFFFFFF,
                7,
                payload,
                marker=payload is payloads[-1],
            )
            out.append((packet, self.number, self.timestamp))
            self.number += 1
        return out


def buffer(**options: float) -> VideoJitterBuffer:
    return VideoJitterBuffer(90_000, {96: Vp8Depacketiser()}, **options)  # type: ignore[arg-type]


def put(
    jitter: VideoJitterBuffer, packets: list[tuple[RtpPacket, int, int]], now: float = 0.0
) -> None:
    for packet, number, timestamp in packets:
        jitter.insert(packet, number, timestamp, now)


@pytest.mark.parametrize("seed", range(20))
def test_frames_come_in_order_whatever_the_packets_order(seed: int) -> None:
    stream, jitter = Stream(), buffer()
    frames = [stream.frame(is_key=index == 0) for index in range(6)]
    packets = [packet for frame in frames for packet in frame]
    random.Random(seed).shuffle(packets)
    out = []
    for entry in packets:
        put(jitter, [entry, entry])  # and each twice
        out += jitter.take(0.0)
    assert [frame.timestamp for frame in out] == [frame[0][0].timestamp for frame in frames]
    assert len(jitter) == jitter.size_bytes == 0
    assert not jitter.needs_key_frame


def test_nothing_is_given_before_a_key_frame() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame())
    assert jitter.take(0.0) == []
    assert jitter.needs_key_frame
    put(jitter, stream.frame(is_key=True))
    (frame,) = jitter.take(0.0)
    assert frame.is_key_frame
    assert frame.lost_before == 1


def test_a_hole_is_waited_for_then_a_key_frame_is_needed() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    lost = stream.frame()
    put(jitter, lost[1:], 1.0)
    put(jitter, stream.frame(), 1.0)
    assert jitter.take(1.0) == []
    assert jitter.next_deadline() == 1.0 + MAX_WAIT
    assert jitter.take(1.0 + MAX_WAIT) == []
    assert jitter.needs_key_frame
    put(jitter, lost[:1], 2.5)
    put(jitter, stream.frame(is_key=True), 2.5)
    assert [frame.is_key_frame for frame in jitter.take(2.5)] == [True]


def test_a_hole_that_closes_in_time_costs_nothing() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    lost, after = stream.frame(), stream.frame()
    put(jitter, lost[1:], 0.1)
    put(jitter, after, 0.1)
    assert jitter.take(0.1) == []
    put(jitter, lost[:1], 0.3)
    assert len(jitter.take(0.3)) == 2


def test_a_key_frame_ends_the_wait_when_its_time_has_come() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    put(jitter, stream.frame()[1:], 0.033)
    put(jitter, stream.frame(is_key=True), 0.04)
    assert jitter.take(0.05) == []  # the hole may yet close
    assert [frame.is_key_frame for frame in jitter.take(0.08)] == [True]


def test_padding_within_a_frame_is_no_hole() -> None:
    stream, jitter = Stream(), buffer()
    packets = stream.frame(is_key=True)
    moved = [packets[0], *((p, number + 1, at) for p, number, at in packets[1:])]
    put(jitter, moved)
    assert jitter.take(0.0) == []
    jitter.insert(RtpPacket(96, 0, 0, 7, b""), packets[1][1], 0, 0.0)
    assert len(jitter.take(0.0)) == 1
    stream.number += 1
    put(jitter, stream.frame())
    assert len(jitter.take(0.0)) == 1


def test_padding_fills_a_hole_between_frames() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    padding = RtpPacket(96, stream.number & 0xFFFF, 0, 7, b"", padding_size=100)
    jitter.insert(padding, stream.number, stream.timestamp, 0.0)
    stream.number += 1
    put(jitter, stream.frame())
    assert len(jitter.take(0.0)) == 1


def test_a_lost_packet_between_consecutive_pictures_is_no_hole() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    stream.number += 1  # a FEC packet that was lost: the picture identifiers have no gap
    put(jitter, stream.frame())
    assert len(jitter.take(0.0)) == 1


@pytest.mark.parametrize("options", [{"max_packets": 50}, {"max_bytes": 5000}])
def test_what_does_not_fit_is_given_up_for_a_key_frame(options: dict[str, float]) -> None:
    stream, jitter = Stream(), buffer(**options)
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    put(jitter, stream.frame(20_000)[1:])
    assert jitter.overflows > 0
    assert jitter.needs_key_frame
    assert len(jitter) <= 50
    assert jitter.size_bytes <= 5000
    put(jitter, stream.frame(is_key=True))
    assert len(jitter.take(0.0)) == 1


def test_a_stream_that_begins_anew_is_followed() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame(is_key=True))
    jitter.take(0.0)
    stream.number += 20_000
    put(jitter, stream.frame())
    assert jitter.needs_key_frame
    put(jitter, stream.frame(is_key=True))
    assert len(jitter.take(0.0)) == 1


def test_frames_that_can_never_be_decoded_are_not_kept() -> None:
    stream, jitter = Stream(), buffer()
    for index in range(200):
        put(jitter, stream.frame(), index / 30)
        assert jitter.take(index / 30) == []
    assert len(jitter._frames) <= 9
    assert jitter.dropped >= 190


def test_while_a_key_frame_is_needed_only_its_packets_are_worth_repair() -> None:
    stream, jitter = Stream(), buffer()
    put(jitter, stream.frame())
    assert jitter.first_useful_number > stream.number + 10_000
    key = stream.frame(is_key=True)
    put(jitter, key[:1])
    assert key[0][1] - 10 < jitter.first_useful_number <= key[0][1]
    put(jitter, key[1:])
    jitter.take(0.0)
    assert jitter.first_useful_number == stream.number


def test_malformed_payloads_and_unknown_types_are_counted() -> None:
    jitter = buffer()
    jitter.insert(RtpPacket(96, 1, 0, 7, b"\x80"), 1, 0, 0.0)
    jitter.insert(RtpPacket(95, 2, 0, 7, b"x"), 2, 0, 0.0)
    assert (jitter.malformed, len(jitter)) == (2, 0)


def test_random_packets_never_grow_the_buffer_beyond_its_bounds() -> None:
    generator = random.Random(1)
    jitter = buffer(max_packets=500)
    for step in range(20_000):
        number = generator.randrange(1 << 20)
        packet = RtpPacket(
            96, number & 0xFFFF, 0, 7, generator.randbytes(20), marker=generator.random() < 0.5
        )
        jitter.insert(packet, number, generator.randrange(1 << 20), step / 1000)
        jitter.take(step / 1000)
        assert len(jitter) <= 500
        assert len(jitter._frames) <= 501


def audio(number: int) -> tuple[RtpPacket, int, int]:
    packet = RtpPacket(111, number & 0xFFFF, 960 * number & 0xFFFFFFFF, 8, b"%d" % number)
    return packet, 0x10000 + number, 960 * number


def test_audio_is_given_at_its_time_in_order_and_holes_are_counted() -> None:
    jitter = AudioJitterBuffer(48_000)
    for number, at in [(1, 0.02), (3, 0.06), (2, 0.061), (6, 0.12)]:
        jitter.insert(*audio(number), at)
    due = jitter.next_deadline()
    assert due is not None
    assert jitter.take(due - 0.001) == []
    out = jitter.take(0.5)
    assert [(frame.data, frame.lost_before) for frame in out] == [
        (b"1", 0),
        (b"2", 0),
        (b"3", 0),
        (b"6", 2),
    ]
    spacing = [after.playout_at - before.playout_at for before, after in itertools.pairwise(out)]
    assert spacing == pytest.approx([0.02, 0.02, 0.06])
    jitter.insert(*audio(4), 0.6)
    assert jitter.late == 1


def test_audio_held_is_bounded() -> None:
    jitter = AudioJitterBuffer(48_000, max_packets=10)
    for number in range(100):
        jitter.insert(*audio(number), 0.0)
    assert len(jitter) == 10
    assert jitter.overflowed == 90


def test_audio_follows_a_sender_that_begins_anew() -> None:
    jitter = AudioJitterBuffer(48_000)
    jitter.insert(*audio(1), 0.0)
    jitter.take(1.0)
    jitter.insert(*audio(50_000), 1.0)
    assert len(jitter.take(1.1)) == 1


def test_the_delay_grows_with_jitter_at_once_and_shrinks_slowly() -> None:
    clock = PlayoutClock(48_000, 0.02, 1.0)
    generator = random.Random(1)
    now = 0.0
    for number in range(200):
        now = number * 0.02
        clock.observe(960 * number, now)
        clock.adapt(now)
    assert clock.delay == 0.02
    for number in range(200, 600):
        now = number * 0.02
        clock.observe(960 * number, now + generator.random() * 0.1)
        clock.adapt(now)
    assert 0.08 <= clock.delay <= 0.11
    high = clock.delay
    for number in range(600, 650):
        now = number * 0.02
        clock.observe(960 * number, now)
        clock.adapt(now)
    assert high - 0.05 * 1.02 <= clock.delay <= high


def test_a_drifting_clock_is_followed() -> None:
    clock = PlayoutClock(48_000)
    for number in range(20_000):
        now = number * 0.02 * 1.0005  # the sender's clock is 500 ppm fast
        clock.observe(960 * number, now)
        clock.adapt(now)
    assert clock.playout_time(960 * 19_999) - now == pytest.approx(0.0, abs=0.02)


def test_a_path_that_grows_longer_is_not_taken_for_jitter_for_long() -> None:
    clock = PlayoutClock(48_000)
    for number in range(3000):
        now = number * 0.02 + (0.1 if number >= 500 else 0.0)
        clock.observe(960 * number, now)
        clock.adapt(now)
    assert clock.base == pytest.approx(0.1)
    assert clock.delay < 0.01


def test_a_clock_that_is_set_is_followed_at_once() -> None:
    clock = PlayoutClock(48_000)
    clock.observe(0, 100.0)
    clock.observe(48_000 * 3600, 101.0)
    assert clock.playout_time(48_000 * 3600) == pytest.approx(101.0, abs=0.01)


def test_the_faster_stream_is_delayed_in_steps_until_both_play_together() -> None:
    synchroniser = Synchroniser()
    audio_clock, video_clock = PlayoutClock(48_000), PlayoutClock(90_000)
    synchroniser.add("audio", "call", audio_clock)
    synchroniser.add("video", "call", video_clock)
    # Captured together at NTP 1000 s; sound takes 50 ms, the picture 300 ms.
    audio_clock.observe(5_000, 10.05)
    video_clock.observe(777_000, 10.3)
    steps = []
    for _ in range(5):
        synchroniser.receive_sender_report("audio", to_ntp(1000.0), 5_000)
        synchroniser.receive_sender_report("video", to_ntp(1000.0), 777_000)
        steps.append(audio_clock.extra_delay)
    assert video_clock.extra_delay == 0.0
    assert audio_clock.playout_time(5_000) == pytest.approx(video_clock.playout_time(777_000))
    assert all(after - before <= 0.161 for before, after in itertools.pairwise([0.0, *steps]))


def test_a_stream_that_is_gone_delays_no_other_any_more() -> None:
    synchroniser = Synchroniser()
    audio_clock, video_clock = PlayoutClock(48_000), PlayoutClock(90_000)
    synchroniser.add("audio", "call", audio_clock)
    synchroniser.add("video", "call", video_clock)
    audio_clock.observe(0, 10.0)
    video_clock.observe(0, 10.3)
    for _ in range(10):
        synchroniser.receive_sender_report("video", to_ntp(1000.0), 0)
        synchroniser.receive_sender_report("audio", to_ntp(1000.0), 0)
    assert audio_clock.extra_delay == pytest.approx(0.3)
    synchroniser.keep({"audio"})
    for _ in range(10):
        synchroniser.receive_sender_report("audio", to_ntp(1000.0), 0)
    assert audio_clock.extra_delay == pytest.approx(0.0)


def test_clocks_that_have_nothing_in_common_are_left_alone() -> None:
    synchroniser = Synchroniser()
    clocks = [PlayoutClock(90_000), PlayoutClock(90_000)]
    for name, clock in zip("ab", clocks, strict=True):
        synchroniser.add(name, "call", clock)
        clock.observe(0, 10.0)
    synchroniser.receive_sender_report("a", to_ntp(1000.0), 0)
    synchroniser.receive_sender_report("b", to_ntp(2000.0), 0)
    assert [clock.extra_delay for clock in clocks] == [0.0, 0.0]
