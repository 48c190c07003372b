"""Tones, levels, sample rates and packet lengths."""

from __future__ import annotations

import numpy as np
import pytest

from webrtc.media.convert import AudioChunker, AudioConverter
from webrtc.media.frames import AudioFrame, TimestampUnwrapper
from webrtc.media.tone import draw_tone, read_tone


@pytest.mark.parametrize("frequency", [100.0, 440.0, 997.3, 3000.0])
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_a_tone_is_read_as_it_was_drawn(frequency: float, rate: int) -> None:
    frames = [draw_tone(frequency, n * 160, 160, rate=rate, amplitude=0.25) for n in range(60)]
    reading = read_tone(*frames)
    assert reading.frequency == pytest.approx(frequency, abs=0.5)
    assert reading.amplitude == pytest.approx(0.25, abs=0.01)
    assert reading.purity > 0.999


def test_noise_and_silence_are_no_tone() -> None:
    noise = np.random.default_rng(2).normal(0, 3000, 9600).astype(np.int16)
    assert read_tone(AudioFrame(noise)).purity < 0.1
    assert read_tone(AudioFrame(np.zeros(9600, np.int16))).frequency == 0.0


def test_a_cracking_tone_is_less_pure() -> None:
    tone = draw_tone(440, count=9600)
    tone.samples[3000:3960] = 0
    assert read_tone(tone).purity < 0.97


@pytest.mark.parametrize(("amplitude", "level"), [(0.0, 127), (1.0, 3), (0.1, 23), (0.001, 63)])
def test_levels_are_in_dbov(amplitude: float, level: int) -> None:
    # RFC 6464 §3 and RFC 6465: a full-scale sine is 3 dB below a full-scale square wave.
    assert draw_tone(1000, amplitude=amplitude).level_dbov == level


@pytest.mark.parametrize(("source", "target"), [(48_000, 8_000), (8_000, 48_000), (44_100, 48_000)])
def test_conversion_keeps_frequency_length_and_time(source: int, target: int) -> None:
    converter = AudioConverter(target, 2)
    size = source // 50
    frames = [
        converter.convert(draw_tone(440, 5 * source + n * size, size, rate=source))
        for n in range(25)
    ]
    assert {(frame.rate, frame.channels) for frame in frames} == {(target, 2)}
    assert frames[0].pts == 5 * target
    count = sum(frame.count for frame in frames)
    assert count == pytest.approx(target / 2, abs=target / 500)
    assert frames[-1].pts + frames[-1].count == 5 * target + count
    for channel in (0, 1):
        assert read_tone(*frames, channel=channel).frequency == pytest.approx(440, abs=0.5)


def test_a_jump_in_time_reaches_the_far_side_of_the_converter() -> None:
    converter = AudioConverter(16_000, 1)
    converter.convert(draw_tone(440, 0))
    assert converter.convert(draw_tone(440, 480_000)).pts == 160_000


def test_chunks_are_whole_and_keep_count_of_time() -> None:
    chunker = AudioChunker(960)
    pieces = [draw_tone(440, n * 441, 441) for n in range(40)]
    chunks = [chunk for piece in pieces for chunk in chunker.push(piece)]
    assert [chunk.pts for chunk in chunks] == [960 * n for n in range(18)]
    together = np.concatenate([chunk.samples for chunk in chunks])
    assert np.array_equal(together, draw_tone(440, 0, 960 * 18).samples)


def test_chunks_begin_anew_after_a_jump() -> None:
    chunker = AudioChunker(960)
    assert not chunker.push(draw_tone(440, 0, 500))
    chunks = chunker.push(draw_tone(440, 100_000, 1000))
    assert [chunk.pts for chunk in chunks] == [100_000]


def test_timestamps_go_on_after_32_bits_both_ways() -> None:
    unwrapper = TimestampUnwrapper()
    top = 1 << 32
    cases = [(0xFFFFFF00, 0xFFFFFF00), (0x100, top + 0x100), (0xFFFFFFF0, 0xFFFFFFF0)]
    cases += [(0x200, top + 0x200), (0x80000000, top + 0x80000000)]
    assert [unwrapper.unwrap(value) for value, _ in cases] == [number for _, number in cases]
