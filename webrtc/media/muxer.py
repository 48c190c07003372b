"""Writes raw frames of a picture and a sound track into one file, in step: the blocking half.

Frames carry times of one time line. The first of them is the file's beginning. Sound is laid out
by time: holes become silence, overlaps are cut; pictures stand until the next. `recorder` runs
this in threads.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import attrs
import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from webrtc.media.codecs.av_video import MANY_PIXELS
from webrtc.media.convert import (
    AudioChunker,
    AudioConverter,
    layout_name,
    scale,
    to_av_audio,
    to_av_video,
)
from webrtc.media.errors import MediaFileError
from webrtc.media.frames import VIDEO_TIME_BASE, AudioFrame, VideoFrame

RATE = 48_000
MAX_SKEW = 0.04
"""Seconds that sound may be off its time before silence or a cut corrects it."""
MAX_SILENCE = 600.0
"""Seconds; a longer hole is taken for a new time line, that goes on where the old one ended."""
MAX_WAIT = 5.0
"""Seconds of one track that are held until the other begins; then it is left out."""
PCM_FRAME = 960
_FULL_SCALE = np.float32(32768.0)


@attrs.frozen
class _Format:
    video: str | None
    audio: str
    container: str
    video_options: tuple[tuple[str, str], ...] = ()


_X264 = (("preset", "veryfast"), ("crf", "23"))
_VPX = (("deadline", "realtime"), ("cpu-used", "7"), ("lag-in-frames", "0"), ("crf", "10"))
_FORMATS = {
    ".mp4": _Format("libx264", "aac", "mp4", _X264),
    ".mkv": _Format("libx264", "libopus", "matroska", _X264),
    ".webm": _Format("libvpx", "libopus", "webm", _VPX),
    ".ogg": _Format(None, "libopus", "ogg"),
    ".wav": _Format(None, "pcm_s16le", "wav"),
}


class Muxer:
    """One file. Not to be used by two threads at once.

    Attributes:
        dropped: frames that came too late for their place, or for a track that was left out.

    """

    def __init__(
        self, path: Path, *, video: bool, audio: bool, channels: int, video_bit_rate: int
    ) -> None:
        """Open the file; see `recorder.open_recorder`. Raises MediaFileError."""
        form = _FORMATS.get(path.suffix.lower())
        if form is None:
            raise MediaFileError(f"{path}: one of {', '.join(_FORMATS)} is possible")
        self._format = form
        self._channels = channels
        self._bit_rate = video_bit_rate
        tracks = {"video": video and form.video is not None, "audio": audio}
        self._wanted = {kind for kind, wanted in tracks.items() if wanted}
        if not self._wanted:
            raise MediaFileError(f"{path}: nothing to record")
        self._waiting: list[tuple[float, VideoFrame | AudioFrame]] = []
        self._seen: set[str] = set()
        self._zero = 0.0
        self._began = False
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._size = (0, 0)
        self._video_pts = -1
        self._converter = AudioConverter(RATE, channels)
        self._chunker = AudioChunker(PCM_FRAME)
        self._samples = 0
        self._audio_shift = 0
        self.dropped = 0
        try:
            path.open("wb").close()  # FFmpeg would find out at the first frame
            self._container: OutputContainer = av.open(str(path), "w", format=form.container)
        except (av.FFmpegError, OSError) as error:
            raise MediaFileError(f"{path}: {error}") from error

    def write(self, frame: VideoFrame | AudioFrame, time: float) -> None:
        """Write a frame whose place on the time line is `time`, in seconds.

        Raises:
            MediaFileError: it could not be encoded or written.

        """
        kind = "video" if isinstance(frame, VideoFrame) else "audio"
        if kind not in self._wanted:
            self.dropped += 1
            return
        try:
            if self._began:
                self._write(frame, time)
            else:
                self._waiting.append((time, frame))
                self._seen.add(kind)
                times = [each for each, _ in self._waiting]
                if self._seen == self._wanted or max(times) - min(times) >= MAX_WAIT:
                    self._begin()
        except (av.FFmpegError, OSError) as error:
            raise MediaFileError(str(error)) from error

    def close(self) -> None:
        """Write what is held and the end of the file. Raises MediaFileError."""
        try:
            if self._waiting:
                self._begin()
            if self._audio is not None:
                rest = self._chunker.rest()
                if rest is not None:
                    self._encode_audio(self._audio, rest)
                self._container.mux(self._audio.encode(None))
            if self._video is not None:
                self._container.mux(self._video.encode(None))
        except (av.FFmpegError, OSError) as error:
            raise MediaFileError(str(error)) from error
        finally:
            self._wanted.clear()
            self._container.close()
            # The codecs' threads end when nothing holds the streams any more: now.
            self._video = self._audio = None
            del self._container

    def _begin(self) -> None:
        """Make the streams of those tracks that are there, and write what was held."""
        self._wanted &= self._seen
        waiting, self._waiting = self._waiting, []
        self._zero = min(time for time, _ in waiting)
        for _, frame in waiting:
            if isinstance(frame, VideoFrame) and self._video is None:
                self._add_video(frame)
        if "audio" in self._wanted:
            self._add_audio()
        self._began = True
        for time, frame in waiting:
            self._write(frame, time)

    def _add_video(self, frame: VideoFrame) -> None:
        options = dict(self._format.video_options)
        stream = self._container.add_stream(self._format.video or "", rate=30, options=options)
        if not isinstance(stream, VideoStream):
            raise MediaFileError("no video codec")
        # 4:2:0 in MP4 has even sides.
        self._size = frame.width & ~1, frame.height & ~1
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = VIDEO_TIME_BASE
        stream.codec_context.max_b_frames = 0
        stream.bit_rate = self._bit_rate
        # Threads that libvpx has for small pictures wait for each other longer than they work.
        stream.thread_count = 1 if frame.width * frame.height < MANY_PIXELS else 2
        self._video = stream

    def _add_audio(self) -> None:
        stream = self._container.add_stream(
            self._format.audio, rate=RATE, layout=layout_name(self._channels)
        )
        if not isinstance(stream, AudioStream):
            raise MediaFileError("no audio codec")
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.codec_context.open()
        self._chunker = AudioChunker(stream.codec_context.frame_size or PCM_FRAME)
        self._audio = stream

    def _write(self, frame: VideoFrame | AudioFrame, time: float) -> None:
        if isinstance(frame, VideoFrame):
            self._write_video(frame, time - self._zero)
        else:
            self._write_audio(frame, time - self._zero)

    def _write_video(self, frame: VideoFrame, time: float) -> None:
        pts = round(time / VIDEO_TIME_BASE)
        if self._video is None or pts <= self._video_pts:
            self.dropped += 1
            return
        self._video_pts = pts
        picture = to_av_video(scale(frame, *self._size))
        picture.pts, picture.time_base = pts, VIDEO_TIME_BASE
        self._container.mux(self._video.encode(picture))

    def _write_audio(self, frame: AudioFrame, time: float) -> None:
        if self._audio is None:
            self.dropped += 1
            return
        samples = self._converter.convert(frame).samples
        place = round(time * RATE) + self._audio_shift
        apart = place - self._samples
        if apart > MAX_SILENCE * RATE:
            self._audio_shift -= apart
        elif apart > MAX_SKEW * RATE:
            self._fill(self._audio, apart)
        elif apart < -MAX_SKEW * RATE:
            samples = samples[-apart:]
            self.dropped += not len(samples)
        self._append(self._audio, AudioFrame(samples, RATE, self._samples))

    def _fill(self, stream: AudioStream, count: int) -> None:
        while count > 0:
            size = min(count, RATE)
            silence = np.zeros((size, self._channels), np.int16)
            self._append(stream, AudioFrame(silence, RATE, self._samples))
            count -= size

    def _append(self, stream: AudioStream, frame: AudioFrame) -> None:
        self._samples += frame.count
        for chunk in self._chunker.push(frame):
            self._encode_audio(stream, chunk)

    def _encode_audio(self, stream: AudioStream, frame: AudioFrame) -> None:
        sound = to_av_audio(frame)
        if stream.codec_context.format.name == "fltp":  # AAC's
            floats = np.ascontiguousarray(frame.samples.T, np.float32) / _FULL_SCALE
            sound = av.AudioFrame.from_ndarray(floats, "fltp", layout_name(frame.channels))
            sound.sample_rate, sound.time_base, sound.pts = RATE, Fraction(1, RATE), frame.pts
        self._container.mux(stream.encode(sound))
