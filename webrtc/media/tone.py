"""Sines of a known frequency, and what frequency a piece of sound is."""

from __future__ import annotations

import attrs
import numpy as np

from webrtc.media.frames import AudioFrame

DEFAULT_AMPLITUDE = 0.5
_WINDOW_BINS = 4
"""Half the width of a Hann window's main lobe and its neighbours, in bins."""
_EDGE_HZ = 20.0


@attrs.frozen
class ToneReading:
    """The strongest tone of a piece of sound.

    Attributes:
        frequency: in Hz; 0 in silence.
        purity: its share of the sound's power; near 1 for a sine, small for noise.
        amplitude: of the sine, 1 being full scale.

    """

    frequency: float
    purity: float
    amplitude: float


def draw_tone(
    frequency: float,
    pts: int = 0,
    count: int = 960,
    *,
    rate: int = 48_000,
    channels: int = 1,
    amplitude: float = DEFAULT_AMPLITUDE,
) -> AudioFrame:
    """Return `count` samples of a sine, in phase with what is drawn for every other `pts`."""
    phase = 2 * np.pi * frequency / rate * np.arange(pts, pts + count)
    wave = np.round(np.sin(phase) * (amplitude * 32767)).astype(np.int16)
    return AudioFrame(np.repeat(wave[:, None], channels, axis=1), rate, pts)


def read_tone(*frames: AudioFrame, channel: int = 0) -> ToneReading:
    """Return the strongest tone of frames that follow each other, of one rate.

    Right to about a tenth of 1/duration; give it 100 ms or more.

    Raises:
        ValueError: no samples, or rates differ.

    """
    rates = {frame.rate for frame in frames}
    if len(rates) != 1 or not sum(frame.count for frame in frames):
        raise ValueError("frames of one rate, with samples, are needed")
    rate = rates.pop()
    samples = np.concatenate([frame.samples[:, channel] for frame in frames]) / 32768.0
    window = np.hanning(len(samples))
    power = np.abs(np.fft.rfft((samples - samples.mean()) * window)) ** 2
    power[: max(int(_EDGE_HZ * len(samples) / rate), 1)] = 0.0
    total = float(power.sum())
    if total <= 1e-12 * len(samples):
        return ToneReading(0.0, 0.0, 0.0)
    peak = int(power.argmax())
    shift = 0.0
    if 0 < peak < len(power) - 1 and power[peak - 1] > 0 and power[peak + 1] > 0:
        # A Hann window's lobe is nearly a parabola in logarithms.
        low, middle, high = np.log(power[peak - 1 : peak + 2])
        curve = low - 2 * middle + high
        shift = float(0.5 * (low - high) / curve) if curve else 0.0
    near = power[max(peak - _WINDOW_BINS, 0) : peak + _WINDOW_BINS + 1]
    share = float(near.sum()) / total
    rms = float(np.sqrt(np.mean(np.square(samples))))
    return ToneReading((peak + shift) * rate / len(samples), share, rms * (2 * share) ** 0.5)
