"""Opus (RFC 6716, RFC 7587) by libopus itself: bit rate and FEC that change in a call, DTX, PLC.

Lost packets are concealed by libopus, and the last one before a packet that came is decoded from
that packet's in-band FEC where it has any.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from webrtc.media.codecs.av_audio import OPUS_MAX_BIT_RATE, OPUS_MIN_BIT_RATE, Packetised
from webrtc.media.codecs.av_decoders import MAX_CONCEALED
from webrtc.media.codecs.base import CodecName, Decoded
from webrtc.media.codecs.libraries import calls_variadic, load
from webrtc.media.errors import CodecError
from webrtc.media.frames import AudioFrame, EncodedFrame, TimestampUnwrapper

RATE = 48_000
MAX_SAMPLES = 5760
"""120 ms, the longest packet (RFC 6716 §2.1.4)."""
_MAX_PACKET = 1500
_DTX_PACKET = 2
"""libopus: a packet of at most two bytes need not be sent."""
_APPLICATION = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
_SET_BITRATE, _SET_INBAND_FEC, _SET_PACKET_LOSS, _SET_DTX = 4002, 4012, 4014, 4016


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return libopus with its functions' types set, or None if it cannot be used."""
    found = load("opus") if calls_variadic() else None
    if found is None:
        return None
    integer, pointer, handle = ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p
    status = ctypes.POINTER(ctypes.c_int)
    for name, result, arguments in (
        ("opus_encoder_create", handle, [integer, ctypes.c_int, ctypes.c_int, status]),
        ("opus_encoder_destroy", None, [handle]),
        (
            "opus_encode",
            integer,
            [handle, pointer, ctypes.c_int, ctypes.c_char_p, integer],
        ),
        ("opus_decoder_create", handle, [integer, ctypes.c_int, status]),
        ("opus_decoder_destroy", None, [handle]),
        (
            "opus_decode",
            ctypes.c_int,
            [handle, ctypes.c_char_p, integer, pointer, ctypes.c_int, ctypes.c_int],
        ),
        ("opus_encoder_ctl", ctypes.c_int, [handle, ctypes.c_int]),
    ):
        try:
            function = getattr(found, name)
        except AttributeError:
            return None
        function.restype = result
        function.argtypes = arguments
    return found


def _library() -> ctypes.CDLL:
    found = library()
    if found is None:
        raise CodecError("libopus is not there")
    return found


