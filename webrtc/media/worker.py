"""Runs a codec in a thread of its own, with bounded queues to and from trio.

One task per codec takes from the queue, computes in a thread, and passes on what came out. Only
one call of a codec runs at a time. Leaving the block waits for the call that is running (a few
milliseconds): no thread outlives it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeAlias, TypeVar

import trio

from webrtc.media.codecs.base import (
    AudioDecoder,
    AudioEncoder,
    Decoded,
    VideoDecoder,
    VideoEncoder,
)
from webrtc.media.errors import MediaError
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame

In = TypeVar("In")
Out = TypeVar("Out")

QUEUE_SIZE = 4
"""Frames that wait: of live video more would be delay."""


class CodecWorker(Generic[In, Out]):
    """Frames in by `put` or `offer`, frames out by iteration.

    Attributes:
        dropped: frames that `offer` refused since the codec was behind.
        busy: seconds that the codec has worked.

    """

    def __init__(
        self, process: Callable[[In], Iterable[Out]], queue_size: int = QUEUE_SIZE
    ) -> None:
        """Make the shell of `process`, which runs in threads; `open_worker` runs it."""
        self._process = process
        self._put, self._in = trio.open_memory_channel[In](queue_size)
        # Results of one call are passed on one by one: the codec waits for whoever is slow.
        self._out, self._take = trio.open_memory_channel[Out](queue_size)
        self._limiter = trio.CapacityLimiter(1)
        self._error: Exception | None = None
        self.dropped = 0
        self.busy = 0.0

    async def put(self, frame: In) -> None:
        """Pass a frame on, as soon as there is room.

        Raises:
            MediaError: the codec failed, or the worker is closed.

        """
        try:
            await self._put.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._failure() from self._error

    def offer(self, frame: In) -> bool:
        """Pass a frame on, or drop it if the codec is behind: False then. Raises MediaError."""
        try:
            self._put.send_nowait(frame)
        except trio.WouldBlock:
            self.dropped += 1
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._failure() from self._error
        return True

    def finish(self) -> None:
        """Say that no frame follows: iteration ends after what is under way."""
        self._put.close()

    def __aiter__(self) -> CodecWorker[In, Out]:
        return self

    async def __anext__(self) -> Out:
        try:
            return await self._take.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            if self._error is not None:
                raise self._failure() from self._error
            raise StopAsyncIteration from None

    def _failure(self) -> MediaError:
        if self._error is not None:
            return MediaError(f"the codec failed: {self._error}")
        return MediaError("the worker is closed")

    async def _run(self) -> None:
        with self._out, self._in:
            try:
                async for frame in self._in:
                    for result in await trio.to_thread.run_sync(
                        self._collect, frame, limiter=self._limiter
                    ):
                        await self._out.send(result)
            except trio.BrokenResourceError:
                pass  # nobody reads any more
            except Exception as error:
                # Of a codec or of what is underneath it: one stream's failure ends that stream,
                # told at its next call, and not the nursery of everything else.
                self._error = error

    def _collect(self, frame: In) -> list[Out]:
        began = time.perf_counter()
        try:
            return list(self._process(frame))
        finally:
            self.busy += time.perf_counter() - began

    def _shut(self) -> None:
        self._put.close()
        self._take.close()


@asynccontextmanager
async def open_worker(
    process: Callable[[In], Iterable[Out]],
    close: Callable[[], None] = lambda: None,
    queue_size: int = QUEUE_SIZE,
) -> AsyncIterator[CodecWorker[In, Out]]:
    """Run `process` for each frame, in order, in a thread; at the end `close`.

    Args:
        process: called in threads, one call at a time.
        close: called when no call of `process` runs any more.
        queue_size: frames that wait, on either side.

    """
    worker: CodecWorker[In, Out] = CodecWorker(process, queue_size)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker._run)
            try:
                yield worker
            except Exception as error:
                # Kept out of the nursery, which would wrap it in a group: our task raises nothing.
                failure = error
            finally:
                worker._shut()
                nursery.cancel_scope.cancel()
    finally:
        close()
    if failure is not None:
        raise failure


_Worker: TypeAlias = AbstractAsyncContextManager[CodecWorker[In, Out]]


def video_encoder_worker(
    encoder: VideoEncoder, queue_size: int = QUEUE_SIZE
) -> _Worker[VideoFrame, EncodedFrame]:
    """Run a video encoder; `encoder.set_bit_rate` and `request_key_frame` may be called besides."""
    return open_worker(encoder.encode, encoder.close, queue_size)


def audio_encoder_worker(
    encoder: AudioEncoder, queue_size: int = QUEUE_SIZE
) -> _Worker[AudioFrame, EncodedFrame]:
    """Run an audio encoder."""
    return open_worker(encoder.encode, encoder.close, queue_size)


def video_decoder_worker(
    decoder: VideoDecoder, queue_size: int = QUEUE_SIZE
) -> _Worker[EncodedFrame, Decoded[VideoFrame]]:
    """Run a video decoder: a result per frame, which may want a key frame."""
    return open_worker(lambda frame: (decoder.decode(frame),), decoder.close, queue_size)


def audio_decoder_worker(
    decoder: AudioDecoder, queue_size: int = QUEUE_SIZE
) -> _Worker[EncodedFrame, Decoded[AudioFrame]]:
    """Run an audio decoder: a result per packet."""
    return open_worker(lambda frame: (decoder.decode(frame),), decoder.close, queue_size)
