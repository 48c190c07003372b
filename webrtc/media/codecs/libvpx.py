"""VP8 and VP9 encoders by libvpx itself: a bit rate that changes without a key frame.

libvpx checks the version of the interface it is called by, which we find by asking, and its
configuration is a structure whose first fields have stood still since 2012. That they do is
checked against the defaults it fills in; where they do not, `usable` says no and PyAV encodes.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from fractions import Fraction
from typing import Any

import numpy as np

from webrtc.media.codecs.av_video import KEY_FRAME_INTERVAL, VideoSettings
from webrtc.media.codecs.base import CodecName, VideoEncoderWishes, rtp_timestamp
from webrtc.media.codecs.libraries import calls_variadic, load
from webrtc.media.errors import CodecError
from webrtc.media.frames import VIDEO_TIME_BASE, EncodedFrame, Plane, VideoFrame

_INTERFACES = {CodecName.VP8: "vpx_codec_vp8_cx", CodecName.VP9: "vpx_codec_vp9_cx"}
_ABI_VERSIONS = range(10, 96)
_ABI_MISMATCH = 3
_CONTEXT_BYTES = 512
_CONFIGURATION_BYTES = 8192
"""Larger than the structures are, in any version: only the library knows their size."""
_I420 = 0x102
_FORCE_KEY_FRAME = 1
_REALTIME = 1
_CBR = 1
_IS_KEY = 1
_FRAME_PACKET = 0
_SET_CPU_USED, _SET_STATIC_THRESHOLD = 13, 17
_SET_MAX_INTRA_RATE, _VP9_SET_AQ_MODE, _VP9_SET_ROW_MT = 26, 36, 55
_MAX_KEY_FRAME_PERCENT = 300
"""Of a frame's average share; what WebRTC's applications use is half of the buffer, as this is."""
_BUFFER_MS, _BUFFER_INITIAL_MS, _BUFFER_OPTIMAL_MS = 1000, 500, 600
_MIN_DURATION, _MAX_DURATION = 900, 90_000
"""Ticks that a picture is said to last: 10 ms to 1 s. The rate control divides by it."""


class _Configuration(ctypes.Structure):
    """The beginning of `vpx_codec_enc_cfg_t`."""

    _fields_ = (
        ("usage", ctypes.c_uint),
        ("threads", ctypes.c_uint),
        ("profile", ctypes.c_uint),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("bit_depth", ctypes.c_int),
        ("input_bit_depth", ctypes.c_uint),
        ("time_base_numerator", ctypes.c_int),
        ("time_base_denominator", ctypes.c_int),
        ("error_resilient", ctypes.c_uint),
        ("pass_", ctypes.c_int),
        ("lag_in_frames", ctypes.c_uint),
        ("drop_frame_threshold", ctypes.c_uint),
        ("resize_allowed", ctypes.c_uint),
        ("scaled_width", ctypes.c_uint),
        ("scaled_height", ctypes.c_uint),
        ("resize_up_threshold", ctypes.c_uint),
        ("resize_down_threshold", ctypes.c_uint),
        ("end_usage", ctypes.c_int),
        ("statistics_in", ctypes.c_void_p),
        ("statistics_in_size", ctypes.c_size_t),
        ("first_pass_in", ctypes.c_void_p),
        ("first_pass_in_size", ctypes.c_size_t),
        ("target_kbps", ctypes.c_uint),
        ("min_quantizer", ctypes.c_uint),
        ("max_quantizer", ctypes.c_uint),
        ("undershoot_percent", ctypes.c_uint),
        ("overshoot_percent", ctypes.c_uint),
        ("buffer_ms", ctypes.c_uint),
        ("buffer_initial_ms", ctypes.c_uint),
        ("buffer_optimal_ms", ctypes.c_uint),
        ("two_pass_bias", ctypes.c_uint),
        ("two_pass_min", ctypes.c_uint),
        ("two_pass_max", ctypes.c_uint),
        ("corpus_complexity", ctypes.c_uint),
        ("key_frame_mode", ctypes.c_int),
        ("key_frame_min", ctypes.c_uint),
        ("key_frame_max", ctypes.c_uint),
    )


class _Image(ctypes.Structure):
    """The beginning of `vpx_image_t`."""

    _fields_ = (
        ("format", ctypes.c_int),
        ("color_space", ctypes.c_int),
        ("range", ctypes.c_int),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("bit_depth", ctypes.c_uint),
        ("display_width", ctypes.c_uint),
        ("display_height", ctypes.c_uint),
        ("render_width", ctypes.c_uint),
        ("render_height", ctypes.c_uint),
        ("x_chroma_shift", ctypes.c_uint),
        ("y_chroma_shift", ctypes.c_uint),
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
    )


class _FramePacket(ctypes.Structure):
    """The beginning of `vpx_codec_cx_pkt_t`, as it is for a frame."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("pts", ctypes.c_int64),
        ("duration", ctypes.c_ulong),
        ("flags", ctypes.c_uint32),
    )


