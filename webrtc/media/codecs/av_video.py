"""Video encoders over PyAV: H.264 (x264), AV1 (SVT), and VP8 and VP9 where libvpx is not reachable.

FFmpeg passes a change of bit rate on to x264 only. The others are opened anew for one, which costs
a key frame, so small changes wait until they add up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fractions import Fraction

import attrs
import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from webrtc.media.codecs.base import CodecName, VideoEncoderWishes, rtp_timestamp
from webrtc.media.codecs.scheduling import ordinary_threads
from webrtc.media.convert import to_av_video
from webrtc.media.errors import CodecError
from webrtc.media.frames import VIDEO_TIME_BASE, EncodedFrame, VideoFrame

REOPEN_RATIO = 0.2
"""Share of the bit rate by which a change is worth a key frame."""
REOPEN_INTERVAL = 2.0
"""Seconds between two of those."""
MANY_PIXELS = 1280 * 720
KEY_FRAME_INTERVAL = 3000
"""Pictures: a minute and a half. Receivers ask for key frames; unasked ones are a burst each."""


@attrs.frozen
class VideoSettings:
    """What an encoder is to do.

    Attributes:
        bit_rate: bits per second at first.
        max_bit_rate: the most that `set_bit_rate` will be called with, so that changes below need
            no key frame.
        frame_rate: pictures per second that are expected; their pts are what counts.
        threads: of the codec; None for one, or two from 720p on.
        speed: 0 is the best quality for its bits, 2 the fewest processor cycles.

    """

    bit_rate: int = 800_000
    max_bit_rate: int = 4_000_000
    frame_rate: int = 30
    threads: int | None = None
    speed: int = 1

    def threads_for(self, pixels: int) -> int:
        """How many threads encode pictures of this many pixels."""
        return self.threads or (2 if pixels >= MANY_PIXELS else 1)


def _x264(settings: VideoSettings, rate: int) -> dict[str, str]:
    ceiling = max(settings.max_bit_rate, rate)
    # x264 takes a new bit rate only below the ceiling of a VBV that was there from the first, and
    # with a small one follows within a second. The buffer is what one burst may hold: 1/3 s at
    # the first rate.
    return {
        "preset": ("faster", "superfast", "ultrafast")[settings.speed],
        "tune": "zerolatency",
        "profile": "baseline",  # x264's is the constrained one: 42e0..
        "forced-idr": "1",
        "maxrate": str(ceiling),
        "bufsize": str(max(rate // 3, 100_000)),
        "sc_threshold": "0",
        "refs": "1",
    }


def _svt_av1(settings: VideoSettings, rate: int) -> dict[str, str]:
    return {
        "preset": ("9", "11", "12")[settings.speed],
        "svtav1-params": "rtc=1:pred-struct=1:rc=2:lookahead=0:scd=0:lp=1",
    }


def _vpx(settings: VideoSettings, rate: int) -> dict[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": ("5", "7", "8")[settings.speed],
        "lag-in-frames": "0",
        "error-resilient": "default",
        "auto-alt-ref": "0",
        "minrate": str(rate),
        "maxrate": str(rate),
        "bufsize": str(rate * 3 // 5),
    }


@attrs.frozen
class _Library:
    name: str
    options: Callable[[VideoSettings, int], Mapping[str, str]]
    changes_rate: bool = False


_LIBRARIES = {
    CodecName.H264: _Library("libx264", _x264, changes_rate=True),
    CodecName.AV1: _Library("libsvtav1", _svt_av1),
    CodecName.VP8: _Library("libvpx", _vpx),
    CodecName.VP9: _Library("libvpx-vp9", _vpx),
}


class AvVideoEncoder(VideoEncoderWishes):
    """A `VideoEncoder` of any of the four.

    Attributes:
        reopened: times the codec was opened anew for a bit rate.

    """

    def __init__(
        self,
        codec: CodecName,
        settings: VideoSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or VideoSettings()
        super().__init__(codec, self._settings.bit_rate)
        self._library = _LIBRARIES[codec]
        self._clock = clock
        self._opened_rate = 0
        self._opened_at = -REOPEN_INTERVAL
        self._context: VideoCodecContext | None = None
        self._last_pts = -1
        self.reopened = 0

    def close(self) -> None:
        """Give its memory back."""
        self._context = None

    def encode(self, frame: VideoFrame) -> list[EncodedFrame]:
        """Encode; raises CodecError if the codec fails."""
        key = self._wish.take()
        try:
            context = self._context_for(frame.width, frame.height)
            picture = to_av_video(frame)
            # The codecs want rising times; what the receiver is told is the source's own.
            pts = max(round(frame.pts * frame.time_base / VIDEO_TIME_BASE), self._last_pts + 1)
            self._last_pts = pts
            picture.pts, picture.time_base = pts, VIDEO_TIME_BASE
            picture.pict_type = PictureType.I if key else PictureType.NONE
            packets = context.encode(picture)
        except av.FFmpegError as error:
            raise CodecError(f"{self._library.name}: {error}") from error
        return [
            EncodedFrame(
                data=bytes(packet),
                codec=self.codec,
                timestamp=rtp_timestamp(packet.pts or 0, VIDEO_TIME_BASE, 90_000),
                is_key_frame=packet.is_keyframe,
            )
            for packet in packets
            if packet.size
        ]

    def _context_for(self, width: int, height: int) -> VideoCodecContext:
        context = self._context
        rate = self._bit_rate
        if context is None or (context.width, context.height) != (width, height):
            return self._open(width, height)
        if rate != self._opened_rate:
            if self._library.changes_rate and rate <= self._ceiling:
                context.bit_rate = rate
                self._opened_rate = rate
            elif self._is_worth_reopening(rate):
                self.reopened += 1
                return self._open(width, height)
        return context

    def _is_worth_reopening(self, rate: int) -> bool:
        return (
            abs(rate - self._opened_rate) > REOPEN_RATIO * self._opened_rate
            and self._clock() - self._opened_at >= REOPEN_INTERVAL
        )

    def _open(self, width: int, height: int) -> VideoCodecContext:
        settings, rate = self._settings, self._bit_rate
        context = av.CodecContext.create(self._library.name, "w")
        if not isinstance(context, VideoCodecContext):
            raise CodecError(f"{self._library.name} is no video codec")
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.color_range = 1  # limited, and BT.601 below: what the frames are, and browsers take
        context.time_base = VIDEO_TIME_BASE
        context.framerate = Fraction(settings.frame_rate)
        context.gop_size = KEY_FRAME_INTERVAL
        context.max_b_frames = 0
        context.thread_count = settings.threads_for(width * height)
        context.options = dict(self._library.options(settings, rate))
        self._ceiling = max(settings.max_bit_rate, rate)
        # Opened at the ceiling and then lowered: x264 follows up and down from there.
        context.bit_rate = self._ceiling if self._library.changes_rate else rate
        with ordinary_threads():
            context.open()
        context.bit_rate = rate
        self._opened_rate = rate
        self._opened_at = self._clock()
        self._context = context
        return context
