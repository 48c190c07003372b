"""Our agent connects to Chromium's ICE, which controls, or gives way when we say that we do."""

from __future__ import annotations

import json
import sys

import pytest
import trio

from ice_client import AgentOptions, AgentState, InterfaceFilter, Role, open_ice_agent
from tests.ice_client.shell.calls import TIMEOUT
from tests.ice_client.shell.echo_peer import echo_peer
from tests.interop.tools import tool
from tests.interop.veth import veth_address

DTLS_HANDSHAKE = 22


@pytest.mark.parametrize(
    "controlling", [False, True], ids=["controlled", "controlling, which is a conflict"]
)
async def test_our_agent_connects_to_chromiums(controlling: bool) -> None:
    # Not on loopback, of which Chromium makes no candidates.
    with veth_address() as host:
        options = AgentOptions(interfaces=InterfaceFilter(networks=[f"{host}/32"]))
        command = [sys.executable, "-m", "tests.ice_client.shell.chromium_peer", tool("chromium")]
        async with (
            echo_peer(command) as peer,
            open_ice_agent(controlling=controlling, options=options) as agent,
        ):
            with trio.fail_after(3 * TIMEOUT):
                await peer.meet(agent)
                await agent.connected()
                assert json.loads(await peer.lines.receive()) in {"connected", "completed"}
                # It is the DTLS client, and begins as soon as it may.
                assert (await agent.receive())[0] == DTLS_HANDSHAKE
            assert agent.state in {AgentState.CONNECTED, AgentState.COMPLETED}
            if not controlling:
                assert agent.role is Role.CONTROLLED
            pair = agent.selected_pair
            assert pair is not None
            assert pair.base.address.host == host
            assert peer.process.stdin is not None
            await peer.process.stdin.aclose()