class OpusEncoder(Packetised):
    """An `AudioEncoder` for Opus."""

    def __init__(
        self,
        bit_rate: int = 32_000,
        channels: int = 2,
        *,
        application: str = "voip",
        fec: bool = True,
        dtx: bool = False,
    ) -> None:
        """Make one; `fec` adds copies of the last packet as soon as loss is expected.

        Raises:
            CodecError: libopus is not there.

        """
        super().__init__(CodecName.OPUS, RATE, channels)
        self._library = _library()
        status = ctypes.c_int()
        self._encoder: int | None = self._library.opus_encoder_create(
            RATE, channels, _APPLICATION[application], ctypes.byref(status)
        )
        if status.value or not self._encoder:
            raise CodecError(f"libopus: error {status.value}")
        self._buffer = ctypes.create_string_buffer(_MAX_PACKET)
        self._wanted: dict[int, int] = {}
        self._bit_rate = 0
        self._control(_SET_INBAND_FEC, int(fec))
        self._control(_SET_DTX, int(dtx))
        self.set_bit_rate(bit_rate)

    @property
    def bit_rate(self) -> int:
        """Bits per second that it aims at."""
        return self._bit_rate

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate from the next packet on."""
        self._bit_rate = min(max(int(rate_bps), OPUS_MIN_BIT_RATE), OPUS_MAX_BIT_RATE)
        self._wanted[_SET_BITRATE] = self._bit_rate

    def set_expected_loss(self, fraction: float) -> None:
        """Say what share of packets is lost; from a few percent on FEC is worth its bits."""
        self._wanted[_SET_PACKET_LOSS] = min(max(round(fraction * 100), 0), 100)

    def encode(self, frame: AudioFrame) -> list[EncodedFrame]:
        """Encode; with DTX silence gives packets every 400 ms only. Raises CodecError."""
        while self._wanted:
            self._control(*self._wanted.popitem())
        return self.packets(frame, self._encode)

    def close(self) -> None:
        """Give its memory back."""
        if self._encoder is not None:
            self._library.opus_encoder_destroy(self._encoder)
            self._encoder = None

    def __del__(self) -> None:
        if getattr(self, "_encoder", None) is not None:
            self.close()

    def _control(self, request: int, value: int) -> None:
        status = self._library.opus_encoder_ctl(self._encoder, request, ctypes.c_int32(value))
        if status:
            raise CodecError(f"libopus: error {status} for control {request}")

    def _encode(self, frame: AudioFrame) -> bytes | None:
        if self._encoder is None:
            raise CodecError("the encoder is closed")
        size = self._library.opus_encode(
            self._encoder, frame.samples.ctypes.data, frame.count, self._buffer, _MAX_PACKET
        )
        if size < 0:
            raise CodecError(f"libopus: error {size}")
        return self._buffer.raw[:size] if size > _DTX_PACKET else None


class OpusDecoder:
    """An `AudioDecoder` for Opus.

    Attributes:
        concealed: packets that were guessed.
        from_fec: packets that were decoded from the FEC of the next; a packet without any is
            concealed there by libopus, and counts here too.

    """

    def __init__(self, channels: int = 2) -> None:
        """Make one that gives this many channels, whatever the packets have.

        Raises:
            CodecError: libopus is not there.

        """
        self._library = _library()
        status = ctypes.c_int()
        self._decoder: int | None = self._library.opus_decoder_create(
            RATE, channels, ctypes.byref(status)
        )
        if status.value or not self._decoder:
            raise CodecError(f"libopus: error {status.value}")
        self._channels = channels
        self._timestamps = TimestampUnwrapper()
        self._samples = np.zeros((MAX_SAMPLES, channels), np.int16)
        self._count = 960
        self.concealed = 0
        self.from_fec = 0

    def close(self) -> None:
        """Give its memory back."""
        if self._decoder is not None:
            self._library.opus_decoder_destroy(self._decoder)
            self._decoder = None

    def __del__(self) -> None:
        if getattr(self, "_decoder", None) is not None:
            self.close()

    def decode(self, frame: EncodedFrame) -> Decoded[AudioFrame]:
        """Decode, and conceal what is missing before it; a broken packet is concealed too."""
        if self._decoder is None:
            raise CodecError("the decoder is closed")
        pts = self._timestamps.unwrap(frame.timestamp)
        frames = self._missing(frame, pts)
        count = self._call(frame.data, MAX_SAMPLES, fec=False) if frame.data else -1
        error = None
        if count < 0:
            error = f"libopus: error {count}"
            self.concealed += 1
            count = self._call(None, self._count, fec=False)
        if count > 0:
            self._count = count
            frames.append(self._frame(count, pts))
        return Decoded(tuple(frames), error=error)

    def _missing(self, frame: EncodedFrame, end: int) -> list[AudioFrame]:
        frames: list[AudioFrame] = []
        missing = min(frame.lost_before, MAX_CONCEALED)
        for index in range(missing):
            # RFC 6716 §4.4: the copy is of the packet right before.
            fec = index == missing - 1 and bool(frame.data)
            count = self._call(frame.data if fec else None, self._count, fec=fec)
            if count > 0:
                frames.append(self._frame(count, end - self._count * (missing - index)))
                self.from_fec += fec
                self.concealed += not fec
        return frames

    def _call(self, data: bytes | None, count: int, *, fec: bool) -> int:
        size = 0 if data is None else len(data)
        return int(
            self._library.opus_decode(
                self._decoder, data, size, self._samples.ctypes.data, count, int(fec)
            )
        )

    def _frame(self, count: int, pts: int) -> AudioFrame:
        return AudioFrame(self._samples[:count].copy(), RATE, pts)
