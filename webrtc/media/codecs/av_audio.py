"""Audio encoders over PyAV: G.711 (PCMU, PCMA), G.722, and Opus where libopus is not reachable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import attrs
import av
from av.audio.codeccontext import AudioCodecContext

from webrtc.media.codecs.base import CodecName, rtp_timestamp
from webrtc.media.convert import AudioChunker, AudioConverter, layout_name, to_av_audio
from webrtc.media.errors import CodecError
from webrtc.media.frames import AudioFrame, EncodedFrame

PACKET_TIME = 0.02
"""Seconds of sound in a packet (RFC 3551 §4.2)."""
OPUS_MIN_BIT_RATE, OPUS_MAX_BIT_RATE = 6_000, 510_000
"""RFC 6716 §2.1.1."""
_REOPEN_RATIO = 0.1


class Packetised:
    """What all audio encoders share: sound of any kind to frames of a packet's length."""

    def __init__(self, codec: CodecName, rate: int, channels: int) -> None:
        self._codec = codec
        self._rate = rate
        self._converter = AudioConverter(rate, channels)
        self._chunker = AudioChunker(round(rate * PACKET_TIME))

    @property
    def codec(self) -> str:
        """Its name in SDP."""
        return self._codec.value

    def packets(
        self, frame: AudioFrame, encode: Callable[[AudioFrame], bytes | None]
    ) -> list[EncodedFrame]:
        """Encode each packet's sound by `encode`, which may give None for what is not sent."""
        packets = []
        for chunk in self._chunker.push(self._converter.convert(frame)):
            data = encode(chunk)
            if data:
                timestamp = rtp_timestamp(
                    chunk.pts, Fraction(1, self._rate), self._codec.clock_rate
                )
                level = chunk.level_dbov
                packets.append(EncodedFrame(data, self.codec, timestamp, audio_level=level))
        return packets


@attrs.frozen
class _Library:
    name: str
    rate: int
    bit_rate: int
    options: Sequence[tuple[str, str]] = ()


_LIBRARIES = {
    CodecName.PCMU: _Library("pcm_mulaw", 8_000, 64_000),
    CodecName.PCMA: _Library("pcm_alaw", 8_000, 64_000),
    CodecName.G722: _Library("g722", 16_000, 64_000),
    CodecName.OPUS: _Library(
        "libopus",
        48_000,
        64_000,
        (("frame_duration", "20"), ("application", "voip"), ("fec", "1"), ("packet_loss", "10")),
    ),
}


class AvAudioEncoder(Packetised):
    """An `AudioEncoder` of any of the four; mono, but for Opus."""

    def __init__(
        self, codec: CodecName, bit_rate: int | None = None, channels: int | None = None
    ) -> None:
        self._library = _LIBRARIES[codec]
        self._channels = channels or (2 if codec is CodecName.OPUS else 1)
        super().__init__(codec, self._library.rate, self._channels)
        self._bit_rate = bit_rate or self._library.bit_rate
        self._opened_rate = 0
        self._context: AudioCodecContext | None = None

    @property
    def bit_rate(self) -> int:
        """Bits per second that it aims at."""
        return self._bit_rate

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate; only Opus has more than one."""
        if self._codec is CodecName.OPUS:
            self._bit_rate = min(max(int(rate_bps), OPUS_MIN_BIT_RATE), OPUS_MAX_BIT_RATE)

    def set_expected_loss(self, fraction: float) -> None:
        """Do nothing: these have no FEC, or FFmpeg no way to change it."""

    def encode(self, frame: AudioFrame) -> list[EncodedFrame]:
        """Encode what makes whole packets; raises CodecError."""
        return self.packets(frame, self._encode)

    def close(self) -> None:
        """Give its memory back."""
        self._context = None

    def _encode(self, frame: AudioFrame) -> bytes | None:
        try:
            context = self._context
            change = abs(self._bit_rate - self._opened_rate)
            if context is None or change > _REOPEN_RATIO * self._opened_rate:
                context = self._open()
            return b"".join(bytes(packet) for packet in context.encode(to_av_audio(frame)))
        except av.FFmpegError as error:
            raise CodecError(f"{self._library.name}: {error}") from error

    def _open(self) -> AudioCodecContext:
        context = av.CodecContext.create(self._library.name, "w")
        if not isinstance(context, AudioCodecContext):
            raise CodecError(f"{self._library.name} is no audio codec")
        context.sample_rate = self._library.rate
        context.format = "s16"
        context.layout = layout_name(self._channels)
        context.time_base = Fraction(1, self._library.rate)
        context.bit_rate = self._opened_rate = self._bit_rate
        context.options = dict(self._library.options)
        context.open()
        self._context = context
        return context
