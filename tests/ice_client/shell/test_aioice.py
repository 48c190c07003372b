"""Our agent connects to aioice's, in both roles, directly and through turnd's relays."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from ice_client import (
    Agent,
    AgentOptions,
    CandidateType,
    Credentials,
    IceServer,
    InterfaceFilter,
    Policy,
    format_candidate,
    open_ice_agent,
)
from tests.ice_client.shell.calls import TIMEOUT
from tests.ice_client.turn.servers import CREDENTIALS
from tests.interop.server_under_test import running_server
from tests.interop.tools import REPOSITORY
from tests.interop.veth import veth_address

MESSAGES = 20


@pytest.fixture
def veth_host() -> Iterator[str]:
    """An address that is not loopback's: aioice uses no other."""
    with veth_address() as host:
        yield host


@attrs.define
class AioicePeer:
    """The process, and the lines it has printed."""

    process: trio.Process
    lines: trio.MemoryReceiveChannel[str]

    async def meet(self, agent: Agent) -> None:
        """Exchange credentials and candidates."""
        theirs = json.loads(await self.lines.receive())
        agent.set_remote_credentials(Credentials(theirs["username_fragment"], theirs["password"]))
        for candidate in theirs["candidates"]:
            await agent.add_remote_candidate(f"candidate:{candidate}")
        await agent.add_remote_candidate(None)
        ours = {
            "username_fragment": agent.local_credentials.username_fragment,
            "password": agent.local_credentials.password,
            "candidates": [
                format_candidate(each).removeprefix("candidate:")
                async for each in agent.local_candidates()
            ],
        }
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps(ours).encode() + b"\n")


@contextlib.asynccontextmanager
async def aioice_peer(*arguments: str) -> AsyncIterator[AioicePeer]:
    command = [sys.executable, "-m", "tests.ice_client.shell.aioice_peer", *arguments]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        sender, receiver = trio.open_memory_channel[str](10)

        async def read_lines() -> None:
            assert process.stdout is not None
            rest = b""
            async for chunk in process.stdout:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    await sender.send(line.decode())

        try:
            nursery.start_soon(read_lines)
            yield AioicePeer(process, receiver)
            with trio.fail_after(TIMEOUT):
                assert await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def talk(agent: Agent, peer: AioicePeer) -> None:
    with trio.fail_after(TIMEOUT):
        await peer.meet(agent)
        await agent.connected()
        for number in range(MESSAGES):
            await agent.send(b"\x80 %d" % number)
            assert await agent.receive() == b"\x80 %d" % number
        await agent.send(b"\x80 over")


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "controlled"])
@pytest.mark.parametrize("kind", ["host", "relay"])
async def test_our_agent_connects_to_aioices(
    kind: str, controlling: bool, veth_host: str, tmp_path: Path
) -> None:
    changes = {"peers": {"allow": [veth_host]}}
    async with running_server(tmp_path, changes, hosts=[veth_host]) as server:
        port = server.plain_port
        role = "controlled" if controlling else "controlling"
        options = AgentOptions(
            servers=[IceServer(f"turn:{veth_host}:{port}", CREDENTIALS)],
            policy=Policy.RELAY if kind == "relay" else Policy.ALL,
            interfaces=InterfaceFilter(networks=[f"{veth_host}/32"]),
        )
        async with (
            aioice_peer(role, kind, veth_host, str(port)) as peer,
            open_ice_agent(controlling=controlling, options=options) as agent,
        ):
            await talk(agent, peer)
            pair = agent.selected_pair
            assert pair is not None
            expected = CandidateType.RELAYED if kind == "relay" else CandidateType.HOST
            assert pair.local.type is expected
