"""Agents gather from a real turnd, connect through it alone, and leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from ice_client import (
    Agent,
    AgentOptions,
    CandidateType,
    IceServer,
    InterfaceFilter,
    LongTermCredentials,
    NotConnectedError,
    Policy,
    Settings,
    TlsOptions,
    format_candidate,
    open_ice_agent,
    relay_gathering,
)
from ice_client.turn import Transport
from stun import Address, Family
from tests.ice_client.shell.calls import (
    LOOPBACK,
    ON_LOOPBACK,
    TIMEOUT,
    connect,
    exchange,
    signal,
    two_agents,
    wait_connected,
)
from tests.ice_client.turn.servers import CREDENTIALS, Running, coturn, turnd

RELAY_ONLY = attrs.evolve(
    ON_LOOPBACK,
    policy=Policy.RELAY,
    interfaces=attrs.evolve(LOOPBACK, families=[Family.IPV4]),
)
HIDDEN = Address.parse("0.0.0.0", 9)
_SCHEMES = {
    Transport.UDP: "turn:{}:{}?transport=udp",
    Transport.TCP: "turn:{}:{}?transport=tcp",
    Transport.TLS: "turns:{}:{}?transport=tcp",
    Transport.DTLS: "turns:{}:{}?transport=udp",
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with turnd(tmp_path) as running:
        yield running


def ice_server(
    server: Running, *transports: Transport, host: str = "127.0.0.1", password: str | None = None
) -> IceServer:
    uris = [
        _SCHEMES[each].format(
            host, server.server.secure_port if each.is_secure else server.server.plain_port
        )
        for each in transports or (Transport.UDP,)
    ]
    credentials = CREDENTIALS
    if password is not None:
        credentials = LongTermCredentials(CREDENTIALS.username, password)
    return IceServer(uris, credentials, TlsOptions(ca_file=server.certificates.ca))


async def all_closed(server: Running, count: int, *also: str) -> None:
    """Wait until the server has closed every allocation, and see that the clients asked for it."""
    with trio.fail_after(TIMEOUT):
        while len(server.server.events("allocation-closed")) < count:
            await trio.sleep(0.01)
    assert len(server.server.events("allocation-opened")) == count
    reasons = {line["reason"] for line in server.server.events("allocation-closed")}
    assert reasons <= {"refresh-zero", *also}


@pytest.mark.parametrize("transport", Transport)
async def test_two_agents_connect_through_relays_alone_over(
    transport: Transport, server: Running
) -> None:
    servers = [ice_server(server, transport)]
    async with two_agents(RELAY_ONLY, servers=servers) as (one, other):
        await connect(one, other)
        await exchange(one, other)
        for agent in (one, other):
            assert {each.type for each in agent.gathered} == {CandidateType.RELAYED}
            pair = agent.selected_pair
            assert pair is not None
            assert pair.local.type is pair.remote.type is CandidateType.RELAYED
        assert server.server.transports() == {transport.value}
    await all_closed(server, 2)


@pytest.mark.parametrize("transport", Transport)
async def test_two_agents_connect_through_coturns_relays_alone_over(
    transport: Transport, tmp_path: Path
) -> None:
    async with coturn(tmp_path) as server:
        servers = [ice_server(server, transport)]
        async with two_agents(RELAY_ONLY, servers=servers) as (one, other):
            await connect(one, other)
            await exchange(one, other)
            assert one.selected_pair is not None
            assert one.selected_pair.local.type is CandidateType.RELAYED


async def test_relays_of_one_agent_restart_and_are_used_again(server: Running) -> None:
    async with two_agents(RELAY_ONLY, servers=[ice_server(server)]) as (one, other):
        await connect(one, other)
        before = one.gathered[0].address
        await one.restart()
        await other.restart()
        await signal(one, other)
        await wait_connected(one, other)
        await exchange(one, other)
        assert one.gathered[0].address == before
    await all_closed(server, 2)


async def test_cancellation_deletes_every_allocation(server: Running) -> None:
    servers = [ice_server(server, *Transport)]
    with trio.CancelScope() as scope:
        async with two_agents(RELAY_ONLY, servers=servers) as (one, other):
            await signal(one, other)
            assert len(one.gathered) == len(Transport)
            scope.cancel()
    await all_closed(server, 2 * len(Transport))


async def test_cancellation_while_allocating_leaves_nothing(server: Running) -> None:
    with trio.CancelScope() as scope:
        async with two_agents(RELAY_ONLY, servers=[ice_server(server, *Transport)]):
            with trio.fail_after(TIMEOUT):
                while not server.server.events("allocation-opened"):
                    await trio.sleep(0)
            scope.cancel()
    # A stream that closes before its answer was read takes its allocation along.
    await all_closed(server, len(server.server.events("allocation-opened")), "client-gone")


async def test_every_type_is_gathered_and_the_best_pair_wins(server: Running) -> None:
    servers = [ice_server(server)]
    options = AgentOptions(interfaces=attrs.evolve(LOOPBACK, families=[Family.IPV4]))
    async with two_agents(options, servers=servers) as (one, other):
        await connect(one, other)
        with trio.fail_after(TIMEOUT):
            types = [each.type async for each in one.local_candidates()]
        # On loopback nothing is mapped: the reflexive candidate is the host's own (§5.1.3).
        assert types == [CandidateType.HOST, CandidateType.RELAYED]
        assert one.selected_pair is not None
        assert one.selected_pair.local.type is CandidateType.HOST


async def test_a_relay_and_a_host_connect(server: Running) -> None:
    async with two_agents(RELAY_ONLY, ON_LOOPBACK, servers=[ice_server(server)]) as (one, other):
        await connect(one, other)
        await exchange(one, other)
        assert one.selected_pair is not None
        assert one.selected_pair.local.type is CandidateType.RELAYED


@pytest.mark.parametrize("family", Family)
async def test_one_allocation_has_both_families_and_connects_over_each(
    family: Family, server: Running
) -> None:
    options = attrs.evolve(RELAY_ONLY, interfaces=LOOPBACK)
    async with two_agents(options, servers=[ice_server(server)]) as (one, other):
        for teller, listener in ((one, other), (other, one)):
            listener.set_remote_credentials(teller.local_credentials)
            with trio.fail_after(TIMEOUT):
                candidates = [each async for each in teller.local_candidates()]
            assert sorted(each.address.family for each in candidates) == list(Family)
            for candidate in candidates:
                if candidate.address.family is family:
                    await listener.add_remote_candidate(candidate)
        await wait_connected(one, other)
        await exchange(one, other)
        assert one.selected_pair is not None
        assert one.selected_pair.base.address.family is family
    await all_closed(server, 2)


async def test_two_components_have_an_allocation_each(server: Running) -> None:
    options = attrs.evolve(RELAY_ONLY, settings=Settings(components=(2,)))
    async with two_agents(options, servers=[ice_server(server)]) as (one, other):
        await connect(one, other)
        await exchange(one, other, component=2)
        assert sorted(each.component for each in one.gathered) == [1, 2]
    await all_closed(server, 4)


async def test_where_policy_is_relay_nothing_tells_of_the_host(server: Running) -> None:
    async with open_ice_agent([ice_server(server)], controlling=True, options=RELAY_ONLY) as agent:
        with trio.fail_after(TIMEOUT):
            (candidate,) = [each async for each in agent.local_candidates()]
        assert candidate.related_address == HIDDEN
        assert "raddr 0.0.0.0 rport 9" in format_candidate(candidate)


async def test_a_wrong_password_is_told_and_holds_up_nobody(server: Running) -> None:
    servers = [ice_server(server, password="wrong"), ice_server(server, Transport.TCP)]
    async with two_agents(RELAY_ONLY, servers=servers) as (one, other):
        await connect(one, other)
        (failure,) = one.server_failures
        assert "401" in failure.reason
        assert str(failure.uri) == str(servers[0].uris[0])


async def test_a_refused_permission_spoils_only_its_own_pair(tmp_path: Path) -> None:
    async with turnd(tmp_path, {"peers": {"allow": ["127.0.0.1"]}}) as server:
        options = attrs.evolve(
            ON_LOOPBACK, interfaces=attrs.evolve(LOOPBACK, families=[Family.IPV4])
        )
        async with two_agents(RELAY_ONLY, options, servers=[ice_server(server)]) as (one, other):
            for number in range(1, 4):
                denied = f"candidate:9{number} 1 udp 2130706431 10.0.0.{number} 9 typ host"
                await one.add_remote_candidate(denied)
            await connect(one, other)
            await exchange(one, other)


async def test_a_name_is_looked_up_and_its_certificate_must_be_for_it(server: Running) -> None:
    uri = f"turns:localhost:{server.server.secure_port}"
    tls = TlsOptions(ca_file=server.certificates.ca)
    async with open_ice_agent(
        [IceServer(uri, CREDENTIALS, tls)], controlling=True, options=RELAY_ONLY
    ) as agent:
        with trio.fail_after(TIMEOUT):
            assert [each async for each in agent.local_candidates()] == []
        assert agent.server_failures  # the certificate is for turn.example.org and the addresses
    named = attrs.evolve(tls, server_name="turn.example.org")
    async with open_ice_agent(
        [IceServer(uri, CREDENTIALS, named)], controlling=True, options=RELAY_ONLY
    ) as agent:
        with trio.fail_after(TIMEOUT):
            (candidate,) = [each async for each in agent.local_candidates()]
        assert candidate.type is CandidateType.RELAYED


async def test_a_filtered_address_is_not_used_to_reach_a_server(server: Running) -> None:
    interfaces = InterfaceFilter(interfaces=["no-such-interface"])
    options = AgentOptions(policy=Policy.RELAY, interfaces=interfaces)
    async with open_ice_agent([ice_server(server)], controlling=True, options=options) as agent:
        with trio.fail_after(TIMEOUT):
            assert [each async for each in agent.local_candidates()] == []
        (failure,) = agent.server_failures
        assert "no address to reach" in failure.reason


async def send_until_refused(agent: Agent) -> None:
    while True:
        await agent.send(b"\x80 into the void")
        await trio.sleep(0.01)


async def test_a_relay_whose_server_ends_is_forgotten(tmp_path: Path) -> None:
    started, over = trio.Event(), trio.Event()
    servers = []

    async def serve() -> None:
        async with turnd(tmp_path) as server:
            servers.append(ice_server(server, Transport.TCP))
            started.set()
            await over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await started.wait()
        async with two_agents(RELAY_ONLY, ON_LOOPBACK, servers=servers) as (one, other):
            await connect(one, other)
            await exchange(one, other)
            over.set()
            with trio.fail_after(TIMEOUT), pytest.raises(NotConnectedError):
                await send_until_refused(one)
            assert one.selected_pair is None


async def test_where_udp_is_refused_the_uri_without_transport_goes_on_to_tcp(
    tmp_path: Path,
) -> None:
    async with turnd(tmp_path, {"listen": {"udp": []}}) as server:
        uri = f"turn:127.0.0.1:{server.server.plain_port}"
        servers = [IceServer(uri, CREDENTIALS)]
        async with two_agents(RELAY_ONLY, servers=servers) as (one, other):
            await connect(one, other)
            await exchange(one, other)
            assert server.server.transports() == {"tcp"}
        await all_closed(server, 2)


async def test_the_way_that_wins_ends_the_others(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_gathering, "HEAD_START", 0.0)
    uri = f"turn:127.0.0.1:{server.server.plain_port}"
    async with two_agents(RELAY_ONLY, servers=[IceServer(uri, CREDENTIALS)]) as (one, other):
        await connect(one, other)
        await exchange(one, other)
        assert len(one.gathered) == len(other.gathered) == 1
    opened = server.server.events("allocation-opened")
    await all_closed(server, len(opened), "client-gone")
