"""aioice, the ICE library of aiortc, relays through turnd."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import PASSWORD, USER, ServerUnderTest

AGENTS = Path(__file__).with_name("aioice_agents.py")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_relay_only_agents_exchange_messages(
    server: ServerUnderTest, veth: str, transport: str
) -> None:
    outcome = subprocess.run(
        [sys.executable, AGENTS, veth, str(server.port), transport, USER, PASSWORD, "100"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "all received\n"