@functools.cache
def _library() -> ctypes.CDLL | None:
    found = load("vpx") if calls_variadic() else None
    if found is None:
        return None
    pointer, integer, unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
    for name, result, arguments in (
        ("vpx_codec_vp8_cx", pointer, []),
        ("vpx_codec_vp9_cx", pointer, []),
        ("vpx_codec_enc_config_default", integer, [pointer, pointer, unsigned]),
        (
            "vpx_codec_enc_init_ver",
            integer,
            [pointer, pointer, pointer, ctypes.c_long, integer],
        ),
        ("vpx_codec_enc_config_set", integer, [pointer, pointer]),
        (
            "vpx_codec_encode",
            integer,
            [
                pointer,
                pointer,
                ctypes.c_int64,
                ctypes.c_ulong,
                ctypes.c_long,
                ctypes.c_ulong,
            ],
        ),
        (
            "vpx_codec_get_cx_data",
            ctypes.POINTER(_FramePacket),
            [pointer, ctypes.POINTER(pointer)],
        ),
        ("vpx_codec_control_", integer, [pointer, integer]),
        ("vpx_codec_destroy", integer, [pointer]),
        ("vpx_codec_err_to_string", ctypes.c_char_p, [integer]),
        (
            "vpx_img_alloc",
            ctypes.POINTER(_Image),
            [pointer, integer, unsigned, unsigned, unsigned],
        ),
        ("vpx_img_free", None, [pointer]),
    ):
        try:
            function = getattr(found, name)
        except AttributeError:
            return None
        function.restype = result
        function.argtypes = arguments
    return found


def _default_configuration(library: ctypes.CDLL, interface: int) -> tuple[Any, _Configuration]:
    """Return the memory of a configuration with libvpx's defaults, and our view of it."""
    memory = ctypes.create_string_buffer(_CONFIGURATION_BYTES)
    library.vpx_codec_enc_config_default(interface, memory, 0)
    return memory, _Configuration.from_buffer(memory)


@functools.cache
def abi_version(codec: CodecName) -> int | None:
    """Return the version to call libvpx by, or None if it is not there or laid out otherwise."""
    library = _library()
    if library is None or codec not in _INTERFACES:
        return None
    interface = getattr(library, _INTERFACES[codec])()
    memory, found = _default_configuration(library, interface)
    defaults = (
        *(found.width, found.height, found.time_base_numerator, found.time_base_denominator),
        *(found.target_kbps, found.max_quantizer, found.buffer_ms, found.buffer_optimal_ms),
        found.key_frame_max,
    )
    if defaults != (320, 240, 1, 30, 256, 63, 6000, 5000, 128):
        return None
    context = ctypes.create_string_buffer(_CONTEXT_BYTES)
    for version in _ABI_VERSIONS:
        status = library.vpx_codec_enc_init_ver(context, interface, memory, 0, version)
        if status != _ABI_MISMATCH:
            library.vpx_codec_destroy(context)
            return version if status == 0 else None
    return None


def usable(codec: CodecName) -> bool:
    """Whether this codec can be encoded here."""
    return abi_version(codec) is not None


