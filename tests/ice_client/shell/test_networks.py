"""Agents on two hosts: mDNS names, link-local addresses, and networks that change in mid-call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import attrs
import pytest
import trio

from ice_client import (
    Agent,
    AgentOptions,
    CandidateType,
    Credentials,
    InterfaceFilter,
    Settings,
    format_candidate,
    open_ice_agent,
)
from ice_client.core import ConsentLost
from stun import Family
from tests.ice_client.shell.calls import TIMEOUT, ask_until_answered
from tests.ice_client.shell.lab import Host, Mailbox, two_hosts

IPV4 = InterfaceFilter(families=[Family.IPV4])
RENOMINATING = AgentOptions(interfaces=IPV4, settings=Settings(renomination=True))


@attrs.define
class Side:
    """One of two agents in loops of their own: what it hears of the other, and of the test."""

    host: Host
    options: AgentOptions
    controlling: bool
    told: Mailbox[object] | None = None
    peer: Side | None = None
    restarted_for: Credentials | None = None
    nursery: trio.Nursery | None = None

    async def run(self, play: Callable[[Side, Agent], Awaitable[None]]) -> None:
        """Open the agent, connect it, and play."""
        self.told = Mailbox()
        await self._wait_for_peer()
        with trio.fail_after(2 * TIMEOUT):
            async with (
                open_ice_agent(controlling=self.controlling, options=self.options) as agent,
                trio.open_nursery() as nursery,
            ):
                self.nursery = nursery
                nursery.start_soon(self._tell, agent)
                nursery.start_soon(self._listen, agent)
                await agent.connected()
                await play(self, agent)
                nursery.cancel_scope.cancel()

    async def restart(self, agent: Agent) -> None:
        """Begin a new generation and tell the peer."""
        await agent.restart()
        assert self.nursery is not None
        self.nursery.start_soon(self._tell, agent)

    async def _wait_for_peer(self) -> None:
        assert self.peer is not None
        while self.peer.told is None:
            await trio.sleep(0.001)

    async def _tell(self, agent: Agent) -> None:
        assert self.peer is not None
        assert self.peer.told is not None
        self.peer.told.put(agent.local_credentials)
        async for candidate in agent.local_candidates():
            self.peer.told.put(format_candidate(candidate))
        self.peer.told.put(None)

    async def _listen(self, agent: Agent) -> None:
        assert self.told is not None
        while True:
            match await self.told.take():
                case Credentials() as credentials:
                    if agent.local_credentials == self.restarted_for:
                        # The answer to the peer's restart is one of our own (RFC 8445 §9).
                        await self.restart(agent)
                    self.restarted_for = agent.local_credentials
                    renomination = self.options.settings.renomination
                    agent.set_remote_credentials(credentials, renomination=renomination)
                case str() | None as candidate:
                    await agent.add_remote_candidate(candidate)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts(2) as both:
        yield both


async def call(
    hosts: tuple[Host, Host],
    options: AgentOptions,
    play: Callable[[Side, Agent], Awaitable[None]],
    other_play: Callable[[Side, Agent], Awaitable[None]],
) -> None:
    one, other = Side(hosts[0], options, True), Side(hosts[1], options, False)
    one.peer, other.peer = other, one
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hosts[0].run, lambda: one.run(play))
        nursery.start_soon(hosts[1].run, lambda: other.run(other_play))


async def echo(_side: Side, agent: Agent) -> None:
    """Say back what comes until told that it is over."""
    while (data := await agent.receive()) != b"\x80 over":
        await agent.send(data)


async def hang_up(agent: Agent) -> None:
    for _ in range(3):
        await agent.send(b"\x80 over")


async def test_mdns_candidates_hide_the_addresses_and_connect(hosts: tuple[Host, Host]) -> None:
    async def play(_side: Side, agent: Agent) -> None:
        lines = [format_candidate(each) for each in agent.gathered]
        assert len(lines) == 4
        assert all(
            ".local " in line and "10.99" not in line and "fd99" not in line for line in lines
        )
        await ask_until_answered(agent, b"\x80 hidden")
        pair = agent.selected_pair
        assert pair is not None
        assert pair.remote.type in {CandidateType.HOST, CandidateType.PEER_REFLEXIVE}
        await hang_up(agent)

    await call(hosts, AgentOptions(mdns=True), play, echo)


async def test_link_local_addresses_connect(hosts: tuple[Host, Host]) -> None:
    async def play(_side: Side, agent: Agent) -> None:
        pair = agent.selected_pair
        assert pair is not None
        assert pair.destination.host.startswith("fe80::")
        await ask_until_answered(agent, b"\x80 near")
        await hang_up(agent)

    interfaces = InterfaceFilter(networks=["fe80::/10"], link_local=True)
    await call(hosts, AgentOptions(interfaces=interfaces), play, echo)


async def test_an_address_taken_in_mid_call_leads_to_another_pair(
    hosts: tuple[Host, Host],
) -> None:
    async def play(side: Side, agent: Agent) -> None:
        await ask_until_answered(agent, b"\x80 before")
        # What both have seen to work is what may take the place.
        while len(valid_hosts(agent)) < 2:
            await trio.sleep(0.01)
        gone = take_address_in_use(side, agent)
        while (now := agent.selected_pair) is None or now.base.address.host == gone:
            await trio.sleep(0.01)
        await ask_until_answered(agent, b"\x80 after")
        await hang_up(agent)

    await call(hosts, RENOMINATING, play, echo)


async def test_an_address_taken_in_mid_call_is_seen_at_once_and_a_restart_finds_another_pair(
    hosts: tuple[Host, Host],
) -> None:
    async def play(side: Side, agent: Agent) -> None:
        await ask_until_answered(agent, b"\x80 before")
        events = agent.events()
        gone = take_address_in_use(side, agent)
        async for event in events:
            if isinstance(event, ConsentLost):
                break
        assert agent.selected_pair is None
        await side.restart(agent)
        await agent.connected()
        pair = agent.selected_pair
        assert pair is not None
        assert pair.base.address.host != gone
        await ask_until_answered(agent, b"\x80 after")
        await hang_up(agent)

    await call(hosts, AgentOptions(interfaces=IPV4), play, echo)


def valid_hosts(agent: Agent) -> set[str]:
    """The own addresses that a check has come back to."""
    pairs = (pair.checks for pair in agent.stats().pairs)
    return {pair.local.address.host for pair in pairs if pair.is_valid}


def take_address_in_use(side: Side, agent: Agent) -> str:
    """Delete the selected pair's address, and return it."""
    pair = agent.selected_pair
    assert pair is not None
    gone = pair.base.address.host
    side.host.ip(f"addr del {gone}/24 dev eth{gone.split('.')[2]}")
    return gone


