"""Records what arrives into a file: MP4, WebM, Matroska, Ogg or WAV, by its name.

The file is whole whenever the block is left, also by cancellation.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from webrtc.media.frames import AudioFrame, VideoFrame
from webrtc.media.muxer import Muxer

DEFAULT_BIT_RATE = 2_000_000
"""Bits per second of WebM's video; the others aim at a quality."""


class Recorder:
    """A file that is being recorded; a `Sink` for frames of both kinds."""

    def __init__(self, muxer: Muxer) -> None:
        """`open_recorder` makes them."""
        self._muxer = muxer
        self._lock = trio.Lock()

    @property
    def dropped(self) -> int:
        """Frames that came too late for their place in the file."""
        return self._muxer.dropped

    async def write(self, frame: VideoFrame | AudioFrame, at: float | None = None) -> None:
        """Encode a frame and write it, in a thread; returns when that is done.

        Args:
            frame: of any size, rate and number of channels.
            at: its place on the time line that all frames share, in seconds: for what arrived,
                when it is played out. None if the pts of pictures and sound are of one time line
                themselves, as those of a file are.

        Raises:
            MediaFileError: it could not be encoded or written.

        """
        async with self._lock:
            time = frame.time if at is None else at
            await trio.to_thread.run_sync(self._muxer.write, frame, time)


@asynccontextmanager
async def open_recorder(
    path: str | os.PathLike[str],
    *,
    video: bool = True,
    audio: bool = True,
    channels: int = 2,
    video_bit_rate: int = DEFAULT_BIT_RATE,
) -> AsyncIterator[Recorder]:
    """Record into a file.

    Args:
        path: ends in .mp4 (H.264 and AAC), .mkv (H.264 and Opus), .webm (VP8 and Opus), or, for
            sound alone, .ogg (Opus) or .wav.
        video: whether there will be pictures; they have the first one's size.
        audio: whether there will be sound. The file begins when a frame of either kind came, or
            after 5 seconds without the other.
        channels: of the sound.
        video_bit_rate: bits per second at most, for WebM.

    Raises:
        MediaFileError: the file cannot be written, or nothing can be recorded into it.

    """
    muxer = await trio.to_thread.run_sync(
        lambda: Muxer(
            Path(path), video=video, audio=audio, channels=channels, video_bit_rate=video_bit_rate
        )
    )
    try:
        yield Recorder(muxer)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(muxer.close)
