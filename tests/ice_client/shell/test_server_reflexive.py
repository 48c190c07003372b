"""Server-reflexive candidates are what STUN servers say of the agent's own sockets (§5.1.1.2)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import attrs
import pytest
import trio

from ice_client import (
    AgentOptions,
    AgentState,
    Candidate,
    CandidateType,
    IceServer,
    Policy,
    format_candidate,
    gathering,
    open_ice_agent,
)
from stun import Address, ErrorCode, Family, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.values import Error
from tests.ice_client.shell.calls import LOOPBACK, TIMEOUT

IPV4 = AgentOptions(interfaces=attrs.evolve(LOOPBACK, families=[Family.IPV4]), server_timeout=0.3)
MAPPED = Address.parse("203.0.113.5", 6000)
Answer = Callable[[Message], list[RawAttribute] | None]


@attrs.define
class StunServer:
    """Answers Binding requests as a test wants.

    Attributes:
        port: on 127.0.0.1.
        asked: who has asked, in order.

    """

    port: int
    asked: list[Address] = attrs.field(factory=list)

    @property
    def server(self) -> IceServer:
        return IceServer(f"stun:127.0.0.1:{self.port}")


def mapped(request: Message) -> list[RawAttribute]:
    return [a.XOR_MAPPED_ADDRESS.of(MAPPED, request.transaction_id)]


@contextlib.asynccontextmanager
async def stun_server(
    answer: Answer = mapped, message_class: MessageClass = MessageClass.SUCCESS_RESPONSE
) -> AsyncIterator[StunServer]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        server = StunServer(sock.getsockname()[1])

        async def serve() -> None:
            while True:
                data, source = await sock.recvfrom(1500)
                request = Message.decode(data)
                server.asked.append(Address.from_sockaddr(source))
                attributes = answer(request)
                if attributes is not None:
                    response = Message.build(
                        Method.BINDING, message_class, request.transaction_id, attributes
                    )
                    await sock.sendto(response.encode(), source)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield server
            nursery.cancel_scope.cancel()


async def gathered(options: AgentOptions, *servers: StunServer) -> list[Candidate]:
    ice_servers = [each.server for each in servers]
    async with open_ice_agent(ice_servers, controlling=True, options=options) as agent:
        with trio.fail_after(TIMEOUT):
            return [each async for each in agent.local_candidates()]


async def test_the_mapped_address_is_that_of_the_host_candidates_own_socket() -> None:
    async with stun_server() as server:
        host, reflexive = await gathered(IPV4, server)
    assert host.type is CandidateType.HOST
    assert reflexive.type is CandidateType.SERVER_REFLEXIVE
    assert reflexive.address == MAPPED
    assert reflexive.base == host.base
    assert reflexive.related_address == host.address
    assert server.asked == [host.address]
    assert reflexive.priority < host.priority


async def test_without_host_candidates_the_related_address_tells_nothing() -> None:
    async with stun_server() as server:
        (reflexive,) = await gathered(attrs.evolve(IPV4, policy=Policy.NO_HOST), server)
    assert "127.0.0.1" not in format_candidate(reflexive)
    assert "raddr 0.0.0.0 rport 9" in format_candidate(reflexive)


async def test_where_policy_is_relay_no_stun_server_is_asked() -> None:
    async with stun_server() as server:
        assert await gathered(attrs.evolve(IPV4, policy=Policy.RELAY), server) == []
    assert server.asked == []


async def test_an_old_server_that_tells_mapped_address_alone_is_believed() -> None:
    async with stun_server(lambda _: [a.MAPPED_ADDRESS.of(MAPPED)]) as server:
        _, reflexive = await gathered(IPV4, server)
    assert reflexive.address == MAPPED


async def test_two_servers_that_tell_the_same_give_one_candidate() -> None:
    async with stun_server() as one, stun_server() as other:
        assert len(await gathered(IPV4, one, other)) == 2
    assert len(one.asked) == len(other.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message_class", "reason"),
    [
        (lambda _: None, MessageClass.SUCCESS_RESPONSE, "time"),
        (lambda _: [], MessageClass.SUCCESS_RESPONSE, "no mapped address"),
        (
            lambda _: [a.ERROR_CODE.of(Error(ErrorCode.SERVER_ERROR, "broken"))],
            MessageClass.ERROR_RESPONSE,
            "500",
        ),
        (
            lambda _: [(a.XOR_MAPPED_ADDRESS.code, b"\0\x09\0\0")],
            MessageClass.SUCCESS_RESPONSE,
            "does not decode",
        ),
    ],
    ids=["silence", "nothing", "an error", "nonsense"],
)
async def test_a_server_that_fails_is_told_and_gathering_goes_on(
    answer: Answer, message_class: MessageClass, reason: str
) -> None:
    async with (
        stun_server(answer, message_class) as broken,
        stun_server() as working,
        open_ice_agent([broken.server, working.server], controlling=True, options=IPV4) as agent,
    ):
        with trio.fail_after(TIMEOUT):
            types = [each.type async for each in agent.local_candidates()]
        assert types == [CandidateType.HOST, CandidateType.SERVER_REFLEXIVE]
        (failure,) = agent.server_failures
        assert reason in failure.reason


async def test_a_mapping_is_kept_alive_until_a_pair_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "KEEPALIVE", 0.02)
    async with (
        stun_server() as server,
        open_ice_agent([server.server], controlling=True, options=IPV4) as agent,
    ):
        with trio.fail_after(TIMEOUT):
            while len(server.asked) < 4:
                await trio.sleep(0.01)
        assert agent.state is AgentState.NEW
        assert len(set(server.asked)) == 1
