"""Two aioice agents, relay only, talk through turnd and lose nothing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
import trustme

from tests.interop.server_under_test import SECRET, Section, running_server
from tests.interop.tools import run_tool
from turnd.store.rest_credentials import mint

MESSAGES = 300
TIMEOUT = 90.0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_two_agents_exchange_numbered_messages_through_relays_over(
    transport: str, veth_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert(veth_host)
    chain, key, trusted = (str(tmp_path / name) for name in ("chain.pem", "key.pem", "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)
    monkeypatch.setenv("SSL_CERT_FILE", trusted)  # aioice verifies: this is how it trusts

    changes: dict[str, Section] = {
        "tls": {"certificate": chain, "private_key": key},
        # Relays of one server reach each other, whatever their address.
        "peers": {"allow": []},
    }
    async with running_server(tmp_path, changes, hosts=[veth_host]) as server:
        user, password = mint(SECRET, "someone", 600, time.time())
        port = server.secure_port if transport == "tls" else server.plain_port
        command = f"{sys.executable} -m tests.interop.aioice_agents {veth_host} {port} {transport}"
        finished = await run_tool([*command.split(), user, password, str(MESSAGES)], TIMEOUT)
        assert finished.exit_code == 0, str(finished)
        result = json.loads(finished.output)
        assert result["candidates"] == ["relay", "relay"]
        assert result["to_alice"] == list(range(MESSAGES))
        assert result["to_bob"] == list(range(MESSAGES))
        assert server.transports() == {transport}