class _Codec:
    """An open codec for one size of pictures, and the memory that it works in."""

    def __init__(self, codec: CodecName, settings: VideoSettings, size: tuple[int, int]) -> None:
        library, version = _library(), abi_version(codec)
        if library is None or version is None:
            raise CodecError("libvpx is not there")
        self.size = size
        self._library = library
        self._interface = getattr(library, _INTERFACES[codec])()
        self._context = ctypes.create_string_buffer(_CONTEXT_BYTES)
        self._memory, self._configuration = _default_configuration(library, self._interface)
        self._configure(codec, settings)
        self._check(
            library.vpx_codec_enc_init_ver(self._context, self._interface, self._memory, 0, version)
        )
        image = library.vpx_img_alloc(None, _I420, *size, 16)
        self._finalizer = weakref.finalize(self, _free, library, self._context, image)
        if not image:
            self.close()
            raise CodecError(f"libvpx: no memory for {size}")
        self._image = image
        self._planes = self._view(image.contents)
        self._control_all(codec, settings)

    def close(self) -> None:
        """Give its memory back; once is enough."""
        self._finalizer()

    def _configure(self, codec: CodecName, settings: VideoSettings) -> None:
        wanted = self._configuration
        wanted.width, wanted.height = self.size
        wanted.threads = settings.threads_for(self.size[0] * self.size[1])
        wanted.time_base_numerator = VIDEO_TIME_BASE.numerator
        wanted.time_base_denominator = VIDEO_TIME_BASE.denominator
        wanted.lag_in_frames = 0
        wanted.end_usage = _CBR
        wanted.error_resilient = int(codec is CodecName.VP8)
        wanted.drop_frame_threshold = 30
        wanted.min_quantizer, wanted.max_quantizer = 2, 56
        wanted.undershoot_percent, wanted.overshoot_percent = 100, 15
        wanted.buffer_ms = _BUFFER_MS
        wanted.buffer_initial_ms = _BUFFER_INITIAL_MS
        wanted.buffer_optimal_ms = _BUFFER_OPTIMAL_MS
        wanted.key_frame_max = KEY_FRAME_INTERVAL
        wanted.target_kbps = max(settings.bit_rate // 1000, 1)

    def _control_all(self, codec: CodecName, settings: VideoSettings) -> None:
        self._control(_SET_MAX_INTRA_RATE, _MAX_KEY_FRAME_PERCENT)
        self._control(_SET_STATIC_THRESHOLD, 1)
        if codec is CodecName.VP8:
            # Negative: a fixed speed, instead of one that follows the time that pictures took.
            self._control(_SET_CPU_USED, (-2, -4, -8)[settings.speed])
        else:
            self._control(_SET_CPU_USED, (5, 7, 9)[settings.speed])
            self._control(_VP9_SET_AQ_MODE, 3)
            self._control(_VP9_SET_ROW_MT, 1)

    def _view(self, image: _Image) -> list[Plane]:
        planes = []
        width, height = self.size
        half = (height + 1) // 2, (width + 1) // 2
        for index, (rows, columns) in enumerate(((height, width), half, half)):
            stride = image.strides[index]
            memory = (ctypes.c_uint8 * (stride * rows)).from_address(image.planes[index])
            planes.append(np.frombuffer(memory, np.uint8).reshape(rows, stride)[:, :columns])
        return planes

    def _control(self, control: int, value: int) -> None:
        self._check(self._library.vpx_codec_control_(self._context, control, ctypes.c_int(value)))

    def _check(self, status: int) -> None:
        if status:
            reason = self._library.vpx_codec_err_to_string(status).decode("ascii", "replace")
            raise CodecError(f"libvpx: {reason}")

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate from the next picture on."""
        self._configuration.target_kbps = max(rate_bps // 1000, 1)
        self._check(self._library.vpx_codec_enc_config_set(self._context, self._memory))

    def encode(
        self, frame: VideoFrame, pts: int, duration: int, *, key: bool
    ) -> list[tuple[bytes, bool]]:
        """Return the data of the picture, and whether it is a key frame; nothing if dropped."""
        for plane, source in zip(self._planes, (frame.y, frame.u, frame.v), strict=True):
            plane[:] = source
        flags = _FORCE_KEY_FRAME if key else 0
        self._check(
            self._library.vpx_codec_encode(
                self._context, self._image, pts, duration, flags, _REALTIME
            )
        )
        iterator = ctypes.c_void_p()
        results = []
        while packet := self._library.vpx_codec_get_cx_data(self._context, ctypes.byref(iterator)):
            content = packet.contents
            if content.kind == _FRAME_PACKET:
                data = ctypes.string_at(content.buffer, content.size)
                results.append((data, bool(content.flags & _IS_KEY)))
        return results


def _free(library: ctypes.CDLL, context: Any, image: Any) -> None:
    library.vpx_codec_destroy(context)
    if image:
        library.vpx_img_free(image)


class VpxEncoder(VideoEncoderWishes):
    """A `VideoEncoder` for VP8 or VP9."""

    def __init__(self, codec: CodecName, settings: VideoSettings | None = None) -> None:
        """Make one; the codec itself is opened at the first picture.

        Raises:
            CodecError: libvpx is not there; `usable` tells.

        """
        if not usable(codec):
            raise CodecError(f"libvpx does not encode {codec.value} here")
        self._settings = settings or VideoSettings()
        super().__init__(codec, self._settings.bit_rate)
        self._set_rate = 0
        self._codec: _Codec | None = None
        self._last_pts = -1

    def close(self) -> None:
        """Give its memory back."""
        if self._codec is not None:
            self._codec.close()
            self._codec = None

    def encode(self, frame: VideoFrame) -> list[EncodedFrame]:
        """Encode; raises CodecError if the codec fails."""
        codec = self._codec
        size = frame.width, frame.height
        if codec is None or codec.size != size:
            self.close()
            codec = self._codec = _Codec(self._codec_name, self._settings, size)
            self._set_rate = 0
        if self._bit_rate != self._set_rate:
            self._set_rate = self._bit_rate
            codec.set_bit_rate(self._set_rate)
        time = round(frame.pts * Fraction(frame.time_base) / VIDEO_TIME_BASE)
        usual = 90_000 // self._settings.frame_rate
        passed = time - self._last_pts if self._last_pts >= 0 else usual
        # libvpx wants rising times, and believes the duration: what the last one was will do.
        duration = min(max(passed, _MIN_DURATION), _MAX_DURATION) if passed > 0 else usual
        pts = max(time, self._last_pts + 1)
        self._last_pts = pts
        results = codec.encode(frame, pts, duration, key=self._wish.take())
        timestamp = rtp_timestamp(time, VIDEO_TIME_BASE, 90_000)
        return [EncodedFrame(data, self.codec, timestamp, key) for data, key in results]
