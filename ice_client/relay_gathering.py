"""Gathers relayed candidates (RFC 8445 §5.1.1.2, RFC 8656) and holds the allocations.

One allocation for each TURN URI and component. A name may stand for several addresses and
transports: the next is begun before the one before has failed, and the first allocation wins.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

import attrs
import trio

from ice_client.core import CandidateType, local_candidate
from ice_client.core.candidate import MAX_LOCAL_PREFERENCE
from ice_client.endpoint import source_towards
from ice_client.errors import IceError
from ice_client.options import Policy
from ice_client.pending import Pending, Ticket
from ice_client.relay_endpoint import RelaySplitter
from ice_client.server import IceServer
from ice_client.turn import AllocateOptions, Relay, Transport, TurnServer, open_relay
from stun import Address, Family
from stun.uri import StunUri

if TYPE_CHECKING:
    from ice_client.gathering import Component, Gatherer

HEAD_START = 0.5
"""Seconds that a way to a server has before the next one is tried beside it (RFC 8305 §5 has 250 ms
for a TCP handshake; an allocation takes two round trips more)."""
MAX_WAYS = 4
"""Ways tried of one URI."""
_COSTS = [Transport.UDP, Transport.DTLS, Transport.TCP, Transport.TLS]
"""The better transports first: a stream under datagrams holds them all up for one lost packet."""

HIDDEN = {
    Family.IPV4: Address.parse("0.0.0.0", 9),  # noqa: S104
    Family.IPV6: Address.parse("::", 9),
}
"""What RFC 8839 §5.1 has in place of a related address that is not to be told."""

_Key = tuple[StunUri, "Component"]


@attrs.define(slots=True, eq=False)
class _Race:
    """Several ways to one allocation."""

    uri: StunUri
    component: Component
    place: int
    ticket: Ticket
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    local: Address | None = None
    is_won: bool = False


class RelayGatherer:
    """Allocates for a `Gatherer`, and keeps what it got until its address goes."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._races: dict[_Key, _Race] = {}

    def start(self, nursery: trio.Nursery, components: list[Component], pending: Pending) -> None:
        """Ask every TURN server for an allocation that there is none of, nor one under way."""
        servers = [
            (server, uri)
            for server in self._gatherer.options.servers
            for uri in server.uris
            if uri.is_turn
        ]
        servers.sort(key=lambda each: _COSTS.index(Transport.of_uri(each[1])))
        for place, (server, uri) in enumerate(servers):
            for component in components:
                if (uri, component) not in self._races:
                    race = _Race(uri, component, place, pending.open())
                    self._races[uri, component] = race
                    nursery.start_soon(self._run, race, server)

    def keep_only(self, addresses: Collection[Address]) -> None:
        """Give up the allocations that were made from other addresses."""
        for race in self._races.values():
            if race.local is not None and race.local not in addresses:
                race.scope.cancel()

    async def _run(self, race: _Race, server: IceServer) -> None:
        try:
            with race.scope, race.ticket:
                await self._race(race, server)
        finally:
            del self._races[race.uri, race.component]

    async def _race(self, race: _Race, server: IceServer) -> None:
        timeout = self._gatherer.options.server_timeout
        try:
            with trio.fail_after(timeout):
                ways = await self._gatherer.servers.turn_ways(race.uri, server)
        except (IceError, trio.TooSlowError) as error:
            self._gatherer.failed(race.uri, None, error)
            return
        async with trio.open_nursery() as nursery:
            for way in ways[:MAX_WAYS]:
                ended = trio.Event()
                nursery.start_soon(self._try, race, way, ended)
                with trio.move_on_after(HEAD_START):
                    await ended.wait()
                if race.is_won:
                    return

    async def _try(self, race: _Race, way: TurnServer, ended: trio.Event) -> None:
        local: Address | None = None
        try:
            local = self._source(way)
            await self._hold(race, way, local, ended)
        except (IceError, OSError, trio.TooSlowError) as error:
            if not race.is_won:
                self._gatherer.failed(race.uri, local, str(error) or "no answer in time")
        finally:
            ended.set()

    def _source(self, way: TurnServer) -> Address:
        """Return the address to reach a server from: the kernel's choice, if it may be used."""
        remote = way.address
        if remote is None:
            raise IceError(f"{way} is no address")
        usual = source_towards(remote)
        usable = [each for each in self._gatherer.local_addresses() if each.family is remote.family]
        if usual in usable:
            return usual
        if not usable:
            raise IceError(f"no address to reach {way} from")
        return usable[0]

    async def _hold(self, race: _Race, way: TurnServer, local: Address, ended: trio.Event) -> None:
        gatherer = self._gatherer
        await gatherer.pace()
        with trio.fail_after(gatherer.options.server_timeout) as limit:
            async with open_relay(
                way,
                options=self._options(),
                bind=local,
                timing=gatherer.options.turn_timing,
            ) as relay:
                limit.deadline = math.inf
                if not race.is_won:
                    race.is_won, race.local = True, local
                    ended.set()
                    await self._use(race, relay)

    def _options(self) -> AllocateOptions:
        # A host without IPv6 has no peers that only IPv6 reaches, or none that need a relay's.
        families = {each.family for each in self._gatherer.local_addresses()}
        return AllocateOptions(both_families=Family.IPV6 in families)

    async def _use(self, race: _Race, relay: Relay) -> None:
        splitter = RelaySplitter(relay)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(splitter.run)
            over = trio.Event()
            for endpoint in splitter.endpoints:
                over = self._gatherer.attach(endpoint, race.component)
            try:
                for endpoint in splitter.endpoints:
                    self._tell(race, relay, endpoint.base.address)
                race.ticket.close()
                await over.wait()
            finally:
                for endpoint in splitter.endpoints:
                    self._gatherer.detach(endpoint.base)
            nursery.cancel_scope.cancel()

    def _tell(self, race: _Race, relay: Relay, address: Address) -> None:
        gatherer = self._gatherer
        mapped: Address | None = relay.mapped_address
        if gatherer.options.policy is Policy.RELAY or gatherer.options.mdns:
            mapped = None
        candidate = local_candidate(
            CandidateType.RELAYED,
            address,
            gatherer.foundations,
            component=race.component[1],
            server=relay.server_address,
            related_address=mapped or HIDDEN[address.family],
            # Families share a place; IPv6 stands a step above IPv4 in it.
            local_preference=MAX_LOCAL_PREFERENCE
            - 2 * race.place
            - (address.family is Family.IPV4),
        )
        gatherer.tell(race.component[0], candidate)
