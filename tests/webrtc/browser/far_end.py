"""The far end of a call with a peer of ours, as a test talks to it, and how both come together."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from ice_client import AgentOptions, InterfaceFilter
from webrtc import Configuration, Description, IceCandidate, PeerConnection
from webrtc.negotiation import negotiate

TIMEOUT = 60.0
"""Seconds; only failures take as long."""
POLL = 0.02
"""Seconds between looks at what nobody tells of."""


class FarEnd(abc.ABC):
    """A peer of others, of which anything is asked by name: page.js has the names."""

    @abc.abstractmethod
    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method and return its value, which is JSON."""

    async def describe(self) -> Description:
        """Have it set its local description; return it."""
        return Description.from_json(await self.call("describe"))

    async def take(self, description: Description) -> None:
        """Give it a description of ours."""
        await self.call("take", description.to_json())

    async def negotiate(
        self, peer: PeerConnection, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Have both ends negotiate by themselves, the far one politely, until cancelled."""
        await self.call("negotiate")
        task_status.started()
        await negotiate(peer, _Line(self), polite=False)

    async def tell_candidates(self, peer: PeerConnection) -> None:
        """Carry candidates both ways until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bring_candidates, peer)
            async for candidate in peer.local_candidates():
                await self.call("add", candidate.to_json())

    async def _bring_candidates(self, peer: PeerConnection) -> None:
        while True:
            for value in await self.call("takeCandidates"):
                await peer.add_ice_candidate(IceCandidate.from_json(value))
            await trio.sleep(POLL)


class _Line:
    """Signalling with a far end: its messages are asked for again and again."""

    def __init__(self, far_end: FarEnd) -> None:
        self._far_end = far_end
        self._messages: deque[dict[str, Any]] = deque()

    async def send(self, message: dict[str, Any]) -> None:
        await self._far_end.call("takeMessage", message)

    def __aiter__(self) -> _Line:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._messages:
            await trio.sleep(POLL)
            self._messages.extend(await self._far_end.call("takeOutbox"))
        return self._messages.popleft()


def configuration(host: str, **keywords: Any) -> Configuration:
    """Return how our peer is made: on the interface that faces the far end."""
    interfaces = InterfaceFilter(networks=[f"{host}/32"])
    return Configuration(ice=AgentOptions(interfaces=interfaces), **keywords)


Connect = Callable[[PeerConnection, FarEnd, trio.Nursery], Awaitable[None]]
"""How two peers come together: `offer` or `answer`."""


async def offer(peer: PeerConnection, far_end: FarEnd, nursery: trio.Nursery) -> None:
    """Have our peer offer, and connect."""
    await far_end.take(await peer.set_local_description())
    await peer.set_remote_description(await far_end.describe())
    await _connect(peer, far_end, nursery)


async def answer(peer: PeerConnection, far_end: FarEnd, nursery: trio.Nursery) -> None:
    """Have our peer answer, and connect."""
    await peer.set_remote_description(await far_end.describe())
    await far_end.take(await peer.set_local_description())
    await _connect(peer, far_end, nursery)


async def _connect(peer: PeerConnection, far_end: FarEnd, nursery: trio.Nursery) -> None:
    scope = await nursery.start(_trickle, peer, far_end)
    with trio.fail_after(TIMEOUT):
        await peer.connected()
    scope.cancel()
    await far_end.call("connected")


async def _trickle(
    peer: PeerConnection,
    far_end: FarEnd,
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await far_end.tell_candidates(peer)
