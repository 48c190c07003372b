"""Choosing the engine (`server.datapath`)."""

from __future__ import annotations

from collections.abc import Callable

import trio

from turnd.config import Config
from turnd.datapath.interface import Datapath, DatapathSettings
from turnd.datapath.portable import PortableDatapath


def open_engine(config: Config, settings: DatapathSettings) -> tuple[Datapath, Callable[[], float]]:
    """Return the engine, and the clock (monotonic seconds) that its deadlines go by."""
    del config  # one engine so far
    return PortableDatapath(settings, trio.current_time), trio.current_time
