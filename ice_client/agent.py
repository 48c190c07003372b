"""The ICE agent of trio's users: `open_ice_agent` and what it gives."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence

import attrs
import trio

from ice_client.agent_views import AgentStats, PairStats, States
from ice_client.broadcast import Subscription
from ice_client.candidate_log import LocalCandidates
from ice_client.core import (
    AgentState,
    Candidate,
    Credentials,
    Event,
    IceAgent,
    Role,
    SelectedPair,
    parse_candidate,
)
from ice_client.errors import AgentClosedError
from ice_client.gathering import Gatherer, ServerFailure
from ice_client.interfaces import local_addresses
from ice_client.mdns import Mdns, is_mdns_name, open_mdns
from ice_client.options import AgentOptions
from ice_client.remote_names import RemoteNames
from ice_client.server import IceServer
from ice_client.session import Session
from stun import Address


class Agent:
    """An ICE session. Made by `open_ice_agent`, and closed with its block.

    Streams count from 0, components from 1; most sessions have one of each.
    """

    def __init__(
        self, core: IceAgent, options: AgentOptions, nursery: trio.Nursery, mdns: Mdns | None
    ) -> None:
        components = [
            (stream, component)
            for stream, count in enumerate(options.settings.components)
            for component in range(1, count + 1)
        ]
        self._core = core
        self._components = components
        self._session = Session(core, components, nursery)
        self._gatherer = Gatherer(self._session, options, components, mdns, nursery)
        self._nursery = nursery
        self._names = RemoteNames(mdns, options.interfaces, nursery)
        self._remote_ended = False
        self._generation = 0

    # Signalling

    @property
    def role(self) -> Role:
        """Controlling or controlled; a conflict may have changed it."""
        return self._core.role

    @property
    def local_credentials(self) -> Credentials:
        """What to tell the peer: user name fragment and password of this generation."""
        return self._core.local_credentials

    def local_candidates(self, stream: int = 0) -> LocalCandidates:
        """Return an async iterator over a stream's candidates, from this generation's first on.

        It ends when gathering has: that is the time to tell end-of-candidates (RFC 8838 §13).
        With `AgentOptions.continual` it ends with the generation or the agent alone. Write them
        for the peer with `ice_client.format_candidate`.
        """
        return LocalCandidates(self._gatherer.log, stream)

    @property
    def gathered(self) -> tuple[Candidate, ...]:
        """The candidates that were gathered so far in this generation, of all streams."""
        return tuple(candidate for _, candidate in self._gatherer.log.candidates)

    @property
    def server_failures(self) -> tuple[ServerFailure, ...]:
        """The servers that gave nothing, and why."""
        return tuple(self._gatherer.failures)

    def set_remote_credentials(
        self,
        credentials: Credentials,
        *,
        lite: bool = False,
        renomination: bool = False,
    ) -> None:
        """Start checks with what the peer told; see `IceAgent.set_remote_credentials`.

        Raises:
            AgentClosedError: the agent's block was left.

        """
        self._check_open()
        self._core.set_remote_credentials(
            credentials, trio.current_time(), lite=lite, renomination=renomination
        )
        self._session.flush()

    async def add_remote_candidate(
        self, candidate: Candidate | str | None, stream: int = 0
    ) -> bool:
        """Take one of the peer's candidates, or None for end-of-candidates.

        A name under `.local` is asked for on the link, in the background (RFC 6762); other host
        names are not used, as a peer could have us ask for any name (RFC 8839 §5.1).

        Returns:
            Whether it is of use, as far as that is known yet.

        Raises:
            CandidateError: the text is no candidate, or of a kind that is not known. RFC 8839
                §5.1 has it ignored.
            ValueError: there is no such stream or component.
            AgentClosedError: the agent's block was left.

        """
        await trio.lowlevel.checkpoint()
        self._check_open()
        if candidate is None:
            self._remote_ended = True
            self._end_remote_candidates()
            return True
        if isinstance(candidate, str):
            candidate = parse_candidate(candidate)
        if not candidate.needs_resolution:
            return self._add_remote(candidate, stream)
        # Raises now what would otherwise be raised in the background, where nobody could take it.
        self._core.component_state(candidate.component, stream)
        return is_mdns_name(candidate.host_name or "") and self._add_named(candidate, stream)

    async def restart(self, credentials: Credentials | None = None) -> None:
        """Begin a new generation: new credentials, candidates told anew (RFC 8445 §9).

        Tell the peer `local_credentials` and `local_candidates` again, and give its new ones.
        The selected pairs stay in use until the new generation has its own.

        Args:
            credentials: ours, where an offer has told them already; else random ones are made.

        Raises:
            AgentClosedError: the agent's block was left.
            ValueError: username fragment or password are those in use.

        """
        self._check_open()
        credentials = credentials or Credentials.generate(secrets.token_bytes)
        self._core.restart(credentials, trio.current_time())
        self._generation += 1
        self._remote_ended = False
        self._session.flush()
        await self._gatherer.restart()

    def _add_remote(self, candidate: Candidate, stream: int) -> bool:
        used = self._core.add_remote_candidate(candidate, trio.current_time(), stream)
        if used:
            self._session.permit(candidate, stream)
        self._session.flush()
        return used

    def _add_named(self, candidate: Candidate, stream: int) -> bool:
        """Ask for a candidate's name, and add the candidate when its address is known."""
        generation = self._generation

        def tell(address: Address | None) -> None:
            if address is not None and generation == self._generation:
                resolved = candidate.resolved(address)
                if not resolved.needs_resolution:  # whoever answers may well say 0.0.0.0
                    self._add_remote(resolved, stream)
            self._end_remote_candidates()

        return self._names.resolve(candidate.host_name or "", tell)

    def _end_remote_candidates(self) -> None:
        # A candidate whose name is being asked for is still to come.
        if self._remote_ended and not self._names.resolving and not self._session.is_closed:
            self._core.end_of_remote_candidates(trio.current_time())
            self._session.flush()

    # State

    @property
    def state(self) -> AgentState:
        """Where the agent is."""
        return self._core.state

    def states(self) -> States:
        """Return an async iterator over the agent's states, beginning with the current one.

        It ends after `CLOSED`, when the block is left.
        """
        return States(self._core.state, self._session.events.subscribe())

    def events(self) -> Subscription[Event]:
        """Return an async iterator over all that happens from now on: see `ice_client.core`.

        A reader that falls far behind loses the oldest.
        """
        return self._session.events.subscribe()

    async def connected(self) -> None:
        """Return once every component has a selected pair.

        Raises:
            ConnectError: the agent failed instead.
            AgentClosedError: its block was left.

        """
        await self._session.wait_connected()

    @property
    def selected_pair(self) -> SelectedPair | None:
        """The first component's selected pair, or None."""
        return self.selected_pair_of()

    def selected_pair_of(self, component: int = 1, stream: int = 0) -> SelectedPair | None:
        """Return a component's selected pair, or None."""
        return self._core.selected_pair(component, stream)

    def stats(self) -> AgentStats:
        """Return what was counted, of every pair."""
        pairs = [
            PairStats(pair, self._session.traffic(pair.local.base, pair.remote.address))
            for pair in self._core.pair_statistics()
        ]
        dropped = {each: self._session.dropped(each[1], each[0]) for each in self._components}
        return AgentStats(tuple(pairs), attrs.evolve(self._core.counters), dropped)

    # Data

    async def send(self, data: bytes, component: int = 1, stream: int = 0) -> None:
        """Send a packet on the selected pair, or the best valid one before. Runs per packet.

        Raises:
            NotConnectedError: no pair may be sent on, yet or any more.
            AgentClosedError: the agent's block was left.
            PacketTooLongError: the packet is too long for the pair's transport.

        """
        await self._session.send(data, component, stream)

    def send_now(self, data: bytes, component: int = 1, stream: int = 0) -> bool:
        """Send a packet as `send` does, or drop it if that would take waiting. Runs per packet.

        For callers that pace themselves, or send again what is lost, and have many packets.

        Returns:
            False if there is no pair to send on.

        """
        return self._session.send_now(data, component, stream)

    async def receive(self, component: int = 1, stream: int = 0) -> bytes:
        """Return the next packet of the peer's. Runs per packet.

        Raises:
            AgentClosedError: the agent's block was left.

        """
        return await self._session.receive(component, stream)

    async def receive_many(self, component: int = 1, stream: int = 0) -> list[bytes]:
        """Return all packets of the peer's that are here, at least one.

        Raises:
            AgentClosedError: the agent's block was left.

        """
        return await self._session.receive_many(component, stream)

    def hand_to(
        self, take: Callable[[list[bytes]], None], component: int = 1, stream: int = 0
    ) -> None:
        """Have a function take the peer's packets from now on, in place of `receive`.

        It is called with all that came together, by the agent's own task, and must not raise.
        """
        self._session.hand_to(take, component, stream)

    def set_alarm(self, deadline: float, alarm: Callable[[], None]) -> None:
        """Have a function called at a time, which replaces the one before. Runs per packet.

        It spares who uses `hand_to` a task of its own for time, and must not raise.
        """
        self._session.set_alarm(deadline, alarm)

    def hand_candidates_to(self, tell: Callable[[Candidate | None], None]) -> None:
        """Have a function told every candidate of the first stream, in place of `local_candidates`.

        It is told None where a generation has no more, unless another has begun; it must not
        raise.
        """
        self._gatherer.log.hand_to(tell)

    def watch(self, tell: Callable[[AgentState], None]) -> None:
        """Have a function told the state at once, in place of `states`.

        It is called now, and whenever anything has happened, be the state another one or not; by
        the agent's own tasks or whoever calls the agent. It must not raise.
        """
        self._session.watch(tell)

    def _check_open(self) -> None:
        if self._session.is_closed:
            raise AgentClosedError("the agent is closed")

    # Tasks

    def start(self) -> None:
        """Gather and keep time from now on; `open_ice_agent` calls it."""
        self._nursery.start_soon(self._session.keep_time)
        self._nursery.start_soon(self._gatherer.run)

    def close(self) -> None:
        """End it; leaving `open_ice_agent`'s block does."""
        self._session.close()
        self._gatherer.log.end()


