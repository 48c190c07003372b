"""Decoders over PyAV, for every codec; for Opus where libopus is not reachable.

A video decoder that met broken data, or a hole, shows nothing more until the next key frame and
says so in every result: a picture that stands still is better than one that smears.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext

from webrtc.media.codecs.base import CodecName, Decoded
from webrtc.media.convert import from_av_video, samples_of
from webrtc.media.errors import CodecError
from webrtc.media.frames import (
    VIDEO_TIME_BASE,
    AudioFrame,
    EncodedFrame,
    Samples,
    TimestampUnwrapper,
    VideoFrame,
)

MAX_PIXELS = 4096 * 2304
"""A larger picture is not decoded: a few bytes can claim one of 65,535 x 65,535."""
MAX_CONCEALED = 10
"""Packets in a row: after 200 ms of guesses silence sounds better."""
_FADE = 0.6
_VIDEO = {
    CodecName.VP8: "vp8",
    CodecName.VP9: "vp9",
    CodecName.H264: "h264",
    CodecName.AV1: "libdav1d",
}
_AUDIO = {
    CodecName.PCMU: ("pcm_mulaw", 8_000, 1),
    CodecName.PCMA: ("pcm_alaw", 8_000, 1),
    CodecName.G722: ("g722", 16_000, 1),
    CodecName.OPUS: ("libopus", 48_000, 2),
}
_C = TypeVar("_C", VideoCodecContext, AudioCodecContext)


def _create(name: str, kind: type[_C]) -> _C:
    try:
        context = av.CodecContext.create(name, "r")
    except av.FFmpegError as error:
        raise CodecError(f"{name}: {error}") from error
    if not isinstance(context, kind):
        raise CodecError(f"{name} decodes something else")
    return context


class AvVideoDecoder:
    """A `VideoDecoder` of any video codec."""

    def __init__(self, codec: CodecName, threads: int = 1) -> None:
        self._codec = codec
        self._threads = threads
        self._timestamps = TimestampUnwrapper()
        self._context: VideoCodecContext | None = None
        self._waiting = True

    def close(self) -> None:
        """Give its memory back."""
        self._context = None

    def decode(self, frame: EncodedFrame) -> Decoded[VideoFrame]:
        """Decode; what cannot be decoded asks for a key frame."""
        pts = self._timestamps.unwrap(frame.timestamp)
        if frame.lost_before and not frame.is_key_frame:
            self._waiting = True
        if self._waiting and not frame.is_key_frame:
            return Decoded(key_frame_wanted=True)
        try:
            pictures = self._decode(frame.data)
            frames = tuple(from_av_video(each, pts, VIDEO_TIME_BASE) for each in pictures)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            return self._failed(f"{self._codec.value}: {error}")
        if not frames:
            return self._failed(f"{self._codec.value}: no picture")
        self._waiting = False
        return Decoded(frames)

    def _decode(self, data: bytes) -> list[av.VideoFrame]:
        context = self._context
        if context is None:
            context = _create(_VIDEO[self._codec], VideoCodecContext)
            context.thread_count = self._threads
            # Threads by frame would hold back a picture per thread.
            context.thread_type = "SLICE"
            context.flags |= av.codec.context.Flags.low_delay
            options = {
                "err_detect": "+crccheck+bitstream+buffer+explode",
                "max_pixels": str(MAX_PIXELS),
            }
            if self._codec is CodecName.AV1:
                options["max_frame_delay"] = "1"
            context.options = options
            self._context = context
        pictures = context.decode(av.Packet(data))
        if any(picture.is_corrupt for picture in pictures):
            raise ValueError("the picture is damaged")
        return pictures

    def _failed(self, reason: str) -> Decoded[VideoFrame]:
        # A context that failed may hold a broken reference; the key frame gets a new one.
        self._context = None
        self._waiting = True
        return Decoded(key_frame_wanted=True, error=reason)


class AvAudioDecoder:
    """An `AudioDecoder` of any audio codec; lost packets are the last one again, fading."""

    def __init__(self, codec: CodecName) -> None:
        self._codec = codec
        self._name, self._rate, self._channels = _AUDIO[codec]
        self._scale = Fraction(self._rate, codec.clock_rate)
        self._timestamps = TimestampUnwrapper()
        self._context: AudioCodecContext | None = None
        self._last: Samples | None = None

    def close(self) -> None:
        """Give its memory back."""
        self._context = None

    def decode(self, frame: EncodedFrame) -> Decoded[AudioFrame]:
        """Decode, and conceal what is missing before it."""
        pts = round(self._timestamps.unwrap(frame.timestamp) * self._scale)
        concealed = self._conceal(min(frame.lost_before, MAX_CONCEALED), pts)
        try:
            samples = self._decode(frame.data)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self._context = None
            length = 0 if self._last is None else len(self._last)
            instead = self._conceal(1, pts + length)
            return Decoded((*concealed, *instead), error=f"{self._codec.value}: {error}")
        self._last = samples
        return Decoded((*concealed, AudioFrame(samples, self._rate, pts)))

    def _conceal(self, count: int, end: int) -> tuple[AudioFrame, ...]:
        """Return `count` frames that end at `end`."""
        if self._last is None or not len(self._last):
            return ()
        frames = []
        length = len(self._last)
        for index in range(count):
            self._last = (self._last * _FADE).astype(np.int16)
            frames.append(AudioFrame(self._last, self._rate, end - length * (count - index)))
        return tuple(frames)

    def _decode(self, data: bytes) -> Samples:
        if not data:
            raise ValueError("an empty packet")
        context = self._context
        if context is None:
            context = _create(self._name, AudioCodecContext)
            context.sample_rate = self._rate
            context.layout = "mono" if self._channels == 1 else "stereo"
            if self._codec is CodecName.OPUS:
                context.format = "s16"
            self._context = context
        frames = context.decode(av.Packet(data))
        return np.concatenate([self._interleaved(frame) for frame in frames])

    @staticmethod
    def _interleaved(frame: av.AudioFrame) -> Samples:
        if frame.format.name == "s16":
            return samples_of(frame)
        values = frame.to_ndarray()
        if frame.format.is_planar:
            values = values.T
        else:
            values = values.reshape(-1, len(frame.layout.channels))
        return np.clip(np.round(values * 32768.0), -32768, 32767).astype(np.int16)
