"""The table of ways while it grows, on a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live

from ice_client.check.report_text import matrix
from ice_client.check.results import Row


class LiveMatrix:
    """Shows rows as they change; a context manager. The table goes when it ends.

    Args:
        console: where to; a terminal.

    """

    def __init__(self, console: Console) -> None:
        self._rows: dict[str, Row] = {}
        # Redrawn when a row changes and not by a thread: there is nothing else to show.
        self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> LiveMatrix:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def watch(self, row: Row) -> None:
        """Take a row that has changed."""
        self._rows[row.label] = row
        width = self._live.console.width
        self._live.update(matrix(list(self._rows.values()), width), refresh=True)
