"""Two of our ICE agents behind every pair of kinds: they end as theory says, with turnd.

Both are told of the same three ways to the server, as by an application that does not know
where its users are. All pairs connect in one run, some at a time, and the tests read how.
"""

from __future__ import annotations

import ipaddress
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trustme

from ice_client import (
    Agent,
    AgentOptions,
    Candidate,
    CandidateType,
    IceServer,
    LongTermCredentials,
    TlsOptions,
    open_ice_agent,
)
from tests.ice_client.shell.calls import exchange, signal, wait_connected
from tests.interop.server_under_test import PASSWORD, USER
from tests.natlab import Lab, inhabiting, lab, theory
from tests.natlab.pairs import KIND_PAIRS, PAIRS, SERVER, left_host, right_host
from tests.natlab.servers import PLAIN_PORT, TLS_443, turnd_on
from tests.natlab.theory import REACH, Reach, expected

AT_A_TIME = 12
"""Pairs; one by one takes long, and all at once is a test of the CPU."""
PATIENCE = 30.0
"""Seconds for a pair."""
TYPES = {
    CandidateType.HOST: "host",
    CandidateType.SERVER_REFLEXIVE: "srflx",
    CandidateType.PEER_REFLEXIVE: "prflx",
    CandidateType.RELAYED: "relay",
}


@attrs.frozen
class Ended:
    """How a pair of agents ended: local and remote candidate type of both, or why it failed."""

    left: tuple[str, str] = ("", "")
    right: tuple[str, str] = ("", "")
    failure: str = ""


@attrs.frozen
class Servers:
    """What an application tells its agents."""

    host: str
    authority: Path

    def for_kind(self, kind: str) -> list[IceServer]:
        host = self.host
        if REACH[kind] is Reach.NAT64:
            host = f"[{translated(host)}]"
        urls = [
            f"turn:{host}:{PLAIN_PORT}?transport=udp",
            f"turn:{host}:{PLAIN_PORT}?transport=tcp",
            f"turns:{host}:{TLS_443}?transport=tcp",
        ]
        tls = TlsOptions(ca_file=self.authority)
        return [IceServer(url, LongTermCredentials(USER, PASSWORD), tls) for url in urls]


def translated(host: str) -> str:
    """Return how a host behind NAT64 writes an IPv4 address."""
    return str(ipaddress.IPv6Address("64:ff9b::") + int(ipaddress.IPv4Address(host)))


def type_of(candidate: Candidate, owner: Agent) -> str:
    """Return a candidate's type, as its owner knows it when gathering has ended.

    A check is often faster than gathering and signalling: the address that it shows is a
    peer-reflexive candidate then, and server-reflexive a moment later.
    """
    if candidate.type is CandidateType.PEER_REFLEXIVE:
        for gathered in owner.gathered:
            if gathered.address == candidate.address:
                return TYPES[gathered.type]
    return TYPES[candidate.type]


def types(agent: Agent, peer: Agent) -> tuple[str, str]:
    """Return the types of an agent's selected pair."""
    pair = agent.selected_pair
    assert pair is not None
    return type_of(pair.local, agent), type_of(pair.remote, peer)


async def live(
    net: Lab,
    host: str,
    servers: list[IceServer],
    over: trio.Event,
    *,
    controlling: bool,
    task_status: trio.TaskStatus[Agent],
) -> None:
    """Be an agent on a host until it is over."""
    with inhabiting(net[host]):
        options = AgentOptions()
        async with open_ice_agent(servers, controlling=controlling, options=options) as agent:
            task_status.started(agent)
            await over.wait()


async def connect(net: Lab, kinds: tuple[str, str], servers: Servers) -> Ended:
    """Connect two agents, send both ways, and tell what they have selected."""
    over = trio.Event()
    places = (left_host(kinds[0]), right_host(kinds[1]))
    async with trio.open_nursery() as nursery:
        agents: list[Agent] = []
        for host, kind, controlling in zip(places, kinds, (True, False), strict=True):
            agent = partial(live, net, host, servers.for_kind(kind), over, controlling=controlling)
            agents.append(await nursery.start(agent))
        left, right = agents
        async with trio.open_nursery() as signalling:
            signalling.start_soon(signal, left, right)
            await wait_connected(left, right)
            await exchange(left, right, messages=3)
            if expected(*kinds).path is theory.Path.RELAY:
                # Where UDP is blocked, gathering ends only when a server's time is up.
                signalling.cancel_scope.cancel()
        ended = Ended(types(left, right), types(right, left))
        over.set()
    return ended


async def survey(folder: Path) -> dict[tuple[str, str], Ended]:
    """Connect all pairs."""
    found: dict[tuple[str, str], Ended] = {}
    limit = trio.CapacityLimiter(AT_A_TIME)

    async def ask(kinds: tuple[str, str]) -> None:
        async with limit:
            try:
                with trio.fail_after(PATIENCE):
                    found[kinds] = await connect(net, kinds, servers)
            except Exception as error:
                found[kinds] = Ended(failure=repr(error))

    async with AsyncExitStack() as stack:
        net = stack.enter_context(lab(PAIRS))
        host = net[SERVER].address
        servers = Servers(host, folder / "authority.pem")
        tls = make_certificates(folder, host)
        await stack.enter_async_context(turnd_on(net[SERVER], folder, {"tls": tls}))
        async with trio.open_nursery() as nursery:
            for kinds in KIND_PAIRS:
                nursery.start_soon(ask, kinds)
    return found


def make_certificates(folder: Path, host: str) -> dict[str, str]:
    """Write them for both names of a server; return turnd's section."""
    authority = trustme.CA()
    issued = authority.issue_cert(host, translated(host))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    return {
        "certificate": str(folder / "certificate.pem"),
        "private_key": str(folder / "key.pem"),
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Ended]:
    return trio.run(survey, tmp_path_factory.mktemp("pairs"))


@pytest.mark.parametrize("kinds", KIND_PAIRS, ids="/".join)
def test_agents_connect_as_theory_says(
    kinds: tuple[str, str], found: dict[tuple[str, str], Ended]
) -> None:
    ended, outcome = found[kinds], expected(*kinds)
    assert not ended.failure
    if outcome.path is theory.Path.RELAY:
        assert "relay" in ended.left
        assert "relay" in ended.right
    else:
        assert ended.left == outcome.types, outcome.because
        assert ended.right == outcome.mirrored.types, outcome.because
