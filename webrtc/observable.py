"""A value that others can watch change."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

from ice_client.broadcast import Broadcast, Subscription

T = TypeVar("T")


class Changes(Generic[T]):
    """An async iterator: the value as it is, then each it changes to, until there are no more."""

    def __init__(self, first: T, rest: Subscription[T]) -> None:
        self._first: list[T] = [first]
        self._rest = rest

    def __aiter__(self) -> Changes[T]:
        return self

    async def __anext__(self) -> T:
        if self._first:
            await trio.lowlevel.checkpoint()
            return self._first.pop()
        return await anext(self._rest)


class Observable(Generic[T]):
    """A value and its watchers.

    Attributes:
        value: as it is now; change it by `set`.

    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._changes: Broadcast[T] = Broadcast()

    def set(self, value: T) -> None:
        """Change the value; watchers hear of it if it is another one."""
        if value != self.value:
            self.value = value
            self._changes.publish(value)

    def changes(self) -> Changes[T]:
        """Return an async iterator over the value and what it changes to."""
        return Changes(self.value, self._changes.subscribe())

    def close(self) -> None:
        """End every iterator once it has given what it has."""
        self._changes.close()
