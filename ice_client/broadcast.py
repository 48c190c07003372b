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
    """An async iterator over what is published from its making on; ends when the source closes."""

    def __init__(self, source: Broadcast[T]) -> None:
        self._source = source
        self._items: deque[T] = deque(maxlen=MEMORY)
        self._news = trio.Event()
        source.readers.add(self)

    def put(self, item: T) -> None:
        """Take an item; `Broadcast` calls it."""
        self._items.append(item)
        self._news.set()

    def wake(self) -> None:
        """Look whether the source is closed; `Broadcast` calls it."""
        self._news.set()

    def close(self) -> None:
        """Take no more items."""
        self._source.readers.discard(self)

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
        readers: who gets them; one that nobody has any more is forgotten.
        is_closed: no more come.

    """

    def __init__(self) -> None:
        self.readers: weakref.WeakSet[Subscription[T]] = weakref.WeakSet()
        self.is_closed = False

    def subscribe(self) -> Subscription[T]:
        """Return an iterator over the items from now on."""
        return Subscription(self)

    def publish(self, item: T) -> None:
        """Give an item to every reader."""
        for reader in self.readers:
            reader.put(item)

    def close(self) -> None:
        """End every iterator once it has given what it has."""
        self.is_closed = True
        for reader in list(self.readers):
            reader.wake()
