"""The values that media is made of: raw pictures, raw sound, and either of them encoded.

Raw frames carry a presentation time `pts` in units of `time_base` seconds, on a time line of their
source; encoded frames carry an RTP timestamp (RFC 3550 §5.1) without the sender's random offset.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8]
Samples: TypeAlias = NDArray[np.int16]

VIDEO_TIME_BASE = Fraction(1, 90_000)
"""Of every video format of RTP in use (RFC 3551 §5)."""
TIMESTAMP_MODULUS = 1 << 32
SILENT_DBOV = 127
"""RFC 6464 §3: the level of digital silence, in -dBov."""
_FULL_SCALE = 32768.0


def _plane(array: Plane) -> Plane:
    if array.ndim != 2 or array.dtype != np.uint8:
        raise ValueError("a plane is a two-dimensional array of uint8")
    return array


@attrs.frozen(eq=False)
class VideoFrame:
    """A picture in planar YUV 4:2:0 of 8 bits (yuv420p, BT.601, limited range).

    Arrays are views of whoever made them: do not write into a frame that was handed on.

    Attributes:
        y: luma, height x width.
        u: blue difference, half as high and wide, rounded up.
        v: red difference, the same.
        pts: presentation time in units of `time_base`.
        time_base: seconds of a unit.

    """

    y: Plane = attrs.field(converter=_plane, repr=False)
    u: Plane = attrs.field(converter=_plane, repr=False)
    v: Plane = attrs.field(converter=_plane, repr=False)
    pts: int = 0
    time_base: Fraction = VIDEO_TIME_BASE

    def __attrs_post_init__(self) -> None:
        height, width = self.y.shape
        chroma = ((height + 1) // 2, (width + 1) // 2)
        if self.u.shape != chroma or self.v.shape != chroma:
            raise ValueError(f"chroma of {self.u.shape} and {self.v.shape} for {self.y.shape}")

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.y.shape[0])

    @property
    def time(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def at(self, pts: int, time_base: Fraction | None = None) -> VideoFrame:
        """Return the same picture (the same arrays) at another time."""
        return attrs.evolve(self, pts=pts, time_base=time_base or self.time_base)


def _samples(array: Samples) -> Samples:
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.dtype != np.int16:
        raise ValueError("samples are an array of int16, samples x channels")
    return np.ascontiguousarray(array)


@attrs.frozen(eq=False)
class AudioFrame:
    """Sound in interleaved 16-bit samples.

    Attributes:
        samples: samples x channels; a one-dimensional array is one channel.
        rate: samples per second.
        pts: of the first sample, in samples.

    """

    samples: Samples = attrs.field(converter=_samples, repr=False)
    rate: int = 48_000
    pts: int = 0

    @property
    def channels(self) -> int:
        """How many, interleaved."""
        return int(self.samples.shape[1])

    @property
    def count(self) -> int:
        """Samples of each channel."""
        return int(self.samples.shape[0])

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.count / self.rate

    @property
    def time(self) -> float:
        """Presentation time of the first sample, in seconds."""
        return self.pts / self.rate

    @property
    def level_dbov(self) -> int:
        """Loudness for RTP's extension (RFC 6464 §3): 0 is overload, 127 is silence."""
        if not self.count:
            return SILENT_DBOV
        power = float(np.mean(np.square(self.samples, dtype=np.float64))) / _FULL_SCALE**2
        if power <= 0.0:
            return SILENT_DBOV
        return min(max(round(-10.0 * math.log10(power)), 0), SILENT_DBOV)


@attrs.frozen
class EncodedFrame:
    """A frame as it travels: an access unit of video, or a packet of audio.

    Attributes:
        data: the bytes; H.264 in Annex B, AV1 as a temporal unit of OBUs with sizes.
        codec: its name in SDP, in the case of `CODEC_NAMES`.
        timestamp: of RTP, 32 bits; of an encoder it counts from the source's pts of 0.
        is_key_frame: can be decoded without those before; true for all audio.
        lost_before: to a decoder, packets (audio) or frames (video) missing right before it.
        audio_level: of an audio encoder, -dBov as in RFC 6464.

    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    codec: str
    timestamp: int
    is_key_frame: bool = True
    lost_before: int = 0
    audio_level: int | None = None


class TimestampUnwrapper:
    """Gives RTP timestamps of one stream back the bits above the 32nd."""

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp: int) -> int:
        """Return the number nearest to the last one that has these 32 bits."""
        if self._last is None:
            self._last = timestamp
        else:
            half = TIMESTAMP_MODULUS // 2
            self._last += (timestamp - self._last + half) % TIMESTAMP_MODULUS - half
        return self._last
