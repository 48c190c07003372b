"""Two agents of ours connect on loopback, and do what their users ask of them."""

from __future__ import annotations

import contextlib
import socket
from typing import cast

import attrs
import pytest
import trio
import trio.testing

from ice_client import (
    Agent,
    AgentClosedError,
    AgentOptions,
    AgentState,
    Candidate,
    CandidateError,
    CandidateType,
    ConnectError,
    Credentials,
    IceServer,
    InterfaceFilter,
    NotConnectedError,
    PacketTooLongError,
    Policy,
    Role,
    Settings,
    Transport,
    format_candidate,
    open_ice_agent,
)
from ice_client.mdns import Mdns
from stun import Address, Family
from tests.ice_client.shell.calls import (
    LOOPBACK,
    ON_LOOPBACK,
    TIMEOUT,
    connect,
    exchange,
    signal,
    tell,
    two_agents,
    wait_connected,
)


async def test_packets_sent_without_waiting_are_received_together() -> None:
    async with two_agents() as (one, other):
        assert not one.send_now(b"\x80 nowhere to go")
        await connect(one, other)
        sent = [b"\x80 %d" % number for number in range(50)]
        received: list[bytes] = []
        with trio.fail_after(TIMEOUT):
            assert all(one.send_now(packet) for packet in sent)
            while len(received) < len(sent):
                many = await other.receive_many()
                assert many
                received += many
        assert received == sent


async def test_a_restart_takes_credentials_that_were_told_already() -> None:
    told = Credentials("told+/", "already+" * 4)
    async with two_agents() as (one, _):
        await one.restart(told)
        assert one.local_credentials == told
        with pytest.raises(ValueError, match="new credentials"):
            await one.restart(told)


@pytest.mark.parametrize("family", Family)
async def test_two_agents_connect_by_host_candidates_and_talk(family: Family) -> None:
    options = AgentOptions(interfaces=attrs.evolve(LOOPBACK, families=[family]))
    async with two_agents(options) as (one, other):
        await connect(one, other)
        await exchange(one, other)
        pair = one.selected_pair
        assert pair is not None
        assert pair.destination.family is family
        assert pair.local.type is pair.remote.type is CandidateType.HOST
        assert (one.role, other.role) == (Role.CONTROLLING, Role.CONTROLLED)


async def test_dual_stack_gathers_both_families() -> None:
    async with two_agents() as (one, _):
        with trio.fail_after(TIMEOUT):
            families = [each.address.family async for each in one.local_candidates()]
        assert sorted(families) == [Family.IPV4, Family.IPV6]


async def test_two_components_connect_and_keep_their_packets_apart() -> None:
    options = attrs.evolve(ON_LOOPBACK, settings=Settings(components=(2,)))
    async with two_agents(options) as (one, other):
        await connect(one, other)
        await one.send(b"\x80 rtcp", component=2)
        await exchange(one, other, component=1)
        with trio.fail_after(TIMEOUT):
            assert await other.receive(component=2) == b"\x80 rtcp"


async def test_streams_connect_side_by_side() -> None:
    options = attrs.evolve(ON_LOOPBACK, settings=Settings(components=(1, 1)))
    async with two_agents(options) as (one, other):
        for stream in (0, 1):
            for teller, listener in ((one, other), (other, one)):
                listener.set_remote_credentials(teller.local_credentials)
                with trio.fail_after(TIMEOUT):
                    async for candidate in teller.local_candidates(stream):
                        assert await listener.add_remote_candidate(candidate, stream)
        await wait_connected(one, other)
        pairs = [one.selected_pair_of(stream=stream) for stream in (0, 1)]
        assert len({pair.base for pair in pairs if pair is not None}) == 2
        await one.send(b"\x80 second", stream=1)
        with trio.fail_after(TIMEOUT):
            assert await other.receive(stream=1) == b"\x80 second"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Transport.TCP_ACTIVE, Transport.TCP_PASSIVE),
        (Transport.TCP_PASSIVE, Transport.TCP_ACTIVE),
        (Transport.TCP_SO, Transport.TCP_SO),
    ],
)
async def test_two_agents_connect_over_tcp(ours: Transport, theirs: Transport) -> None:
    interfaces = attrs.evolve(LOOPBACK, families=[Family.IPV4])
    options = [AgentOptions(interfaces=interfaces, tcp_types=[each]) for each in (ours, theirs)]
    async with two_agents(options[0], options[1]) as (one, other):
        for teller, listener in ((one, other), (other, one)):
            listener.set_remote_credentials(teller.local_credentials)
            with trio.fail_after(TIMEOUT):
                async for candidate in teller.local_candidates():
                    if candidate.transport.is_tcp:
                        await listener.add_remote_candidate(format_candidate(candidate))
            await listener.add_remote_candidate(None)
        await wait_connected(one, other)
        await exchange(one, other)
        assert one.selected_pair is not None
        assert one.selected_pair.base.transport.is_tcp


