"""Which engine `server.datapath` chooses."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from turnd.config import Config
from turnd.datapath import select
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.portable import PortableDatapath

CAN_COMPILE = bool(shutil.which("gcc")) and Path(sysconfig.get_path("include"), "Python.h").exists()


def config(datapath: str) -> Config:
    return msgspec.convert({"server": {"datapath": datapath}}, Config)


def test_the_native_engine_is_compiled_wherever_there_is_a_compiler() -> None:
    """Else its tests would be left out without a word."""
    assert select.is_compiled() or not CAN_COMPILE


@pytest.mark.parametrize(("datapath", "warnings"), [("portable", 0), ("auto", 1), ("native", 1)])
async def test_the_portable_engine_stands_in_where_nothing_was_compiled(
    monkeypatch: pytest.MonkeyPatch, datapath: str, warnings: int
) -> None:
    monkeypatch.setattr(select, "is_compiled", lambda: False)
    with capture_logs() as logs:
        engine, _clock = select.open_engine(config(datapath), DatapathSettings())
    assert isinstance(engine, PortableDatapath)
    assert [line["log_level"] for line in logs] == ["warning"] * warnings


async def test_the_native_engine_is_the_default_where_it_was_compiled() -> None:
    chosen = {
        name: type(select.open_engine(config(name), DatapathSettings())[0]).__name__
        for name in ("auto", "portable", "native")
    }
    native = "NativeDatapath" if select.is_compiled() else "PortableDatapath"
    assert chosen == {"auto": native, "portable": "PortableDatapath", "native": native}
