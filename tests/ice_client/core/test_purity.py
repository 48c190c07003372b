import ast
from pathlib import Path

CORE = Path(__file__).resolve().parents[3] / "ice_client" / "core"
FORBIDDEN = {"trio", "asyncio", "socket", "time", "datetime", "random", "secrets", "os", "select"}


def test_the_core_knows_no_clock_no_randomness_no_io_and_no_shell() -> None:
    files = list(CORE.glob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in FORBIDDEN, path
                if name.startswith("ice_client"):
                    assert name.startswith(("ice_client.core", "ice_client.errors")), path
