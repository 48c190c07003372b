"""Reading of a sender's source in a task of its own, so that who waits for a frame may give up.

A cancelled `anext` is the end of an async generator, and negotiation restarts encoders whenever
it likes: another payload type, a direction that pauses. What reads the source must not be what is
restarted. `webrtc.sender` uses it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Generic, Self, TypeVar

import trio

T = TypeVar("T")


def check_source(source: AsyncIterable[object] | None) -> None:
    """Look whether a source can be iterated over, when it is handed in and not when it is sent.

    Raises:
        TypeError: it cannot.

    """
    if source is not None and not isinstance(source, AsyncIterable):
        raise TypeError(f"a source is an async iterable of frames, not {type(source).__name__}")


class SourceReader(Generic[T]):
    """An async iterator over a source's frames; cancelling its `__anext__` loses none.

    The source is read only while somebody waits here, one frame ahead at most, and by one task
    from beginning to end. It ends when the source does, or raises what the source raised.
    """

    def __init__(self, source: AsyncIterable[T]) -> None:
        self.source = source
        self._scope = trio.CancelScope()
        self._give, self._take = trio.open_memory_channel[T](0)
        self._wanted = trio.Event()
        self._ended = trio.Event()
        self._error: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._wanted.set()
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    async def run(self) -> None:
        """Read until the source ends or `close` is called; then close it if it is a generator."""
        frames = aiter(self.source)
        try:
            with self._scope, self._give:
                await self._wanted.wait()
                async for frame in frames:
                    try:
                        self._give.send_nowait(frame)  # one task's turn less for each frame
                    except trio.WouldBlock:
                        await self._give.send(frame)
        except Exception as error:
            self._error = error
        finally:
            if isinstance(frames, AsyncGenerator):
                # Nobody else can: whoever wrote `pictures()` has no name for it.
                with trio.CancelScope(shield=True):
                    await frames.aclose()
            self._ended.set()

    async def close(self) -> None:
        """Read no more; return when the source has been let go of."""
        self._scope.cancel()
        await self._ended.wait()
