"""Our agent connects to aioice's, in both roles, directly and through turnd's relays."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ice_client import (
    AgentOptions,
    CandidateType,
    IceServer,
    InterfaceFilter,
    Policy,
    open_ice_agent,
)
from tests.ice_client.shell.echo_peer import echo_peer
from tests.ice_client.turn.servers import CREDENTIALS
from tests.interop.server_under_test import running_server
from tests.interop.veth import veth_address


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "controlled"])
@pytest.mark.parametrize("kind", ["host", "relay"])
async def test_our_agent_connects_to_aioices(kind: str, controlling: bool, tmp_path: Path) -> None:
    # Not on loopback, of which aioice makes no candidates.
    with veth_address() as host:
        changes = {"peers": {"allow": [host]}}
        async with running_server(tmp_path, changes, hosts=[host]) as server:
            port = server.plain_port
            role = "controlled" if controlling else "controlling"
            module = "tests.ice_client.shell.aioice_peer"
            command = [sys.executable, "-m", module, role, kind, host, str(port)]
            options = AgentOptions(
                servers=[IceServer(f"turn:{host}:{port}", CREDENTIALS)],
                policy=Policy.RELAY if kind == "relay" else Policy.ALL,
                interfaces=InterfaceFilter(networks=[f"{host}/32"]),
            )
            async with (
                echo_peer(command) as peer,
                open_ice_agent(controlling=controlling, options=options) as agent,
            ):
                await peer.talk(agent)
                pair = agent.selected_pair
                assert pair is not None
                expected = CandidateType.RELAYED if kind == "relay" else CandidateType.HOST
                assert pair.local.type is expected
