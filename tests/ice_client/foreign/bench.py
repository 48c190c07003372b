"""What cases stand on: an address, TURN servers, the peers' programs, and one case's call."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path as File

import attrs
import trio

from ice_client import (
    Agent,
    AgentOptions,
    CandidateType,
    IceServer,
    InterfaceFilter,
    Policy,
    Role,
    Settings,
    Transport,
    open_ice_agent,
)
from tests.ice_client.foreign.cases import Case, Feature, Path, Peer
from tests.ice_client.foreign.conversation import Conversation
from tests.ice_client.foreign.peer_options import PeerOptions
from tests.ice_client.turn.servers import CREDENTIALS
from tests.interop.coturn_server import running_coturn
from tests.interop.go_programs import build_go
from tests.interop.server_under_test import PASSWORD, USER, running_server
from tests.interop.tools import REPOSITORY
from tests.interop.veth import veth_address

GO_SOURCE = File(__file__).parent / "pion_peer" / "main.go"
DEBIAN_PYTHON = "/usr/bin/python3"
CASE_TIMEOUT = 25.0
"""Seconds; only failures take as long."""
_MODULE = "tests.ice_client.foreign"

_TRANSPORTS = {
    Path.TCP_OURS_OPENS: (Transport.TCP_ACTIVE, Transport.TCP_PASSIVE),
    Path.TCP_PEER_OPENS: (Transport.TCP_PASSIVE, Transport.TCP_ACTIVE),
}
"""Of our candidates, and of the peer's."""


@attrs.frozen
class Bench:
    """What the cases of a peer have in common.

    Attributes:
        command: the peer's program, without its options.
        host: not loopback, of which aioice makes no candidates.
        ports: of the TURN servers on `host`.

    """

    command: Sequence[str]
    host: str
    ports: dict[Path, int]

    async def show(self, case: Case) -> None:
        """Connect, have data sent back, do what the case is about, and have data sent back."""
        async with (
            self._running(case) as process,
            open_ice_agent(
                controlling=case.role is Role.CONTROLLING, options=self._options(case)
            ) as agent,
            trio.open_nursery() as nursery,
        ):
            transports = _TRANSPORTS.get(case.path, (Transport.UDP, Transport.UDP))
            is_lite = case.feature is Feature.WE_ARE_LITE
            conversation = Conversation(agent, process, nursery, case.trickle, is_lite, transports)
            nursery.start_soon(conversation.hear)
            nursery.start_soon(conversation.tell)
            try:
                with trio.fail_after(CASE_TIMEOUT):
                    await self._call(case, agent, conversation)
            except trio.TooSlowError as error:
                error.add_note(f"{agent.state}, {agent.stats()}")
                raise
            self._judge(case, agent)
            assert conversation.peer_is_lite is (case.feature is Feature.PEER_IS_LITE)
            conversation.is_over = True
            assert process.stdin is not None
            await process.stdin.aclose()  # so it ends, and hearing with it

    async def _call(self, case: Case, agent: Agent, conversation: Conversation) -> None:
        await agent.connected()
        await conversation.exchange()
        if case.feature in {Feature.WE_RESTART, Feature.PEER_RESTARTS}:
            before = agent.local_credentials
            await conversation.restart(by_the_peer=case.feature is Feature.PEER_RESTARTS)
            await conversation.new_pair(before)
            await conversation.exchange()

    def _judge(self, case: Case, agent: Agent) -> None:
        pair = agent.selected_pair
        assert pair is not None
        assert agent.role is case.role
        if case.feature is Feature.WE_ARE_LITE:
            assert sum(each.checks.requests_sent for each in agent.stats().pairs) == 0
        if case.path in self.ports:
            assert pair.local.type is pair.remote.type is CandidateType.RELAYED
        else:
            assert pair.local.type is CandidateType.HOST
            assert pair.local.transport is _TRANSPORTS.get(case.path, [Transport.UDP])[0]

    def _options(self, case: Case) -> AgentOptions:
        port = self.ports.get(case.path)
        return AgentOptions(
            servers=[IceServer(f"turn:{self.host}:{port}", CREDENTIALS)] if port else [],
            policy=Policy.RELAY if port else Policy.ALL,
            interfaces=InterfaceFilter(networks=[f"{self.host}/32"]),
            tcp_types=_TRANSPORTS[case.path][:1] if case.path in _TRANSPORTS else [],
            settings=Settings(lite=case.feature is Feature.WE_ARE_LITE),
        )

    @contextlib.asynccontextmanager
    async def _running(self, case: Case) -> AsyncIterator[trio.Process]:
        """Run the peer for the length of the block; then it must end well by itself."""
        options = PeerOptions(
            library=case.peer.value,
            controlling=case.role is Role.CONTROLLED,
            address=self.host,
            transport="tcp" if case.path in _TRANSPORTS else "udp",
            trickle=case.trickle,
            lite=case.feature is Feature.PEER_IS_LITE,
            relay_port=self.ports.get(case.path, 0),
            username=USER,
            password=PASSWORD,
        )
        process = await trio.lowlevel.open_process(
            [*self.command, options.as_json()],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            yield process
            with trio.fail_after(CASE_TIMEOUT):
                assert await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@contextlib.asynccontextmanager
async def open_bench(peer: Peer, folder: File) -> AsyncIterator[Bench]:
    """Start what the cases of a peer need, for the length of the block."""
    command = await trio.to_thread.run_sync(_COMMANDS[peer], folder)
    users = ["lt-cred-mech", f"user={USER}:{PASSWORD}"]
    with veth_address() as host:
        for name in ("turnd", "coturn"):
            (folder / name).mkdir()
        async with (
            running_server(folder / "turnd", {"peers": {"allow": [host]}}, hosts=[host]) as turnd,
            running_coturn(folder / "coturn", users, hosts=[host]) as coturn,
        ):
            ports = {Path.TURND: turnd.plain_port, Path.COTURN: coturn.plain_port}
            yield Bench(command, host, ports)


def _asyncio_peer(_folder: File) -> list[str]:
    return [sys.executable, "-m", f"{_MODULE}.asyncio_peer"]


def _nice_peer(_folder: File) -> list[str]:
    return [DEBIAN_PYTHON, "-m", f"{_MODULE}.nice_peer"]


def _pion_peer(folder: File) -> list[str]:
    return [build_go(GO_SOURCE, "pion_peer", folder, "golang-github-pion-ice.v2-dev")]


_COMMANDS = {
    Peer.AIOICE: _asyncio_peer,
    Peer.AIORTC: _asyncio_peer,
    Peer.LIBNICE: _nice_peer,
    Peer.PION: _pion_peer,
}