async def test_a_network_that_comes_up_in_mid_call_is_gathered_from(
    hosts: tuple[Host, Host],
) -> None:
    for host in hosts:
        host.ip("link set eth1 down")

    async def play(side: Side, agent: Agent) -> None:
        await ask_until_answered(agent, b"\x80 before")
        assert {each.address.host for each in agent.gathered} == {"10.99.0.1"}
        candidates = agent.local_candidates()
        await anext(candidates)
        for host in hosts:
            host.ip("link set eth1 up")
        new = await anext(candidates)
        assert new.address.host == "10.99.1.1"
        for host in hosts:
            host.wait_for_links()
        side.host.ip("addr del 10.99.0.1/24 dev eth0")
        while (now := agent.selected_pair) is None or now.base.address.host != "10.99.1.1":
            await trio.sleep(0.01)
        await ask_until_answered(agent, b"\x80 after")
        await hang_up(agent)

    await call(hosts, attrs.evolve(RENOMINATING, continual=True), play, echo)


async def test_a_restart_finds_the_network_that_came_up(hosts: tuple[Host, Host]) -> None:
    hosts[0].ip("link set eth1 down")

    async def play(_side: Side, agent: Agent) -> None:
        assert {each.address.host for each in agent.gathered} == {"10.99.0.1"}
        hosts[0].ip("link set eth1 up")
        hosts[0].wait_for_links()
        await agent.restart()
        found = {each.address.host async for each in agent.local_candidates()}
        assert found == {"10.99.0.1", "10.99.1.1"}
        await hang_up(agent)

    await call(hosts, AgentOptions(interfaces=IPV4), play, echo)
