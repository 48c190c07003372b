"""Names of servers, looked up once for an agent however many sockets ask (RFC 5928)."""

from __future__ import annotations

from collections import defaultdict

import attrs
import trio

from ice_client.server import IceServer
from ice_client.turn import ResolutionError, Transport, TurnServer
from ice_client.turn.resolve import ResolvedServer, resolve_uri
from stun import Address, Family
from stun.uri import StunUri


def is_stun(uri: StunUri) -> bool:
    """Whether to ask it for mapped addresses, over UDP.

    `turn:` is asked as well: every TURN server answers Binding (RFC 8656 §4), and a service
    is often told by its TURN URI alone. Over TLS or TCP a server would see another address
    than checks over UDP come from.
    """
    return Transport.of_uri(uri) is Transport.UDP


class ServerAddresses:
    """What names resolved to, failures included: a resolver that stalls does so once."""

    def __init__(self) -> None:
        self._locks: defaultdict[StunUri, trio.Lock] = defaultdict(trio.Lock)
        self._ways: dict[StunUri, tuple[ResolvedServer, ...] | ResolutionError] = {}

    async def stun_address(self, uri: StunUri, family: Family) -> Address | None:
        """Return where to send a Binding request over UDP; None if it has but the other family.

        Raises:
            ResolutionError: the server has no address at all.

        """
        for way in await self._resolve(uri):
            if way.server.transport is Transport.UDP and way.address.family is family:
                return way.address
        return None

    async def turn_ways(self, uri: StunUri, server: IceServer) -> list[TurnServer]:
        """Return the ways to a TURN server, the best first.

        Raises:
            ResolutionError: there is none.

        """
        # The certificate must be for the host that the URI names, not for what SRV records or
        # addresses it led to (RFC 5928 §3, RFC 6125).
        tls = attrs.evolve(server.tls, server_name=server.tls.server_name or uri.host)
        return [
            attrs.evolve(way.server, credentials=server.credentials, tls=tls)
            for way in await self._resolve(uri)
        ]

    def forget_failures(self) -> None:
        """Look names up again that were not found: the network has changed."""
        for uri in [uri for uri, ways in self._ways.items() if isinstance(ways, ResolutionError)]:
            del self._ways[uri]

    async def _resolve(self, uri: StunUri) -> tuple[ResolvedServer, ...]:
        async with self._locks[uri]:
            if uri not in self._ways:
                try:
                    self._ways[uri] = await resolve_uri(uri)
                except ResolutionError as error:
                    self._ways[uri] = error
        ways = self._ways[uri]
        if isinstance(ways, ResolutionError):
            raise ResolutionError(str(ways)) from ways
        return ways
