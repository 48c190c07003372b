"""A test picture that tells which one it is, also after lossy coding and scaling.

The picture is a grid of 16 x 12 cells. The two top rows are 32 bits, black or white: 24 bits of a
counter, highest first, then 8 bits of their CRC-8 (polynomial 0x07, begun with 0xFF). Rows 2 to 9
are eight colour bars, two cells wide, which move by one bar every 16 pictures. The two bottom rows
are grey with a white square that moves by a cell per picture, so that there is motion to encode.

Whoever draws it otherwise (a canvas in a browser) uses `RGB`; `read_pattern` cannot tell.
"""

from __future__ import annotations

from fractions import Fraction

import attrs
import numpy as np

from webrtc.media.frames import Plane, VideoFrame

COLUMNS, ROWS = 16, 12
CODE_ROWS = 2
BAR_ROWS = 8
BARS = 8
COUNTER_BITS = 24
COUNTER_MODULUS = 1 << COUNTER_BITS
PICTURES_PER_STEP = 16
BLACK, WHITE, GREY = 16, 235, 126
"""Luma of BT.601 in limited range."""
RGB = (
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
    (64, 64, 64),
)
"""Colours of the bars, from the left, at counter 0."""
MIN_SIZE = 64
MAX_COLOUR_ERROR = 24.0
"""Of 255, the mean over the bars; 300 kbit/s at 320x240 stays below 6, a wrong bar is above 60."""
_MIN_CONTRAST = 32.0
_CRC_POLYNOMIAL = 0x07


def _bt601(red: int, green: int, blue: int) -> tuple[int, int, int]:
    return (
        round(16 + 0.25679 * red + 0.50413 * green + 0.09791 * blue),
        round(128 - 0.14822 * red - 0.29099 * green + 0.43922 * blue),
        round(128 + 0.43922 * red - 0.36779 * green - 0.07143 * blue),
    )


YUV = tuple(_bt601(*colour) for colour in RGB)


def _crc8(value: int) -> int:
    crc = 0xFF  # with 0 a black picture would be a valid one
    for byte in value.to_bytes(3):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (_CRC_POLYNOMIAL if crc & 0x80 else 0)) & 0xFF
    return crc


@attrs.frozen
class PatternReading:
    """What was read from a picture.

    Attributes:
        counter: which picture it is, modulo 2^24.
        colour_error: mean distance of the bars' Y, U and V from what they should be, of 255.

    """

    counter: int
    colour_error: float

    @property
    def is_intact(self) -> bool:
        """Whether the colours are those of this counter's picture too, within lossy coding."""
        return self.colour_error <= MAX_COLOUR_ERROR


def _edges(length: int, cells: int) -> list[int]:
    return [length * index // cells for index in range(cells + 1)]


def draw_pattern(
    counter: int,
    width: int = 640,
    height: int = 480,
    pts: int = 0,
    time_base: Fraction = Fraction(1, 90_000),
) -> VideoFrame:
    """Draw the picture of this counter.

    Raises:
        ValueError: a side is below 64 pixels, or odd.

    """
    if min(width, height) < MIN_SIZE or width % 2 or height % 2:
        raise ValueError(f"no pattern of {width}x{height}")
    counter %= COUNTER_MODULUS
    y = np.full((height, width), GREY, np.uint8)
    u = np.full((height // 2, width // 2), 128, np.uint8)
    v = u.copy()
    rows, columns = _edges(height, ROWS), _edges(width, COLUMNS)
    code = counter << 8 | _crc8(counter)
    for bit in range(COLUMNS * CODE_ROWS):
        row, column = divmod(bit, COLUMNS)
        white = code >> (COLUMNS * CODE_ROWS - 1 - bit) & 1
        y[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = (
            WHITE if white else BLACK
        )
    top, bottom = rows[CODE_ROWS], rows[CODE_ROWS + BAR_ROWS]
    for bar in range(BARS):
        left, right = columns[2 * bar], columns[2 * bar + 2]
        luma, blue, red = YUV[(bar + counter // PICTURES_PER_STEP) % BARS]
        y[top:bottom, left:right] = luma
        u[top // 2 : bottom // 2, left // 2 : right // 2] = blue
        v[top // 2 : bottom // 2, left // 2 : right // 2] = red
    column = counter % COLUMNS
    y[rows[ROWS - 2] : rows[ROWS - 1], columns[column] : columns[column + 1]] = WHITE
    return VideoFrame(y, u, v, pts, time_base)


def _middle(plane: Plane, area: tuple[float, float, float, float]) -> float:
    """Average the middle half of an area, given in fractions: top, bottom, left, right."""
    height, width = plane.shape
    top, bottom, left, right = area
    rows, columns = (bottom - top) / 4, (right - left) / 4
    part = plane[
        int((top + rows) * height) : max(int((bottom - rows) * height), 1),
        int((left + columns) * width) : max(int((right - columns) * width), 1),
    ]
    return float(part.mean()) if part.size else 0.0


def read_pattern(frame: VideoFrame) -> PatternReading | None:
    """Return which picture this is, in whatever size it came; None if it shows no valid counter."""
    code = 0
    darkest, lightest = 255.0, 0.0
    for bit in range(COLUMNS * CODE_ROWS):
        row, column = divmod(bit, COLUMNS)
        area = (row / ROWS, (row + 1) / ROWS, column / COLUMNS, (column + 1) / COLUMNS)
        luma = _middle(frame.y, area)
        code = code << 1 | (luma > GREY)
        darkest, lightest = min(darkest, luma), max(lightest, luma)
    counter = code >> 8
    if _crc8(counter) != code & 0xFF or lightest - darkest < _MIN_CONTRAST:
        return None
    errors = []
    for bar in range(BARS):
        area = (CODE_ROWS / ROWS, (CODE_ROWS + BAR_ROWS) / ROWS, bar / BARS, (bar + 1) / BARS)
        expected = YUV[(bar + counter // PICTURES_PER_STEP) % BARS]
        for plane, value in zip((frame.y, frame.u, frame.v), expected, strict=True):
            errors.append(abs(_middle(plane, area) - value))
    return PatternReading(counter, sum(errors) / len(errors))


def psnr(one: VideoFrame, other: VideoFrame) -> float:
    """Return the peak signal-to-noise ratio of two pictures' luma, in dB; at most 99."""
    difference = one.y.astype(np.int32) - other.y
    error = float(np.mean(np.square(difference)))
    return 99.0 if error == 0 else min(float(10 * np.log10(255**2 / error)), 99.0)
