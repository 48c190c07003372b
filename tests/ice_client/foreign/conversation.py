"""Our agent's side of the signalling with a foreign agent, and of the call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import trio

from ice_client import Agent, Credentials, Transport, format_candidate, parse_candidate
from tests.ice_client.foreign.fragment import Fragment, parse_fragment
from tests.ice_client.shell.calls import ask_until_answered

MESSAGES = 20


@attrs.define
class Conversation:
    """What the two tell each other.

    Attributes:
        agent: ours.
        process: the foreign one's.
        nursery: for telling while hearing.
        trickle: tell candidates one by one, as they come; else all in one message.
        lite: we are an ICE-lite agent.
        transports: of our candidates and of the peer's, of those that reach the other side.
        peer_is_lite: whether the peer said so.
        is_over: whether the peer may end.

    """

    agent: Agent
    process: trio.Process
    nursery: trio.Nursery
    trickle: bool
    lite: bool
    transports: tuple[Transport, Transport]
    peer_is_lite: bool = False
    is_over: bool = False
    _restarts_with_the_peer: bool = False

    async def tell(self, restart: bool = False) -> None:
        """Tell a generation of ours: credentials and candidates."""
        ours = self.agent.local_credentials
        fragment, password = ours.username_fragment, ours.password
        if self.trickle:
            await self._send(Fragment(fragment, password, lite=self.lite, restart=restart))
            async for candidate in self._local_candidates():
                await self._send(Fragment(candidates=(candidate,)))
            await self._send(Fragment(ended=True))
        else:
            told = tuple([candidate async for candidate in self._local_candidates()])
            await self._send(Fragment(fragment, password, told, True, self.lite, restart))

    async def _local_candidates(self) -> AsyncIterator[str]:
        async for candidate in self.agent.local_candidates():
            if candidate.transport is self.transports[0]:
                yield format_candidate(candidate)

    async def hear(self) -> None:
        """Hear what the peer tells, until it ends."""
        async for fragment in self._fragments():
            if fragment.username_fragment:
                if self._restarts_with_the_peer:
                    await self.agent.restart()
                    self.nursery.start_soon(self.tell)
                credentials = Credentials(fragment.username_fragment, fragment.password)
                self.peer_is_lite = fragment.lite
                self.agent.set_remote_credentials(credentials, lite=fragment.lite)
            for text in fragment.candidates:
                if (candidate := parse_candidate(text)).transport is self.transports[1]:
                    await self.agent.add_remote_candidate(candidate)
            if fragment.ended:
                await self.agent.add_remote_candidate(None)
        assert self.is_over, "the peer ended in the middle; what it complained of is on stderr"

    async def restart(self, *, by_the_peer: bool) -> None:
        """Begin a new generation, by an offer of ours or of the peer's."""
        if by_the_peer:
            self._restarts_with_the_peer = True
            await self._send(Fragment(restart=True))
        else:
            await self.agent.restart()
            await self.tell(restart=True)

    async def exchange(self) -> None:
        """Have every message sent back.

        Each is sent until it is: libnice drops what comes by a channel before the answer to its
        ChannelBind request does, though over UDP it may (RFC 8656 §12).
        """
        for number in range(MESSAGES):
            await ask_until_answered(self.agent, b"\x80 %d" % number)

    async def new_pair(self, before: Credentials) -> None:
        """Return once the generation after `before` has selected its pair."""
        events = self.agent.events()
        while not self._is_of_new_generation(before):
            await anext(events)

    def _is_of_new_generation(self, before: Credentials) -> bool:
        pair, ours = self.agent.selected_pair, self.agent.local_credentials
        return (
            ours != before
            and pair is not None
            and pair.local.username_fragment == ours.username_fragment
        )

    async def _send(self, fragment: Fragment) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(str(fragment).encode())

    async def _fragments(self) -> AsyncIterator[Fragment]:
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *texts, rest = (rest + chunk).split(b"\n\n")
            for text in texts:
                yield parse_fragment(text.decode().split("\n"))
