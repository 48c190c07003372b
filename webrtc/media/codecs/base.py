"""What encoders and decoders look like from outside: synchronous, one thread at a time.

`webrtc.media.worker` runs them in threads. Wishes (a bit rate, a key frame) may come from another
thread than the one that encodes: they are stored whole and take effect at the next frame.
"""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

import attrs

from webrtc.media.errors import UnknownCodecError
from webrtc.media.frames import TIMESTAMP_MODULUS, AudioFrame, EncodedFrame, VideoFrame

F = TypeVar("F", covariant=True)
MIN_BIT_RATE = 30_000
"""Of video, in bits per second."""


class CodecName(enum.Enum):
    """The codecs, by their encoding names in SDP."""

    OPUS = "opus"
    PCMU = "PCMU"
    PCMA = "PCMA"
    G722 = "G722"
    VP8 = "VP8"
    VP9 = "VP9"
    H264 = "H264"
    AV1 = "AV1"

    @property
    def is_video(self) -> bool:
        """Whether pictures are encoded."""
        return self in _VIDEO

    @property
    def clock_rate(self) -> int:
        """Of RTP timestamps, in Hz."""
        if self.is_video:
            return 90_000
        # RFC 3551 §4.5.2: G.722 samples at 16 kHz but its clock is said to be 8 kHz.
        return 48_000 if self is CodecName.OPUS else 8_000

    @classmethod
    def find(cls, name: str) -> CodecName:
        """Return the codec of a name in any case; raises UnknownCodecError."""
        for codec in cls:
            if codec.value.lower() == name.lower():
                return codec
        raise UnknownCodecError(f"codec {name!r}")


_VIDEO = frozenset({CodecName.VP8, CodecName.VP9, CodecName.H264, CodecName.AV1})


def rtp_timestamp(pts: int, time_base: Fraction, clock_rate: int) -> int:
    """Return a presentation time in ticks of an RTP clock, 32 bits of it."""
    return round(pts * time_base * clock_rate) % TIMESTAMP_MODULUS


@attrs.frozen
class Decoded(Generic[F]):
    """What became of an encoded frame. Nothing that came off a network makes a decoder raise.

    Attributes:
        frames: that can be shown or heard; those that conceal lost ones come first.
        key_frame_wanted: decoding cannot go on without a key frame: ask the sender (PLI).
        error: what was wrong with the data, in words; None if it was good.

    """

    frames: tuple[F, ...] = ()
    key_frame_wanted: bool = False
    error: str | None = None


class VideoEncoder(Protocol):
    """Pictures in, frames to send out; no delay of its own."""

    @property
    def codec(self) -> str:
        """Its name in SDP."""

    @property
    def bit_rate(self) -> int:
        """Bits per second that it aims at."""

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate from the next frame on; of any thread."""

    def request_key_frame(self) -> None:
        """Make the next frame a key frame; of any thread."""

    def encode(self, frame: VideoFrame) -> list[EncodedFrame]:
        """Encode; a rate control may drop the frame: no result.

        A picture of another size than the last begins with a key frame.

        Raises:
            CodecError: the codec failed.

        """

    def close(self) -> None:
        """Give its memory back."""


class AudioEncoder(Protocol):
    """Sound of any rate, channels and length in, packets of 20 ms out."""

    @property
    def codec(self) -> str:
        """Its name in SDP."""

    @property
    def bit_rate(self) -> int:
        """Bits per second that it aims at; of fixed-rate codecs, theirs."""

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate, if the codec can; of any thread."""

    def set_expected_loss(self, fraction: float) -> None:
        """Say what share of packets is lost, for the strength of in-band FEC; of any thread."""

    def encode(self, frame: AudioFrame) -> list[EncodedFrame]:
        """Encode what makes whole packets; the rest waits. Raises CodecError."""

    def close(self) -> None:
        """Give its memory back."""


class VideoDecoder(Protocol):
    """Encoded frames in decoding order in, pictures out."""

    def decode(self, frame: EncodedFrame) -> Decoded[VideoFrame]:
        """Decode; never raises for what the data is. `pts` counts unwrapped RTP timestamps."""

    def close(self) -> None:
        """Give its memory back."""


class AudioDecoder(Protocol):
    """Packets in order in, sound out."""

    def decode(self, frame: EncodedFrame) -> Decoded[AudioFrame]:
        """Decode, and conceal `frame.lost_before` packets before it; never raises for the data."""

    def close(self) -> None:
        """Give its memory back."""


class KeyFrameWish:
    """Asked for in one thread, granted in another: a counter loses no wish between the two."""

    def __init__(self) -> None:
        self._wished = 0
        self._granted = 0

    def make(self) -> None:
        """Ask."""
        self._wished += 1

    def take(self) -> bool:
        """Whether somebody asked since the last call."""
        wished = self._wished
        pending = wished != self._granted
        self._granted = wished
        return pending


class VideoEncoderWishes:
    """What is wanted of a video encoder: the part of a `VideoEncoder` that all have in common."""

    def __init__(self, codec: CodecName, bit_rate: int) -> None:
        self._codec_name = codec
        self._bit_rate = max(bit_rate, MIN_BIT_RATE)
        self._wish = KeyFrameWish()

    @property
    def codec(self) -> str:
        """Its name in SDP."""
        return self._codec_name.value

    @property
    def bit_rate(self) -> int:
        """Bits per second that it aims at."""
        return self._bit_rate

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate from the next frame on."""
        self._bit_rate = max(int(rate_bps), MIN_BIT_RATE)

    def request_key_frame(self) -> None:
        """Make the next frame a key frame."""
        self._wish.make()
