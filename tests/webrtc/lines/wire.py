"""Peer connections on virtual time: in place of ICE two agents whose packets cross impaired lines.

All above ICE is what it always is: DTLS, SRTP, RTP and its congestion control, SCTP. Nothing waits
for a socket or a thread, so that under trio's MockClock a minute takes a second, and every run is
the same but for what is drawn by `secrets`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import random
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from ice_client import AgentState, Candidate, Credentials
from tests.natlab.impairment import ImpairedLine, Impairment
from webrtc import PeerConnection
from webrtc.transport import transport

IP_AND_UDP = 28
"""Bytes before a packet's payload."""


class LineAgent:
    """What `PeerTransport` uses of `ice_client.Agent`; connected once each end knows the other.

    Attributes:
        local_credentials: as negotiated.
        peer: at the other end.
        line: its way there.
        lost: packets that the line lost.

    """

    def __init__(self, credentials: Credentials, line: ImpairedLine) -> None:
        self.local_credentials = credentials
        self.peer: LineAgent | None = None
        self.line = line
        self.lost = 0
        self._knows_peer = False
        self._count = itertools.count()
        self._arriving: list[tuple[float, int, bytes]] = []
        self._alarm_at = math.inf
        self._alarm: Callable[[], None] = lambda: None
        self._take: Callable[[list[bytes]], None] = lambda _packets: None
        self._tell: Callable[[AgentState], None] = lambda _state: None
        self._changed = trio.Event()

    @property
    def is_connected(self) -> bool:
        return self._knows_peer and self.peer is not None and self.peer._knows_peer

    def set_remote_credentials(self, _credentials: Credentials, *, lite: bool) -> None:
        assert not lite
        self._knows_peer = True
        for agent in (self, self.peer):
            if agent is not None:
                agent._changed.set()

    async def add_remote_candidate(self, candidate: Candidate | None) -> None:
        pass

    def watch(self, tell: Callable[[AgentState], None]) -> None:
        self._tell = tell

    def hand_to(self, take: Callable[[list[bytes]], None]) -> None:
        self._take = take

    def hand_candidates_to(self, tell: Callable[[Candidate | None], None]) -> None:
        tell(None)

    def set_alarm(self, deadline: float, alarm: Callable[[], None]) -> None:
        self._alarm = alarm
        if deadline < self._alarm_at:
            self._changed.set()
        self._alarm_at = deadline

    def send_now(self, data: bytes) -> bool:
        if self.peer is None or not self.is_connected:
            return False
        arrival = self.line.arrival(len(data) + IP_AND_UDP, trio.current_time())
        if arrival is None:
            self.lost += 1
        else:
            self.peer._expect(arrival, data)
        return True

    def _expect(self, arrival: float, data: bytes) -> None:
        heapq.heappush(self._arriving, (arrival, next(self._count), data))
        if self._arriving[0][2] is data:
            self._changed.set()

    async def run(self) -> None:
        """Let packets arrive and time pass, until cancelled."""
        while True:
            arrival = self._arriving[0][0] if self._arriving else math.inf
            with trio.move_on_at(min(arrival, self._alarm_at)):
                await self._changed.wait()
            self._changed = trio.Event()
            if self.is_connected:
                self._tell(AgentState.CONNECTED)
            now = trio.current_time()
            packets = []
            while self._arriving and self._arriving[0][0] <= now:
                packets.append(heapq.heappop(self._arriving)[2])
            if packets:
                self._take(packets)
            if self._alarm_at <= now:
                self._alarm_at = math.inf
                self._alarm()


class Wire:
    """Joins the first two agents that are opened; `impairments` are of the first's way, then back.

    Attributes:
        agents: in the order in which they were opened: the offerer's first.

    """

    def __init__(self, *impairments: Impairment) -> None:
        self._impairments = impairments
        self.agents: list[LineAgent] = []

    @contextlib.asynccontextmanager
    async def open(
        self, *, controlling: bool, options: Any, credentials: Credentials
    ) -> AsyncIterator[LineAgent]:
        """Take the place of `open_ice_agent`."""
        agent = LineAgent(credentials, ImpairedLine(self._impairments[len(self.agents)]))
        self.agents.append(agent)
        if len(self.agents) == 2:
            first, second = self.agents
            first.peer, second.peer = second, first
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.run)
            yield agent
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def joined(
    patch: pytest.MonkeyPatch, *impairments: Impairment
) -> AsyncIterator[tuple[PeerConnection, PeerConnection, Wire]]:
    """Make two peer connections over two lines; `call` has the first call the second."""
    wire = Wire(*impairments)
    dice = random.Random(impairments[0].seed)
    patch.setattr(transport, "secrets", SimpleNamespace(randbelow=dice.randrange))
    patch.setattr(transport, "open_ice_agent", wire.open)
    async with PeerConnection() as one, PeerConnection() as two:
        yield one, two, wire


async def call(one: PeerConnection, two: PeerConnection) -> None:
    """Exchange descriptions, and return when both are connected."""
    await two.set_remote_description(await one.set_local_description())
    await one.set_remote_description(await two.set_local_description())
    await one.connected()
    await two.connected()
