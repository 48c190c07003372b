"""Runs one core agent over its endpoints: packets in, packets out, one timer.

All cleverness is in `ice_client.core`; this hands it what arrives and what time it is, does what
it says, and keeps the application's packets until they are asked for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import attrs
import trio

from ice_client.binding_queries import BindingQueries
from ice_client.broadcast import Broadcast
from ice_client.core import AgentState, Base, Candidate, Event, IceAgent, Transmit
from ice_client.endpoint import Endpoint
from ice_client.errors import AgentClosedError, ConnectError, IceError, NotConnectedError
from ice_client.inbox import Inbox
from ice_client.timer import Timer
from stun import Address
from stun.demultiplex import PacketKind, packet_kind

MAX_TRAFFIC_ROWS = 256
"""Pairs whose traffic is counted: more than a core has at a time, less than without an end."""

_MAX_STUN_FIRST_BYTE = 3
_log = logging.getLogger(__name__)


@attrs.define(slots=True)
class Traffic:
    """What the application sent and received on one pair; STUN is not counted."""

    packets_sent: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    bytes_received: int = 0


@attrs.define(slots=True, eq=False)
class _Attached:
    endpoint: Endpoint
    component: tuple[int, int]
    scope: trio.CancelScope
    ended: trio.Event = attrs.field(factory=trio.Event)
    valid_source: Address | None = None
    traffic: Traffic | None = None
    """That of `valid_source`, which the last packet came from. None once the core has changed."""


@attrs.frozen(slots=True, eq=False)
class _Way:
    """Where the packets of a component go, as long as nothing changes in the core."""

    endpoint: Endpoint
    destination: Address
    traffic: Traffic


def _permit(attached: _Attached, candidate: Candidate, stream: int) -> None:
    """Let a remote candidate in at an endpoint that it can form a pair with."""
    is_of_component = attached.component == (stream, candidate.component)
    if is_of_component and attached.endpoint.base.transport is candidate.transport.counterpart:
        attached.endpoint.permit(candidate.address)


class Session:
    """One core, its endpoints and its time.

    Args:
        core: the agent that decides.
        components: its (stream, component) pairs.
        nursery: where the endpoints' tasks run; its end ends them.

    Attributes:
        core: the agent that decides; whoever calls it calls `flush` after.
        events: what the core tells, except for what to send.
        queries: Binding requests to servers.

    """

    def __init__(
        self, core: IceAgent, components: list[tuple[int, int]], nursery: trio.Nursery
    ) -> None:
        self.core = core
        self.events: Broadcast[Event] = Broadcast()
        self.queries = BindingQueries()
        self.is_closed = False
        self._nursery = nursery
        self._attached: dict[Base, _Attached] = {}
        self._inboxes = {component: Inbox() for component in components}
        self._traffic: dict[tuple[Base, Address], Traffic] = {}
        self._ways: dict[tuple[int, int], _Way] = {}
        self._changed = trio.lowlevel.ParkingLot()
        self._timer = Timer()
        self._core_at = self._alarm_at = math.inf
        self._alarm: Callable[[], None] | None = None
        self._watch: Callable[[AgentState], None] | None = None

    # Endpoints

    def attach(self, endpoint: Endpoint, component: int, stream: int) -> trio.Event:
        """Receive from an endpoint, on which candidates of that component are based.

        Returns:
            An event that is set when nothing more will come from it.

        """
        attached = _Attached(endpoint, (stream, component), trio.CancelScope())
        self._attached[endpoint.base] = attached
        for candidate in self.core.remote_candidates(stream):
            _permit(attached, candidate, stream)
        self._nursery.start_soon(self._run, attached)
        return attached.ended

    def detach(self, base: Base) -> None:
        """Forget an endpoint and every pair of it; its owner closes it."""
        attached = self._attached.pop(base, None)
        if attached is not None:
            attached.scope.cancel()
            attached.ended.set()
            self.core.remove_local_base(base, trio.current_time())
            self.flush()

    def permit(self, candidate: Candidate, stream: int) -> None:
        """Let a remote candidate's packets in at every relay, before the first check goes out.

        Otherwise the peer's checks would be dropped at the relay until ours have gone out, and
        two agents that use relays alone would lose a retransmission timeout by it.
        """
        for attached in self._attached.values():
            _permit(attached, candidate, stream)

    async def _run(self, attached: _Attached) -> None:
        with attached.scope:
            if attached.endpoint.serves:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(attached.endpoint.serve)
                    await self._receive(attached)
                    nursery.cancel_scope.cancel()
            else:
                await self._receive(attached)
        # Ended by itself: its allocation is gone, for one. Pairs of it are of no use.
        if self._attached.get(attached.endpoint.base) is attached:
            self.detach(attached.endpoint.base)

    async def _receive(self, attached: _Attached) -> None:
        endpoint, inbox = attached.endpoint, self._inboxes[attached.component]
        while True:
            try:
                packets = await endpoint.receive_many()
            except IceError as error:
                _log.debug("%s ended: %s", endpoint.base, error)
                return
            for data, source in packets:
                if source is attached.valid_source and data and data[0] > _MAX_STUN_FIRST_BYTE:
                    self._count_received(attached.traffic, data)
                    inbox.put(data)
                else:
                    self._take(data, source, attached, inbox)
            inbox.hand_on()

    def _take(self, data: bytes | None, source: Address, attached: _Attached, inbox: Inbox) -> None:
        """Give a packet to whom it is for."""
        base = attached.endpoint.base
        now = trio.current_time()
        if data is None:
            self.core.transport_failed(base, source, now)
            self.flush()
        elif packet_kind(data) is PacketKind.STUN:
            if not self.queries.receive(data, source):
                if not self.core.receive(data, base, source, now):
                    self._deliver(data, source, attached, inbox)
                self.flush()
        else:
            self._deliver(data, source, attached, inbox)

    def _deliver(self, data: bytes, source: Address, attached: _Attached, inbox: Inbox) -> None:
        # RFC 8445 §12.2, §19.3: nothing from where no check has succeeded.
        base = attached.endpoint.base
        if self.core.is_valid_source(base, source):
            attached.valid_source = source
            attached.traffic = self._traffic_on(base, source)
            self._count_received(attached.traffic, data)
            inbox.put(data)

    # Time and outputs

    async def keep_time(self) -> None:
        """Wake the core and who else asked for it at their deadlines, until cancelled."""
        while True:
            await self._timer.wait()
            if trio.current_time() >= self._core_at:
                self.core.on_deadline(trio.current_time())
                self.flush()
            if trio.current_time() >= self._alarm_at and self._alarm is not None:
                self._alarm_at = math.inf
                self._alarm()

    def set_alarm(self, deadline: float, alarm: Callable[[], None]) -> None:
        """Have a function called at a time; it replaces the one before. Runs per packet."""
        self._alarm = alarm
        self._alarm_at = deadline
        self._timer.set(min(deadline, self._core_at))

    def flush(self) -> None:
        """Do what the core has put out; to be called after every call to it."""
        self._ways.clear()
        for attached in self._attached.values():
            attached.valid_source = None
        changed = False
        while outputs := self.core.take_outputs():
            for output in outputs:
                if isinstance(output, Transmit):
                    self._transmit(output)
                else:
                    changed = True
                    self.events.publish(output)
        deadline = self.core.next_deadline()
        self._core_at = math.inf if deadline is None else deadline
        self._timer.set(min(self._core_at, self._alarm_at))
        if changed:
            self._wake()
            if self._watch is not None:
                self._watch(self.core.state)

    def _transmit(self, transmit: Transmit) -> None:
        attached = self._attached.get(transmit.base)
        if attached is None or attached.endpoint.send_now(transmit.data, transmit.destination):
            return
        self.core.transport_failed(transmit.base, transmit.destination, trio.current_time())

    def _wake(self) -> None:
        self._changed.unpark_all()

    # The application

    async def wait_connected(self) -> None:
        """Return once every component has a selected pair.

        Raises:
            ConnectError: the agent failed instead.
            AgentClosedError: its block was left.

        """
        await trio.lowlevel.checkpoint()
        while self.core.state not in {AgentState.CONNECTED, AgentState.COMPLETED}:
            self._check_open()
            if self.core.state is AgentState.FAILED:
                raise ConnectError("no candidate pair works, or consent was lost")
            await self._changed.park()

    async def send(self, data: bytes, component: int, stream: int) -> None:
        """Send on the selected pair. Runs per packet.

        Raises:
            NotConnectedError: no pair may be sent on.
            AgentClosedError: the agent's block was left.
            PacketTooLongError: the packet is too long for the pair's transport.

        """
        self._check_open()
        pair = self.core.send_pair(component, stream)
        attached = self._attached.get(pair.base) if pair else None
        if pair is None or attached is None:
            raise NotConnectedError(f"component {component} has no pair to send on")
        traffic = self._traffic_on(pair.base, pair.destination)
        await attached.endpoint.send_to(data, pair.destination)
        traffic.packets_sent += 1
        traffic.bytes_sent += len(data)

    def send_now(self, data: bytes, component: int, stream: int) -> bool:
        """Send on the selected pair without waiting; return whether there is one."""
        way = self._ways.get((component, stream)) or self._find_way(component, stream)
        if way is None:
            return False
        way.endpoint.send_now(data, way.destination)
        traffic = way.traffic
        traffic.packets_sent += 1
        traffic.bytes_sent += len(data)
        return True

    def _find_way(self, component: int, stream: int) -> _Way | None:
        pair = None if self.is_closed else self.core.send_pair(component, stream)
        attached = self._attached.get(pair.base) if pair else None
        if pair is None or attached is None:
            return None
        traffic = self._traffic_on(pair.base, pair.destination)
        way = _Way(attached.endpoint, pair.destination, traffic)
        self._ways[component, stream] = way
        return way

    def hand_to(self, take: Callable[[list[bytes]], None], component: int, stream: int) -> None:
        """Have a function take the packets that are not STUN, all that came together at a time."""
        inbox = self._inboxes[stream, component]
        inbox.take = take
        inbox.hand_on()

    def watch(self, tell: Callable[[AgentState], None]) -> None:
        """Have a function told the state, now and whenever anything has happened."""
        self._watch = tell
        tell(self.core.state)

    async def receive(self, component: int, stream: int) -> bytes:
        """Return the next packet that is not STUN. Runs per packet.

        Raises:
            AgentClosedError: the agent's block was left.

        """
        return (await self._filled_inbox(component, stream)).packets.pop(0)

    async def receive_many(self, component: int, stream: int) -> list[bytes]:
        """Return all packets that are here and not STUN, at least one.

        Raises:
            AgentClosedError: the agent's block was left.

        """
        inbox = await self._filled_inbox(component, stream)
        packets, inbox.packets = inbox.packets, []
        return packets

    async def _filled_inbox(self, component: int, stream: int) -> Inbox:
        inbox = self._inboxes[stream, component]
        await trio.lowlevel.checkpoint()
        while not inbox.packets:
            self._check_open()
            await inbox.wait()
        return inbox

    def traffic(self, base: Base, remote: Address) -> Traffic:
        """Return what was counted on a pair."""
        return attrs.evolve(self._traffic.get((base, remote), Traffic()))

    def dropped(self, component: int, stream: int) -> int:
        """Return how many packets `receive` was too slow for."""
        return self._inboxes[stream, component].dropped

    @staticmethod
    def _count_received(traffic: Traffic | None, data: bytes) -> None:
        if traffic is not None:
            traffic.packets_received += 1
            traffic.bytes_received += len(data)

    def _traffic_on(self, base: Base, remote: Address) -> Traffic:
        key = (base, remote)
        traffic = self._traffic.get(key)
        if traffic is None:
            if len(self._traffic) >= MAX_TRAFFIC_ROWS:
                self._traffic.pop(next(iter(self._traffic)))
            traffic = self._traffic[key] = Traffic()
        return traffic

    def close(self) -> None:
        """End it: who waits gets `AgentClosedError`."""
        self.is_closed = True
        self.core.close()
        self.flush()
        self.events.close()
        for inbox in self._inboxes.values():
            inbox.wake()
        self._wake()

    def _check_open(self) -> None:
        if self.is_closed:
            raise AgentClosedError("the agent is closed")
