"""Collects the stages of one row as they end, and shows the row to whoever watches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import trio

from ice_client.check.exchange import cause_of
from ice_client.check.results import (
    Cause,
    Outcome,
    Row,
    Stage,
    StageName,
)
from ice_client.check.target import Way
from ice_client.errors import IceError
from ice_client.turn import Stage as LinkStage
from ice_client.turn import StageEnded, TraceEvent
from stun import StunError

Watcher = Callable[[Row], None]
"""Called with a row whenever it has changed."""

_LINK_STAGES = {
    LinkStage.CONNECT: StageName.CONNECT,
    LinkStage.TLS_HANDSHAKE: StageName.TLS,
    LinkStage.DTLS_HANDSHAKE: StageName.TLS,
}


class RowBuilder:
    """A row in the making.

    Args:
        way: what is tried.
        watcher: sees every change.

    Attributes:
        row: as it stands.

    """

    def __init__(self, way: Way, watcher: Watcher) -> None:
        self.row = Row(way.transport, way.family, way.address, way.port, expected=way.expected)
        self._watcher = watcher
        watcher(self.row)

    def change(self, **values: Any) -> None:
        """Set fields of the row."""
        self.row = attrs.evolve(self.row, **values)
        self._watcher(self.row)

    def add(self, stage: Stage) -> None:
        """Append a stage, or put it in the place of one of that name."""
        others = tuple(each for each in self.row.stages if each.name is not stage.name)
        self.change(stages=(*others, stage))

    def skip(self, name: StageName, detail: str, cause: Cause | None = None) -> None:
        """Tell that a stage was not tried, and why."""
        self.add(Stage(name, Outcome.SKIPPED, None, cause, None, detail))

    def fail(self, name: StageName, seconds: float | None, error: BaseException) -> None:
        """Append a stage that failed."""
        cause, code = cause_of(error)
        detail = str(error) or type(error).__name__
        self.add(Stage(name, Outcome.FAILED, seconds, cause, code, detail))

    @contextlib.contextmanager
    def stage(self, name: StageName) -> Iterator[None]:
        """Time the block as a stage; its error is written down and raised again."""
        started = trio.current_time()
        try:
            yield
        except (IceError, StunError, OSError, trio.TooSlowError) as error:
            self.fail(name, trio.current_time() - started, error)
            raise
        self.add(Stage(name, Outcome.OK, trio.current_time() - started))

    def observe_link(self, event: TraceEvent) -> None:
        """Write the stages of making a link down; an `Observer` of `ice_client.turn`."""
        if not isinstance(event, StageEnded) or event.stage not in _LINK_STAGES:
            return
        name, seconds = _LINK_STAGES[event.stage], event.ended_at - event.started_at
        if isinstance(event.error, trio.Cancelled):
            # The time given was over: it is the server that did not answer in it.
            self.add(Stage(name, Outcome.FAILED, seconds, Cause.TIMEOUT, None, "no answer"))
        elif event.error is not None:
            self.fail(name, seconds, event.error)
        else:
            details = event.tls
            text = f"{details.version} {details.cipher}" if details else ""
            self.add(Stage(name, Outcome.OK, seconds, detail=text))
