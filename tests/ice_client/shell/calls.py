"""Two of our agents in one trio loop, and the signalling between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import attrs
import trio

from ice_client import (
    Agent,
    AgentOptions,
    IceServer,
    InterfaceFilter,
    format_candidate,
    open_ice_agent,
)

TIMEOUT = 15.0
"""Seconds; only failures take as long."""
LOOPBACK = InterfaceFilter(interfaces=["lo"], loopback=True)
ON_LOOPBACK = AgentOptions(interfaces=LOOPBACK)


async def tell(teller: Agent, listener: Agent) -> None:
    """Carry credentials and candidates over as they come, until they end."""
    listener.set_remote_credentials(teller.local_credentials)
    async for candidate in teller.local_candidates():
        await listener.add_remote_candidate(format_candidate(candidate))
    await listener.add_remote_candidate(None)


async def signal(one: Agent, other: Agent) -> None:
    """Tell each of the other."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, one, other)
        nursery.start_soon(tell, other, one)


async def wait_connected(*agents: Agent) -> None:
    with trio.fail_after(TIMEOUT):
        for agent in agents:
            await agent.connected()


async def connect(one: Agent, other: Agent) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signal, one, other)
        await wait_connected(one, other)
        nursery.cancel_scope.cancel()


async def exchange(one: Agent, other: Agent, component: int = 1, messages: int = 20) -> None:
    """Send numbered messages both ways; each must come, in order."""
    with trio.fail_after(TIMEOUT):
        for number in range(messages):
            for sender, receiver in ((one, other), (other, one)):
                data = b"\x80 message %d" % number
                await sender.send(data, component)
                assert await receiver.receive(component) == data


async def ask_until_answered(agent: Agent, question: bytes) -> None:
    """Send again and again until it comes back: the pair may change, or the peer be late."""
    while True:
        await agent.send(question)
        with trio.move_on_after(0.1):
            while await agent.receive() != question:
                pass
            return


@contextlib.asynccontextmanager
async def two_agents(
    options: AgentOptions = ON_LOOPBACK,
    other_options: AgentOptions | None = None,
    servers: Sequence[IceServer] = (),
) -> AsyncIterator[tuple[Agent, Agent]]:
    """Open a controlling agent and a controlled one."""
    options = attrs.evolve(options, servers=[*options.servers, *servers])
    other_options = (
        options if other_options is None else attrs.evolve(other_options, servers=servers)
    )
    async with (
        open_ice_agent(controlling=True, options=options) as one,
        open_ice_agent(controlling=False, options=other_options) as other,
    ):
        yield one, other