@pytest.mark.parametrize("controlling", [True, False], ids=["full controls", "lite controls"])
async def test_a_lite_agent_answers_and_a_full_one_checks(controlling: bool) -> None:
    lite = attrs.evolve(ON_LOOPBACK, settings=Settings(lite=True))
    async with (
        open_ice_agent(controlling=controlling, options=ON_LOOPBACK) as full,
        open_ice_agent(controlling=not controlling, options=lite) as other,
    ):
        full.set_remote_credentials(other.local_credentials, lite=True)
        other.set_remote_credentials(full.local_credentials)
        async for candidate in other.local_candidates():
            await full.add_remote_candidate(candidate)
        await full.add_remote_candidate(None)
        await wait_connected(full, other)
        await exchange(full, other)
        # RFC 8445 §6.1.1: whatever was said, the full agent controls.
        assert full.role is Role.CONTROLLING


async def test_states_go_from_checking_to_completed_to_closed() -> None:
    seen: list[AgentState] = []

    async def watch(agent: Agent) -> None:
        seen.extend([state async for state in agent.states()])

    async with trio.open_nursery() as nursery, two_agents() as (one, other):
        nursery.start_soon(watch, one)
        await connect(one, other)
        await exchange(one, other)
    assert seen[0] in {AgentState.NEW, AgentState.CHECKING}
    assert AgentState.CHECKING in seen
    assert {AgentState.CONNECTED, AgentState.COMPLETED} & set(seen)
    assert seen[-1] is AgentState.CLOSED


async def test_candidates_that_trickle_late_connect() -> None:
    async with two_agents() as (one, other):
        one.set_remote_credentials(other.local_credentials)
        other.set_remote_credentials(one.local_credentials)
        with trio.move_on_after(0.3):
            await one.connected()
            raise AssertionError("connected without candidates")
        await connect(one, other)


async def test_one_side_that_hears_of_no_candidates_learns_them_from_checks() -> None:
    async with two_agents() as (one, other):
        other.set_remote_credentials(one.local_credentials)
        await tell(other, one)
        await wait_connected(one, other)
        assert other.selected_pair is not None
        assert other.selected_pair.remote.type is CandidateType.PEER_REFLEXIVE


async def test_a_restart_brings_new_credentials_the_same_sockets_and_no_gap() -> None:
    async with two_agents() as (one, other):
        await connect(one, other)
        before = one.local_credentials, one.gathered
        await one.restart()
        await other.restart()
        await exchange(one, other)  # on the pair of the generation before
        assert one.local_credentials != before[0]
        events = one.events()
        await signal(one, other)
        with trio.fail_after(TIMEOUT):
            async for event in events:
                if type(event).__name__ == "PairSelected":
                    break
        await wait_connected(one, other)
        await exchange(one, other)
        assert [each.address for each in one.gathered] == [each.address for each in before[1]]
        fragments = {each.username_fragment for each in one.gathered}
        assert fragments == {one.local_credentials.username_fragment}


async def test_credentials_agreed_upon_in_advance_are_used() -> None:
    credentials = Credentials("ufrag", "a-password-is-no-ice-char".replace("-", "+"))
    async with open_ice_agent(
        controlling=True, options=ON_LOOPBACK, credentials=credentials
    ) as one:
        assert one.local_credentials == credentials


