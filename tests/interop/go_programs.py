"""Programs in Go, built offline from Debian's packages of libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.interop.tools import tool

_DEBIAN_SOURCES = "/usr/share/gocode"
_TIMEOUT = 240.0
"""Seconds; half a minute where nothing is in Go's cache."""


def build_go(source: Path, name: str, folder: Path, package: str) -> str:
    """Build a program of one file and return its path.

    Args:
        source: the file.
        name: of the program.
        folder: where it may write.
        package: Debian's, of the library that it uses.

    Raises:
        AssertionError: it can't be built; it says why.

    """
    root = folder / "go"
    inside = root / "src" / name
    inside.mkdir(parents=True)
    shutil.copy(source, inside)
    # Without it, GOPATH mode does not take the /v2 in import paths for what it is.
    (inside / "go.mod").write_text(f"module {name}\n", encoding="utf-8")
    program = str(root / name)
    paths = {"GO111MODULE": "off", "GOPATH": f"{root}:{_DEBIAN_SOURCES}", "GOFLAGS": ""}
    built = subprocess.run(
        [tool("go"), "build", "-o", program, name],
        cwd=inside,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    assert built.returncode == 0, f"is {package} installed?\n{built.stderr}"
    return program
