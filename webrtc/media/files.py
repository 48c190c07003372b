"""Plays files: any container and codec that FFmpeg reads, decoded in threads, paced by pts.

Picture and sound are read through a container each, so that whoever wants only one of them needs
not take the other. They share a `Pacer` and the file's time line, and so stay in step.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import attrs
import av
import trio
from av.container import InputContainer

from webrtc.media.convert import Resampler, from_av_video, samples_of
from webrtc.media.errors import MediaFileError
from webrtc.media.frames import VIDEO_TIME_BASE, AudioFrame, VideoFrame
from webrtc.media.pacing import Pacer

_MICROSECONDS = 1_000_000
F = TypeVar("F", bound=VideoFrame | AudioFrame)


def _video_frames(container: InputContainer, offset: float) -> Iterator[VideoFrame]:
    for frame in container.decode(video=0):
        if frame.time is not None:
            yield from_av_video(frame, round((frame.time + offset) / VIDEO_TIME_BASE))


def _audio_frames(container: InputContainer, offset: float) -> Iterator[AudioFrame]:
    stream = container.streams.audio[0]
    channels = min(len(stream.codec_context.layout.channels), 2)
    rate = stream.codec_context.sample_rate
    resampler: Resampler | None = None
    for frame in container.decode(stream):
        if resampler is None:
            resampler = Resampler(frame, rate, channels)
        for part in resampler.convert(frame):
            if part.time is not None:
                pts = round((part.time + offset) * rate)
                yield AudioFrame(samples_of(part), rate, pts)


class FileTrack(Generic[F]):
    """The pictures or the sound of a file: an asynchronous iterator of frames."""

    def __init__(
        self,
        path: str,
        frames: Callable[[InputContainer, float], Iterator[F]],
        pacer: Pacer | None,
        *,
        loop: bool,
    ) -> None:
        """Open the container: this blocks. `open_file` makes tracks."""
        self._frames = frames
        self._pacer = pacer
        self._loop = loop
        self._limiter = trio.CapacityLimiter(1)
        self._container = av.open(path)
        start = self._container.start_time or 0
        self._offset = -start / _MICROSECONDS
        self._end = 0.0
        self._iterator = frames(self._container, self._offset)

    def __aiter__(self) -> FileTrack[F]:
        return self

    async def __anext__(self) -> F:
        """Return the next frame at its time; raises MediaFileError."""
        try:
            frame = await trio.to_thread.run_sync(self._read, limiter=self._limiter)
        except av.FFmpegError as error:
            raise MediaFileError(str(error)) from error
        if frame is None:
            raise StopAsyncIteration
        if self._pacer is not None:
            await self._pacer.wait_until(frame.time)
        return frame

    def _read(self) -> F | None:
        frame = next(self._iterator, None)
        if frame is None and self._loop and self._end > 0:
            # The file's length, not this track's: the other one begins anew at the same time.
            length = self._container.duration
            self._offset += self._end if length is None else length / _MICROSECONDS
            self._container.seek(self._container.start_time or 0)
            self._iterator = self._frames(self._container, self._offset)
            frame = next(self._iterator, None)
        if frame is not None:
            self._end = max(self._end, frame.time)
        return frame

    def close(self) -> None:
        """Close the container."""
        self._container.close()


@attrs.frozen
class MediaFile:
    """An open file.

    Attributes:
        video: its pictures, or None if it has none.
        audio: its sound in 16 bits and one or two channels, or None.
        duration: seconds, or None if the container does not say.

    """

    video: FileTrack[VideoFrame] | None
    audio: FileTrack[AudioFrame] | None
    duration: float | None


def _open(path: str, pacer: Pacer | None, *, loop: bool) -> MediaFile:
    try:
        with av.open(path) as container:
            has_video = bool(container.streams.video)
            has_audio = bool(container.streams.audio)
            length = container.duration
        if not (has_video or has_audio):
            raise MediaFileError(f"{path}: neither pictures nor sound")
        return MediaFile(
            FileTrack(path, _video_frames, pacer, loop=loop) if has_video else None,
            FileTrack(path, _audio_frames, pacer, loop=loop) if has_audio else None,
            None if length is None else length / _MICROSECONDS,
        )
    except (av.FFmpegError, OSError) as error:
        raise MediaFileError(f"{path}: {error}") from error


def _close(file: MediaFile) -> None:
    for track in (file.video, file.audio):
        if track is not None:
            track.close()


@asynccontextmanager
async def open_file(
    path: str | os.PathLike[str], *, paced: bool = True, loop: bool = False
) -> AsyncIterator[MediaFile]:
    """Open a file to play it.

    Args:
        path: of a file; devices and pipes, which cannot be opened twice, are no files.
        paced: whether frames come at their times, or as soon as they are asked for.
        loop: begin again at the end, with pts that go on.

    Raises:
        MediaFileError: it cannot be read, or holds neither pictures nor sound.

    """
    pacer = Pacer() if paced else None
    file = await trio.to_thread.run_sync(lambda: _open(os.fspath(path), pacer, loop=loop))
    try:
        yield file
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_close, file)
