"""Gathers candidates: host and server-reflexive here, relayed in `relay_gathering`.

RFC 8445 §5.1.1. Every server is asked by a task of its own, for each of the agent's sockets, so
that none of them can hold up another; host candidates wait for nobody. The sockets that candidates
are based on live in tasks here too, until their address goes or the agent ends.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable

import attrs
import trio

from ice_client.candidate_log import CandidateLog
from ice_client.core import (
    AgentState,
    Base,
    Candidate,
    CandidateType,
    Foundations,
    Transport,
    local_candidate,
    local_preferences,
)
from ice_client.endpoint import Endpoint, open_udp_endpoint, source_towards
from ice_client.errors import IceError
from ice_client.interfaces import LocalAddress, local_addresses
from ice_client.mdns import Mdns, random_name
from ice_client.netlink import watch_network
from ice_client.options import AgentOptions, Policy
from ice_client.pending import Pending, Ticket
from ice_client.relay_gathering import HIDDEN, RelayGatherer
from ice_client.server_addresses import ServerAddresses, is_stun
from ice_client.session import Session
from ice_client.tcp import tcp_endpoint
from stun import Address
from stun.uri import StunUri

KEEPALIVE = 15.0
"""Seconds between Binding requests that keep a mapping alive until a pair uses it
(RFC 8445 §11)."""
PACE = 0.005
"""Seconds between new transactions of one agent: the least that RFC 8445 §14.2 allows. Servers are
few, and connecting waits for them."""
MAX_FAILURES = 64

_PROBES = (Address.parse("192.0.2.1"), Address.parse("2001:db8::1"))
"""Never sent to: asking for the route tells which address is the host's main one."""
_log = logging.getLogger(__name__)

Component = tuple[int, int]
"""Stream, component."""


@attrs.frozen(slots=True)
class ServerFailure:
    """A server gave nothing.

    Attributes:
        uri: the server's.
        local: the address it was asked from; None if that was not come to.
        reason: why, for people.

    """

    uri: StunUri
    local: Address | None
    reason: str