@contextlib.asynccontextmanager
async def open_ice_agent(
    servers: Sequence[IceServer] = (),
    *,
    controlling: bool,
    options: AgentOptions | None = None,
    credentials: Credentials | None = None,
    mdns: Mdns | None = None,
) -> AsyncIterator[Agent]:
    """Gather candidates and connect, for the length of the block.

    Leaving it, or being cancelled in it, closes every socket and deletes every allocation.

    Args:
        servers: STUN and TURN servers, beside those of `options`.
        controlling: whether this side nominates: usually who sent the offer.
        options: what and how to gather.
        credentials: ours, where they are agreed upon in advance; else random ones are made.
        mdns: one for all agents of a program; else each opens its own when it needs one.

    Yields:
        The agent, which gathers already.

    """
    options = options or AgentOptions()
    options = attrs.evolve(options, servers=[*servers, *options.servers])
    core = IceAgent(
        Role.CONTROLLING if controlling else Role.CONTROLLED,
        credentials or Credentials.generate(secrets.token_bytes),
        secrets.token_bytes,
        options.settings,
    )
    own: contextlib.AbstractAsyncContextManager[Mdns | None]
    if mdns is None and options.mdns:
        own = open_mdns(await local_addresses(options.interfaces))
    else:
        own = contextlib.nullcontext(mdns)
    async with own as mdns:
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            agent = Agent(core, options, nursery, mdns)
            agent.start()
            try:
                yield agent
            except BaseException as error:
                failure = error  # to be raised as it is: the tasks are no business of the caller's
            agent.close()
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
