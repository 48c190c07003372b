"""Two peer connections of ours in one trio loop, and the signalling between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import attrs
import trio

from webrtc import AgentOptions, Configuration, InterfaceFilter, PeerConnection, negotiate

TIMEOUT = 20.0
"""Seconds; only failures take as long."""
ON_LOOPBACK = Configuration(
    ice=AgentOptions(
        interfaces=InterfaceFilter(interfaces=["lo"], loopback=True, networks=["127.0.0.0/8"])
    )
)


async def trickle(teller: PeerConnection, listener: PeerConnection) -> None:
    """Carry candidates over as they come."""
    async for candidate in teller.local_candidates():
        if listener.is_closed:
            return
        await listener.add_ice_candidate(candidate)


async def exchange(offerer: PeerConnection, answerer: PeerConnection) -> None:
    """Carry an offer and its answer over."""
    await answerer.set_remote_description(await offerer.set_local_description())
    await offerer.set_remote_description(await answerer.set_local_description())


async def wait_connected(*peers: PeerConnection) -> None:
    with trio.fail_after(TIMEOUT):
        for peer in peers:
            await peer.connected()


@contextlib.asynccontextmanager
async def two_peers(
    configuration: Configuration = ON_LOOPBACK, other: Configuration | None = None
) -> AsyncIterator[tuple[PeerConnection, PeerConnection]]:
    """Open two peer connections, whose candidates reach each other."""
    async with (
        PeerConnection(configuration) as one,
        PeerConnection(other or configuration) as two,
        trio.open_nursery() as nursery,
    ):
        yield one, two
        nursery.cancel_scope.cancel()


async def connect(one: PeerConnection, two: PeerConnection, nursery: trio.Nursery) -> None:
    """Exchange descriptions and candidates; candidates go on going over in the nursery."""
    offer = await one.set_local_description()
    await two.set_remote_description(offer)
    nursery.start_soon(trickle, one, two)
    await one.set_remote_description(await two.set_local_description())
    nursery.start_soon(trickle, two, one)
    await wait_connected(one, two)


@attrs.frozen
class Wire:
    """One end of signalling in memory."""

    out: trio.MemorySendChannel[dict[str, Any]]
    into: trio.MemoryReceiveChannel[dict[str, Any]]

    async def send(self, message: dict[str, Any]) -> None:
        await self.out.send(message)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self.into.__aiter__()


@contextlib.asynccontextmanager
async def negotiating_peers() -> AsyncIterator[tuple[PeerConnection, PeerConnection]]:
    """Two peers that negotiate by themselves; the first is polite."""
    there, back = trio.open_memory_channel[Any](100), trio.open_memory_channel[Any](100)
    async with two_peers() as (one, two), trio.open_nursery() as nursery:

        async def run(peer: PeerConnection, wire: Wire, polite: bool) -> None:
            await negotiate(peer, wire, polite=polite)

        nursery.start_soon(run, one, Wire(there[0], back[1]), True)
        nursery.start_soon(run, two, Wire(back[0], there[1]), False)
        yield one, two
        nursery.cancel_scope.cancel()
