"""Choosing the engine (`server.datapath`)."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

import structlog
import trio

from turnd.config import Config
from turnd.datapath.interface import Datapath, DatapathSettings
from turnd.datapath.portable import PortableDatapath

log = structlog.get_logger("turnd")


def is_compiled() -> bool:
    """Whether the native engine is there: it is compiled at install, where that can be done."""
    try:
        importlib.import_module("turnd.datapath.native._engine")
    except ImportError:
        return False
    return True


def open_engine(config: Config, settings: DatapathSettings) -> tuple[Datapath, Callable[[], float]]:
    """Return the engine, and the clock (monotonic seconds) that its deadlines go by."""
    if config.server.datapath != "portable":
        if is_compiled():
            from turnd.datapath.native.engine import NativeDatapath

            threads = config.server.threads or len(os.sched_getaffinity(0))
            return NativeDatapath(settings, threads), NativeDatapath.clock
        log.warning(
            "native-datapath-missing",
            detail="it was not compiled when turnd was installed (no C compiler, or not Linux): "
            "the portable one, in Python, moves fewer packets",
        )
    return PortableDatapath(settings, trio.current_time), trio.current_time