async def test_who_waits_when_the_block_is_left_is_told() -> None:
    refused = []

    async def wait_for(agent: Agent, method: str) -> None:
        with pytest.raises(AgentClosedError):
            await getattr(agent, method)()
        refused.append(method)

    async with (
        trio.open_nursery() as nursery,
        open_ice_agent(controlling=True, options=ON_LOOPBACK) as agent,
    ):
        for method in ("receive", "receive", "connected"):
            nursery.start_soon(wait_for, agent, method)
        await trio.testing.wait_all_tasks_blocked()
    assert sorted(refused) == ["connected", "receive", "receive"]
    for call in (agent.send(b""), agent.restart(), agent.add_remote_candidate(None)):
        with pytest.raises(AgentClosedError):
            await call


async def test_an_exception_in_the_block_comes_out_as_it_is_and_closes_the_sockets() -> None:
    candidates: list[Candidate] = []

    async def gather_and_raise() -> None:
        async with open_ice_agent(controlling=True, options=ON_LOOPBACK) as agent:
            with trio.fail_after(TIMEOUT):
                candidates.extend([each async for each in agent.local_candidates()])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await gather_and_raise()
    ours = candidates[0]
    with socket.socket(
        socket.AF_INET if ours.address.family is Family.IPV4 else socket.AF_INET6,
        socket.SOCK_DGRAM,
    ) as again:
        again.bind(ours.address.sockaddr)


async def test_nothing_can_be_sent_before_a_pair_is_valid() -> None:
    async with open_ice_agent(controlling=True, options=ON_LOOPBACK) as agent:
        with pytest.raises(NotConnectedError):
            await agent.send(b"early")


async def test_a_packet_longer_than_a_datagram_is_refused_and_the_next_one_sent() -> None:
    async with two_agents() as (one, other):
        await connect(one, other)
        with pytest.raises(PacketTooLongError):
            await one.send(bytes(0x10000))
        await exchange(one, other)


async def test_data_from_where_no_check_came_is_dropped() -> None:
    async with two_agents() as (one, other):
        await connect(one, other)
        assert other.selected_pair is not None
        address = other.selected_pair.base.address
        family = socket.AF_INET if address.family is Family.IPV4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\x80 not the peer", address.sockaddr)
        await exchange(one, other)


async def test_traffic_is_counted_on_the_pair_that_carries_it() -> None:
    async with two_agents() as (one, other):
        await connect(one, other)
        await exchange(one, other, messages=3)
        (stats,) = [each for each in one.stats().pairs if each.checks.is_selected]
        assert (stats.traffic.packets_sent, stats.traffic.packets_received) == (3, 3)
        assert (
            stats.traffic.bytes_sent == stats.traffic.bytes_received == 3 * len(b"\x80 message 0")
        )
        assert stats.checks.responses_received > 0


async def test_a_reader_that_does_not_read_loses_what_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ice_client.inbox.RECEIVE_QUEUE", 2)
    async with two_agents() as (one, other):
        await connect(one, other)
        for number in range(5):
            await one.send(b"\x80%d" % number)
        with trio.fail_after(TIMEOUT):
            while other.stats().packets_dropped[0, 1] < 3:
                await trio.sleep(0.01)
        assert [await other.receive(), await other.receive()] == [b"\x800", b"\x801"]


async def test_no_host_candidate_is_told_or_used_where_the_policy_forbids_it() -> None:
    options = attrs.evolve(ON_LOOPBACK, policy=Policy.NO_HOST)
    async with open_ice_agent(controlling=True, options=options) as agent:
        with trio.fail_after(TIMEOUT):
            assert [each async for each in agent.local_candidates()] == []


async def test_without_any_address_gathering_ends_with_nothing() -> None:
    options = AgentOptions(interfaces=InterfaceFilter(interfaces=["no-such-interface"]))
    async with open_ice_agent(controlling=True, options=options) as agent:
        with trio.fail_after(TIMEOUT):
            assert [each async for each in agent.local_candidates()] == []


