"""From a server's name or URI to addresses (RFC 5928; RFC 8489 §8; RFC 7064, RFC 7065).

Look-ups run side by side wherever one does not need the other. Where a `turn:` or `turns:` URI says
neither port nor transport, NAPTR records decide, then SRV records, then the name's own addresses.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from typing import TypeVar

import attrs
import trio

from ice_client.turn.credentials import Credentials
from ice_client.turn.errors import ResolutionError
from ice_client.turn.lookup import RESOLVE_TIMEOUT, Lookup, SystemLookup, order_services
from ice_client.turn.naptr import Lead, follow
from ice_client.turn.server import TlsOptions, Transport, TurnServer
from stun import Address, AddressError, Family
from stun.uri import StunUri

T = TypeVar("T")

MOST_ADDRESSES = 32
"""Addresses returned for one name or URI."""
_SERVICES = {
    Transport.UDP: "_{}._udp",
    Transport.TCP: "_{}._tcp",
    Transport.TLS: "_{}s._tcp",
    Transport.DTLS: "_{}s._udp",  # RFC 7350 §4.6
}


_SYSTEM = SystemLookup()


@attrs.frozen(slots=True)
class ResolvedServer:
    """One way to a server.

    Attributes:
        server: with an IP literal as its host, and the URI's host as the certificate's name.
        address: the same.
        target: the host name that the address is of.
        from_srv: whether an SRV or NAPTR record named it.

    """

    server: TurnServer
    address: Address
    target: str
    from_srv: bool


async def resolve_host(
    host: str,
    port: int,
    *,
    family: Family | None = None,
    lookup: Lookup = _SYSTEM,
    timeout: float = RESOLVE_TIMEOUT,
) -> tuple[Address, ...]:
    """Return a host's addresses, IPv6 and IPv4 in turns (RFC 8305 §4); an IP literal's own.

    Args:
        host: a name or an IP literal.
        port: for the addresses.
        family: only of that one.
        lookup: whom to ask.
        timeout: seconds; what has come by then counts.

    Raises:
        ResolutionError: there are none.

    """
    with contextlib.suppress(AddressError):
        return (Address.parse(host, port),)
    families = [family] if family is not None else [Family.IPV6, Family.IPV4]
    found = await _gather([partial(lookup.addresses, host, each) for each in families], timeout)
    addresses = _interleave([addresses or () for addresses in found])
    if not addresses:
        raise ResolutionError(f"{host} has no address")
    return tuple(address.with_port(port) for address in addresses[:MOST_ADDRESSES])


async def resolve_uri(
    uri: StunUri | str,
    credentials: Credentials | None = None,
    tls: TlsOptions | None = None,
    *,
    transports: Sequence[Transport] = tuple(Transport),
    lookup: Lookup = _SYSTEM,
    timeout: float = RESOLVE_TIMEOUT,
    random_below: Callable[[int], int] = secrets.randbelow,
) -> tuple[ResolvedServer, ...]:
    """Return every way to the server of a URI, best first (RFC 5928 §3).

    Args:
        uri: `stun:`, `stuns:`, `turn:` or `turns:`.
        credentials: for the servers returned.
        tls: for the servers returned; their name to verify is the URI's host unless it says.
        transports: which may be used, in order of preference.
        lookup: whom to ask.
        timeout: seconds for each of two rounds: SRV and NAPTR records, then addresses.
        random_below: a random integer from 0 on, below its argument (for SRV weights).

    Raises:
        ResolutionError: no address was found, or no transport of the URI may be used.
        stun.uri.UriError: the text is no such URI.

    """
    parsed = StunUri.parse(uri) if isinstance(uri, str) else uri
    usable = [each for each in _transports_of(parsed) if each in transports]
    usable.sort(key=transports.index)
    if not usable:
        raise ResolutionError(f"{parsed}: its transport is not supported")
    targets = await _services_of(parsed, usable, lookup, timeout, random_below)
    from_srv = bool(targets)
    if not targets:
        # RFC 5928 §3, steps 1, 2 and the last of 3 and 4: the host itself.
        targets = [(parsed.host, parsed.effective_port, each) for each in usable]
    addresses = await _resolve_all({host for host, _, _ in targets}, lookup, timeout)
    options = tls or TlsOptions()
    if options.server_name is None:
        options = attrs.evolve(options, server_name=parsed.host)
    ways = [
        ResolvedServer(
            TurnServer(address.host, port, transport, credentials, options),
            address.with_port(port),
            host,
            from_srv,
        )
        for host, port, transport in targets
        for address in addresses.get(host, ())
    ]
    if not ways:
        raise ResolutionError(f"{parsed.host} has no address")
    return tuple(ways[:MOST_ADDRESSES])


def _transports_of(uri: StunUri) -> list[Transport]:
    """Return the transports a URI allows (RFC 5928 §3, table 1; RFC 7350 §4.6)."""
    plain, secure = [Transport.UDP, Transport.TCP], [Transport.TLS, Transport.DTLS]
    allowed = secure if uri.is_secure else plain
    if uri.transport is None:
        return allowed
    if uri.transport not in {"udp", "tcp"}:
        return []
    return [each for each in allowed if each.is_stream == (uri.transport == "tcp")]


async def _services_of(
    uri: StunUri,
    transports: Sequence[Transport],
    lookup: Lookup,
    timeout: float,
    random_below: Callable[[int], int],
) -> list[tuple[str, int, Transport]]:
    """Return what NAPTR or SRV records say; nothing where RFC 5928 §3 asks for none."""
    with contextlib.suppress(AddressError):
        Address.parse(uri.host)
        return []
    if uri.port is not None:
        return []
    kind = "turn" if uri.is_turn else "stun"
    leads = [
        Lead(f"{_SERVICES[each].format(kind)}.{uri.host}", each, is_service=True)
        for each in transports
    ]

    async def by_srv() -> list[tuple[str, int, Transport]]:
        return await _targets_of(leads, uri.effective_port, lookup, timeout, random_below)

    async def by_naptr() -> list[tuple[str, int, Transport]]:
        if not uri.is_turn or uri.transport is not None:
            return []  # STUN has no NAPTR records (RFC 8489 §8.1)
        found = []
        with trio.move_on_after(timeout):
            found = await follow(uri.host, transports, lookup)
        return await _targets_of(found, uri.effective_port, lookup, timeout, random_below)

    # Side by side: most names have no NAPTR records, and need not wait to be told so.
    naptr, srv = await _gather([by_naptr, by_srv], math.inf)
    return naptr or srv or []


async def _targets_of(
    leads: Sequence[Lead],
    port: int,
    lookup: Lookup,
    timeout: float,
    random_below: Callable[[int], int],
) -> list[tuple[str, int, Transport]]:
    """Ask for the SRV records of leads that are names of some; the others are hosts already."""
    names = list(dict.fromkeys(lead.name for lead in leads if lead.is_service))
    found = await _gather([partial(lookup.services, name) for name in names], timeout)
    ordered = {
        name: order_services(services or (), random_below)
        for name, services in zip(names, found, strict=True)
    }
    targets = []
    for lead in leads:
        if lead.is_service:
            targets += [(each.target, each.port, lead.transport) for each in ordered[lead.name]]
        else:
            targets.append((lead.name, port, lead.transport))
    return targets


async def _resolve_all(
    hosts: Iterable[str], lookup: Lookup, timeout: float
) -> dict[str, tuple[Address, ...]]:
    async def addresses_of(host: str) -> tuple[Address, ...]:
        with contextlib.suppress(ResolutionError):
            return await resolve_host(host, 0, lookup=lookup, timeout=timeout)
        return ()

    names = list(hosts)
    found = await _gather([partial(addresses_of, name) for name in names], timeout + 1)
    return dict(zip(names, (each or () for each in found), strict=True))


def _interleave(lists: Iterable[Sequence[Address]]) -> list[Address]:
    turns = zip_longest(*lists)
    return list(dict.fromkeys(each for turn in turns for each in turn if each is not None))


async def _gather(calls: Sequence[Callable[[], Awaitable[T]]], timeout: float) -> list[T | None]:
    """Run look-ups side by side; None for those that did not end in time."""
    results: list[T | None] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    with trio.move_on_after(timeout):
        async with trio.open_nursery() as nursery:
            for index, call in enumerate(calls):
                nursery.start_soon(run, index, call)
    return results
