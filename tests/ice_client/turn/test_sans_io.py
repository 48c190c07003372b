"""The core of the TURN client knows no sockets, no clock, no randomness of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ice_client.turn

CORE = {
    "allocation",
    "authentication",
    "channels",
    "client",
    "credentials",
    "deadlines",
    "errors",
    "exchanges",
    "keepalive",
    "options",
    "outputs",
    "permissions",
}
FORBIDDEN = {"trio", "socket", "ssl", "time", "secrets", "random", "os", "dns", "OpenSSL"}


@pytest.mark.parametrize("module", sorted(CORE))
def test_core_modules_import_only_each_other_and_stun(module: str) -> None:
    file = Path(ice_client.turn.__file__).with_name(f"{module}.py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            assert name.partition(".")[0] not in FORBIDDEN, f"{module} imports {name}"
            if name.startswith("ice_client.turn"):
                assert name.rpartition(".")[2] in CORE, f"{module} imports {name}"
