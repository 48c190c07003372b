"""What foreign peers send, drawn for those that can't draw it: the pattern and a tone, raw."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from tests.webrtc.foreign.lines import (
    FIRST,
    FRAME_RATE,
    FREQUENCY,
    HEIGHT,
    PICTURES,
    RATE,
    WIDTH,
)
from webrtc.media.pattern import draw_pattern
from webrtc.media.tone import draw_tone


def prepare(folder: Path) -> None:
    """Write `pictures.i420`, and `tone.s16`: a second, which ends where it begins."""
    with (folder / "pictures.i420").open("wb") as file:
        for index in range(PICTURES):
            picture = draw_pattern(FIRST + index, WIDTH, HEIGHT, index, Fraction(1, FRAME_RATE))
            for plane in (picture.y, picture.u, picture.v):
                file.write(plane.tobytes())
    sound = draw_tone(FREQUENCY, 0, RATE, rate=RATE).samples.tobytes()
    (folder / "tone.s16").write_bytes(sound)
