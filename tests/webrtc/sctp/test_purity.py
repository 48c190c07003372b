"""The package draws no time and no randomness of its own, and does no I/O."""

import ast
from pathlib import Path

SCTP = Path(__file__).parents[3] / "webrtc" / "sctp"
FORBIDDEN = {"trio", "asyncio", "socket", "time", "datetime", "random", "secrets", "os", "ssl"}


def test_sctp_knows_no_clock_no_randomness_and_no_io() -> None:
    files = list(SCTP.glob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & FORBIDDEN, path
