"""Choosing the engine (`server.datapath`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import structlog
import trio

from turnd.config import Config
from turnd.datapath.interface import Datapath, DatapathSettings
from turnd.datapath.portable import PortableDatapath

log = structlog.get_logger("turnd")


def is_compiled() -> bool:
    """Whether the native engine is there: it is compiled at install, where that can be done."""
    return importlib.util.find_spec("turnd.datapath.native._engine") is not None


def open_engine(config: Config, settings: DatapathSettings) -> tuple[Datapath, Callable[[], float]]:
    """Return the engine, and the clock (monotonic seconds) that its deadlines go by."""
    if config.server.datapath == "native":
        if is_compiled():
            from turnd.datapath.native.engine import NativeDatapath

            return NativeDatapath(settings), NativeDatapath.clock
        log.warning(
            "the native datapath was not compiled when turnd was installed: using the portable one"
        )
    return PortableDatapath(settings, trio.current_time), trio.current_time