async def test_agents_without_a_common_path_fail_and_say_so() -> None:
    settings = Settings(patience=0.2, trickle_timeout=0.2)
    options = [
        AgentOptions(interfaces=attrs.evolve(LOOPBACK, families=[family]), settings=settings)
        for family in Family
    ]
    async with two_agents(options[0], options[1]) as (one, other):
        await signal(one, other)
        with trio.fail_after(TIMEOUT), pytest.raises(ConnectError):
            await one.connected()
        assert one.state is AgentState.FAILED


@pytest.mark.parametrize("text", ["", "candidate:1 1 udp", "candidate:1 1 sctp 1 ::1 9 typ host"])
async def test_a_malformed_candidate_is_refused(text: str) -> None:
    async with open_ice_agent(controlling=True, options=ON_LOOPBACK) as agent:
        with pytest.raises(CandidateError):
            await agent.add_remote_candidate(text)


async def test_a_host_name_that_is_not_local_is_not_looked_up() -> None:
    async with open_ice_agent(controlling=True, options=ON_LOOPBACK) as agent:
        line = "candidate:1 1 udp 1000 victim.example.org 9 typ host"
        assert not await agent.add_remote_candidate(line)


async def test_a_server_that_never_answers_delays_neither_candidates_nor_connecting() -> None:
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 0))
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port, tcp_port = silent.getsockname()[1], listener.getsockname()[1]
        servers = [
            IceServer(f"stun:127.0.0.1:{port}"),
            IceServer(
                [f"turn:127.0.0.1:{port}", f"turn:127.0.0.1:{tcp_port}?transport=tcp"],
            ),
        ]
        options = attrs.evolve(ON_LOOPBACK, server_timeout=1.5)
        async with two_agents(options, servers=servers) as (one, other):
            started = trio.current_time()
            await connect(one, other)
            assert trio.current_time() - started < 1.0
            with trio.fail_after(TIMEOUT):
                async for _ in one.local_candidates():
                    pass
            ended = trio.current_time() - started
            assert 1.4 < ended < 5.0  # end-of-candidates is when the servers are given up
            assert {str(each.uri) for each in one.server_failures} == {
                f"stun:127.0.0.1:{port}",
                f"turn:127.0.0.1:{port}",
                f"turn:127.0.0.1:{tcp_port}?transport=tcp",
            }


async def test_cancelling_closes_at_once() -> None:
    with trio.move_on_after(0.2) as scope:
        async with two_agents() as (one, other):
            await connect(one, other)
            await one.receive()
    assert scope.cancelled_caught


class FakeMdns:
    """Names that the test has in hand."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = addresses
        self.may_publish = trio.Event()

    async def resolve(self, name: str) -> tuple[Address, ...]:
        await trio.lowlevel.checkpoint()
        return self.addresses

    async def publish(self, name: str, address: Address) -> None:
        await self.may_publish.wait()

    async def withdraw(self, name: str) -> None:
        await trio.lowlevel.checkpoint()


NAMED = "candidate:1 {} udp 1 0e9a1c6e-9c0a-4f6e-8f35-1f1bb6b9b4a5.local 5000 typ host"


async def test_an_mdns_name_that_leads_nowhere_ends_nothing() -> None:
    mdns = cast("Mdns", FakeMdns(Address.parse("0.0.0.0")))
    async with open_ice_agent(controlling=True, options=ON_LOOPBACK, mdns=mdns) as agent:
        assert await agent.add_remote_candidate(NAMED.format(1))
        with pytest.raises(ValueError, match="no component 2"):
            await agent.add_remote_candidate(NAMED.format(2))
        await trio.testing.wait_all_tasks_blocked()
        assert agent.state is AgentState.NEW


async def test_a_restart_while_names_are_published_opens_each_address_once() -> None:
    mdns = FakeMdns()
    options = attrs.evolve(ON_LOOPBACK, mdns=True)
    async with (
        open_ice_agent(controlling=True, options=options, mdns=cast("Mdns", mdns)) as agent,
        trio.open_nursery() as nursery,
    ):
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(agent.restart)
        await trio.testing.wait_all_tasks_blocked()
        mdns.may_publish.set()
        gathered = [candidate async for candidate in agent.local_candidates()]
        bases = [candidate.base_address.host for candidate in gathered]
        assert sorted(bases) == ["127.0.0.1", "::1"]
