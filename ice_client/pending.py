"""Counts what is under way, and tells when nothing is."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Ticket:
    """One thing under way; closing it twice counts once. A context manager as well."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed
        self._is_open = True

    def close(self) -> None:
        """Note that it is done, well or not."""
        if self._is_open:
            self._is_open = False
            self._closed()

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Pending:
    """Hands out tickets and calls `finished` each time that the last open one is closed."""

    def __init__(self, finished: Callable[[], None]) -> None:
        self._finished = finished
        self._count = 0

    def open(self) -> Ticket:
        """Return a ticket."""
        self._count += 1
        return Ticket(self._close)

    def _close(self) -> None:
        self._count -= 1
        if not self._count:
            self._finished()
