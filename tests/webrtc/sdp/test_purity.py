import ast
from pathlib import Path

SDP = Path(__file__).resolve().parents[3] / "webrtc" / "sdp"
FORBIDDEN = {"trio", "asyncio", "socket", "time", "datetime", "random", "secrets", "os", "OpenSSL"}


def test_descriptions_know_no_clock_no_randomness_and_no_io() -> None:
    files = list(SDP.glob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in FORBIDDEN, path
