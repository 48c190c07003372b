"""What happened, for any number of async iterators, each with a bounded memory of its own."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

MEMORY = 256
"""Items kept for a reader that does not read; then the oldest go."""


class Subscription(Generic[T]):
    """An async iterator over what is published from its making on; ends when the source closes.

    Made by `Broadcast.subscribe`.
    """

    def __init__(self, source: Broadcast[T]) -> None:
        self._source = source
        self._items: deque[T] = deque(maxlen=MEMORY)
        self._news = trio.Event()

    def put(self, item: T) -> None:
        """Take an item; `Broadcast` calls it."""
        self._items.append(item)
        self._news.set()

    def wake(self) -> None:
        """Look whether the source is closed; `Broadcast` calls it."""
        self._news.set()

    def close(self) -> None:
        """Take no more items."""
        self._source.forget(self)

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while not self._items:
            if self._source.is_closed:
                self.close()
                raise StopAsyncIteration
            if self._news.is_set():
                self._news = trio.Event()
            await self._news.wait()
        return self._items.popleft()


class Broadcast(Generic[T]):
    """A source of items.

    Attributes:
        is_closed: no more come.

    """

    __slots__ = ("_readers", "is_closed")

    def __init__(self) -> None:
        # Most sources have no reader, and a set for each would be most of an idle connection.
        self._readers: tuple[weakref.ref[Subscription[T]], ...] = ()
        self.is_closed = False

    @property
    def readers(self) -> list[Subscription[T]]:
        """Who gets the items; one that nobody has any more is forgotten."""
        return [reader for each in self._readers if (reader := each()) is not None]

    def subscribe(self) -> Subscription[T]:
        """Return an iterator over the items from now on."""
        reader = Subscription(self)
        self._keep([*self.readers, reader])
        return reader

    def forget(self, reader: Subscription[T]) -> None:
        """Give a reader nothing any more."""
        self._keep([each for each in self.readers if each is not reader])

    def _keep(self, readers: list[Subscription[T]]) -> None:
        self._readers = tuple(weakref.ref(each) for each in readers)

    def publish(self, item: T) -> None:
        """Give an item to every reader."""
        for reader in self.readers:
            reader.put(item)

    def close(self) -> None:
        """End every iterator once it has given what it has."""
        self.is_closed = True
        for reader in self.readers:
            reader.wake()
