"""The picture tells which one it is, whatever happened to it on the way."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from webrtc.media.convert import from_rgb, scale, to_rgb
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import BARS, RGB, draw_pattern, psnr, read_pattern


@pytest.mark.parametrize("counter", [0, 1, 0x5A5A5A, (1 << 24) - 1])
@pytest.mark.parametrize("size", [(64, 64), (176, 144), (640, 480), (1280, 720)])
def test_the_counter_is_read_at_every_size(counter: int, size: tuple[int, int]) -> None:
    reading = read_pattern(draw_pattern(counter, *size))
    assert reading is not None
    assert reading.counter == counter
    assert reading.colour_error < 1


def test_the_counter_goes_round_after_24_bits() -> None:
    reading = read_pattern(draw_pattern((1 << 24) + 7))
    assert reading is not None
    assert reading.counter == 7


@pytest.mark.parametrize("size", [(160, 120), (320, 180), (854, 480)])
def test_a_scaled_picture_is_still_recognised(size: tuple[int, int]) -> None:
    reading = read_pattern(scale(draw_pattern(4711), *size))
    assert reading is not None
    assert reading.counter == 4711
    assert reading.is_intact


def test_rgb_that_was_drawn_by_the_table_is_read_as_the_pattern() -> None:
    rgb = to_rgb(draw_pattern(99))
    height, width = rgb.shape[:2]
    bars = rgb[height // 2, width // BARS // 2 :: width // BARS].astype(int)
    step = 99 // 16
    expected = np.array([RGB[(bar + step) % BARS] for bar in range(BARS)])
    assert np.abs(bars - expected).max() <= 3
    reading = read_pattern(from_rgb(rgb))
    assert reading is not None
    assert reading.counter == 99
    assert reading.is_intact


@pytest.mark.parametrize("luma", [0, 16, 128, 235, 255])
def test_a_plain_picture_is_not_the_pattern(luma: int) -> None:
    drawn = draw_pattern(5)
    assert read_pattern(attrs.evolve(drawn, y=np.full_like(drawn.y, luma))) is None


def test_a_changed_bit_of_the_counter_is_noticed() -> None:
    drawn = draw_pattern(5)
    height, width = drawn.y.shape
    for column in range(16):
        y = drawn.y.copy()
        cell = y[: height // 12, width * column // 16 : width * (column + 1) // 16]
        cell[:] = 251 - cell
        assert read_pattern(attrs.evolve(drawn, y=y)) is None


def test_wrong_colours_under_a_right_counter_are_noticed() -> None:
    drawn = draw_pattern(5)
    for wrong in (
        attrs.evolve(drawn, u=drawn.v, v=drawn.u),
        attrs.evolve(drawn, u=np.full_like(drawn.u, 128), v=np.full_like(drawn.v, 128)),
    ):
        reading = read_pattern(wrong)
        assert reading is not None
        assert not reading.is_intact


@pytest.mark.parametrize("size", [(62, 64), (65, 64), (640, 481)])
def test_sizes_without_room_or_with_odd_sides_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        draw_pattern(1, *size)


def test_psnr_is_what_its_formula_says() -> None:
    grey = np.full((64, 64), 100, np.uint8)
    half = np.full((32, 32), 128, np.uint8)
    one, other = VideoFrame(grey, half, half), VideoFrame(grey + 10, half, half)
    assert psnr(one, one) == 99.0
    assert psnr(one, other) == pytest.approx(28.13, abs=0.01)  # 20 log10(255/10)
