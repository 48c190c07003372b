"""Imports go one way (docs/architecture.md)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"stun", "turnd", "ice_client", "webrtc"}
ALLOWED = {
    "stun": set[str](),
    "turnd": {"stun"},
    "ice_client": {"stun"},
    "webrtc": {"stun", "ice_client"},
}
DOOR = ROOT / "turnd/commands/doctor.py"
"""`turnd doctor` runs ice-check: the one place where the server knows the client."""
CORE_MAY_IMPORT = {"stun", "turnd.core"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("package", [name for name in ALLOWED if (ROOT / name).is_dir()])
def test_package_imports_only_those_below_it(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        others = {name.partition(".")[0] for name in imported(path)} & OURS - {package}
        assert others <= ALLOWED[package] | ({"ice_client"} if path == DOOR else set()), path


def test_stun_knows_no_clock_no_randomness_and_no_io() -> None:
    forbidden = {"trio", "asyncio", "time", "datetime", "random", "secrets", "os", "ssl", "select"}
    for path in (ROOT / "stun").glob("*.py"):
        assert not {name.partition(".")[0] for name in imported(path)} & forbidden, path


def test_core_knows_neither_sockets_nor_trio() -> None:
    for path in (ROOT / "turnd" / "core").glob("*.py"):
        for name in imported(path):
            top = name.partition(".")[0]
            assert top not in {"trio", "socket", "time", "secrets", "random", "os"}, path
            if top in OURS:
                assert name.startswith(tuple(CORE_MAY_IMPORT)), f"{path}: {name}"


def test_server_code_draws_no_weak_randomness() -> None:
    for path in (ROOT / "turnd").rglob("*.py"):
        assert "random" not in set(imported(path)), path


def test_a_server_that_starts_does_not_load_the_client() -> None:
    code = "import sys, turnd.cli; print([m for m in sys.modules if m.startswith('ice_client')])"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