class Gatherer:
    """Gathers for one agent, generation after generation.

    Args:
        session: takes endpoints and candidates.
        options: what to gather.
        components: for which (stream, component) pairs.
        mdns: publishes names if `options.mdns`.
        nursery: where tasks of its run; they end before it does.

    Attributes:
        log: the candidates of this generation.
        failures: servers that gave nothing, the latest `MAX_FAILURES`.

    """

    def __init__(
        self,
        session: Session,
        options: AgentOptions,
        components: list[Component],
        mdns: Mdns | None,
        nursery: trio.Nursery,
    ) -> None:
        self.session = session
        self.options = options
        self.log = CandidateLog()
        self.failures: list[ServerFailure] = []
        self.foundations = Foundations()
        self.servers = ServerAddresses()
        self._components = components
        self._mdns = mdns
        self._pending = Pending(self._all_gathered)
        self._relays = RelayGatherer(self)
        self._addresses: dict[Address, list[Callable[[], None]]] = {}
        self._preferences: dict[Address, int] = {}
        self._names: dict[Address, str] = {}
        self._live: list[tuple[int, Candidate]] = []
        self._paced_until = float("-inf")
        self._nursery = nursery
        # One looks at the network at a time: a restart may come while a change is followed.
        self._looking = trio.Lock()

    async def run(self) -> None:
        """Gather, then follow the network's changes, until cancelled."""
        try:
            async with watch_network() as changes:
                async with self._looking:
                    await self._gather_new()
                async for _ in changes:
                    await self._network_changed()
        finally:
            for address in list(self._addresses):
                self._close(address)

    async def restart(self) -> None:
        """Begin a new generation: with all that still lives at once, then with what is new."""
        self.log = self.log.succeed()
        live, self._live = self._live, []
        ticket = self._pending.open()
        for stream, candidate in live:
            self.tell(stream, candidate)
        await self._network_changed(restarted=True)
        ticket.close()

    # What the parts of gathering share

    def tell(self, stream: int, candidate: Candidate) -> None:
        """Give a candidate to the core, and to the peer if the core has use for it."""
        core = self.session.core
        fragment = core.local_credentials.username_fragment
        candidate = attrs.evolve(candidate, username_fragment=fragment)
        self._live.append((stream, candidate))
        if core.add_local_candidate(candidate, trio.current_time(), stream):
            self.log.add(stream, candidate)
        self.session.flush()

    def attach(self, endpoint: Endpoint, component: Component) -> trio.Event:
        """Receive from an endpoint; see `Session.attach`."""
        return self.session.attach(endpoint, component[1], component[0])

    def detach(self, base: Base) -> None:
        """Forget an endpoint and its candidates."""
        self._live = [each for each in self._live if each[1].base != base]
        self.session.detach(base)

    def failed(self, uri: StunUri, local: Address | None, reason: object) -> None:
        """Note that a server gave nothing."""
        _log.debug("%s gave nothing to %s: %s", uri, local, reason)
        del self.failures[: 1 - MAX_FAILURES]
        self.failures.append(ServerFailure(uri, local, str(reason)))

    async def pace(self) -> None:
        """Return when a new transaction may start (RFC 8445 §14.2)."""
        self._paced_until = max(trio.current_time(), self._paced_until) + PACE
        await trio.sleep_until(self._paced_until - PACE)

    def local_addresses(self) -> list[Address]:
        """Return the addresses in use, the most preferred first; ports are 0."""
        return sorted(self._addresses, key=lambda each: -self._preferences[each])

    # Addresses

    async def _gather_new(self, addresses: list[LocalAddress] | None = None) -> None:
        """Gather on the addresses that are new, and from the TURN servers that gave nothing."""
        ticket = self._pending.open()
        try:
            if addresses is None:
                addresses = await local_addresses(self.options.interfaces)
            self.servers.forget_failures()
            new = [each.address for each in addresses if each.address not in self._addresses]
            self._set_preferences(new)
            for address in new:
                await self._use(address)
            self._relays.start(self._nursery, self._components, self._pending)
        finally:
            ticket.close()

    async def _use(self, address: Address) -> None:
        closers = self._addresses[address] = []
        if self.options.policy is Policy.RELAY:
            return
        if self.options.mdns and self._mdns is not None:
            name = random_name()
            with contextlib.suppress(IceError):  # too many names: the address is not told then
                await self._mdns.publish(name, address)
                self._names[address] = name
        for component in self._components:
            self._use_udp(address, component, closers)
            for transport in self.options.tcp_types if self.options.policy is Policy.ALL else ():
                scope = trio.CancelScope()
                closers.append(scope.cancel)
                ticket = self._pending.open()
                self._nursery.start_soon(
                    self._tcp_host, transport, address, component, ticket, scope
                )

    def _close(self, address: Address) -> None:
        """Close an address's sockets."""
        for close in self._addresses.pop(address):
            close()

    async def _network_changed(self, *, restarted: bool = False) -> None:
        async with self._looking:
            await self._follow_network(restarted=restarted)

    async def _follow_network(self, *, restarted: bool) -> None:
        addresses = await local_addresses(self.options.interfaces)
        there = {each.address for each in addresses}
        for address in [each for each in self._addresses if each not in there]:
            _log.debug("%s is gone", address.host)
            self._close(address)
            del self._preferences[address]
            name = self._names.pop(address, None)
            if name is not None and self._mdns is not None:
                await self._mdns.withdraw(name)
        self._relays.keep_only(there)
        # After end-of-candidates nothing may be added to a generation (RFC 8838 §8.2).
        if restarted or not self.log.is_ended:
            await self._gather_new(addresses)

    def _set_preferences(self, new: Iterable[Address]) -> None:
        """Rank new addresses below those in use: what was told to the peer can't change."""
        main = {source_towards(probe) for probe in _PROBES}
        ranked = sorted(new, key=lambda each: each not in main)
        below = min(self._preferences.values(), default=None)
        preferences = local_preferences(ranked)
        lowered = max(preferences, default=0) - below + 1 if below is not None else 0
        for address, preference in zip(ranked, preferences, strict=True):
            self._preferences[address] = max(preference - lowered, 0)

    # Host and server-reflexive candidates

    def _use_udp(
        self, address: Address, component: Component, closers: list[Callable[[], None]]
    ) -> None:
        """Open an address's UDP socket, and gather from it."""
        try:
            endpoint = open_udp_endpoint(address)
        except OSError as error:  # the address is gone already, or not usable yet
            _log.debug("%s can't be bound: %s", address.host, error)
            return
        self.attach(endpoint, component)
        scope = trio.CancelScope()

        def close() -> None:
            scope.cancel()
            self.detach(endpoint.base)
            endpoint.close()

        closers.append(close)
        if self.options.policy is Policy.ALL:
            self._tell_host(endpoint.base, address, component)
        if uris := self._stun_uris():
            tickets = [self._pending.open() for _ in uris]
            self._nursery.start_soon(self._ask_servers, endpoint, component, uris, tickets, scope)

    async def _ask_servers(
        self,
        endpoint: Endpoint,
        component: Component,
        uris: list[StunUri],
        tickets: list[Ticket],
        scope: trio.CancelScope,
    ) -> None:
        """Gather server-reflexive candidates, and keep their mappings."""
        with scope:
            async with trio.open_nursery() as nursery:
                for uri, ticket in zip(uris, tickets, strict=True):
                    nursery.start_soon(self._server_reflexive, endpoint, uri, component, ticket)

    async def _tcp_host(
        self,
        transport: Transport,
        address: Address,
        component: Component,
        ticket: Ticket,
        scope: trio.CancelScope,
    ) -> None:
        """Keep an address's socket of a TCP type until it is gone."""
        with scope, ticket, contextlib.ExitStack() as stack:
            try:
                endpoint: Endpoint = stack.enter_context(tcp_endpoint(transport, address))
            except OSError as error:
                _log.debug("%s can't be bound: %s", address.host, error)
                return
            self.attach(endpoint, component)
            stack.callback(self.detach, endpoint.base)
            self._tell_host(endpoint.base, address, component)
            ticket.close()
            await trio.sleep_forever()

    def _stun_uris(self) -> list[StunUri]:
        uris = [uri for server in self.options.servers for uri in server.uris]
        # A service's stun: and turn: URIs are often on one port; once is enough.
        chosen: dict[tuple[str, int], StunUri] = {}
        for uri in uris:
            if is_stun(uri):
                chosen.setdefault((uri.host, uri.effective_port), uri)
        return list(chosen.values())

    def _tell_host(self, base: Base, address: Address, component: Component) -> None:
        name = self._names.get(address)
        if self.options.mdns and name is None:
            return  # its name could not be published, and it is not to be told otherwise
        candidate = local_candidate(
            CandidateType.HOST,
            base.address,
            self.foundations,
            component=component[1],
            transport=base.transport,
            local_preference=self._preferences.get(address, 0),
            host_name=name,
        )
        self.tell(component[0], candidate)

    async def _server_reflexive(
        self, endpoint: Endpoint, uri: StunUri, component: Component, ticket: Ticket
    ) -> None:
        with ticket:
            local = endpoint.base.address
            try:
                with trio.fail_after(self.options.server_timeout):
                    server = await self.servers.stun_address(uri, local.family)
                    if server is None:
                        return
                    await self.pace()
                    mapped = await self.session.queries.ask(endpoint, server)
            except (IceError, trio.TooSlowError) as error:
                self.failed(uri, local, str(error) or "it did not answer in time")
                return
            hidden = self.options.mdns or self.options.policy is not Policy.ALL
            candidate = local_candidate(
                CandidateType.SERVER_REFLEXIVE,
                mapped,
                self.foundations,
                component=component[1],
                base=local,
                server=server,
                related_address=HIDDEN[mapped.family] if hidden else local,
                local_preference=self._preferences.get(local.with_port(0), 0),
            )
            self.tell(component[0], candidate)
        await self._keep_mapping(endpoint, server)

    async def _keep_mapping(self, endpoint: Endpoint, server: Address) -> None:
        """Keep a NAT's mapping until pairs do, by their checks or consent (RFC 8445 §11)."""
        while True:
            await trio.sleep(KEEPALIVE)
            if self.session.core.state not in {AgentState.CONNECTED, AgentState.COMPLETED}:
                with contextlib.suppress(IceError), trio.move_on_after(KEEPALIVE):
                    await self.session.queries.ask(endpoint, server)

    def _all_gathered(self) -> None:
        if not (self.options.continual or self.log.is_ended or self.session.is_closed):
            self.session.core.end_of_local_candidates(trio.current_time())
            self.session.flush()
            self.log.end()
