"""From a server's name or URI to addresses (RFC 5928; RFC 8489 §8; RFC 7064, RFC 7065).

Addresses come from the system's resolver, /etc/hosts included; SRV records from DNS. All
look-ups run side by side. NAPTR records, which RFC 5928 puts before SRV, are not asked for.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Protocol, TypeVar

import attrs
import dns.asyncresolver
import dns.exception
import dns.rdatatype
import trio

from ice_client.turn.credentials import Credentials
from ice_client.turn.errors import ResolutionError
from ice_client.turn.server import TlsOptions, Transport, TurnServer
from stun import Address, AddressError, Family
from stun.uri import StunUri

T = TypeVar("T")

RESOLVE_TIMEOUT = 5.0
"""Seconds for all look-ups of one name together."""
MOST_SERVICES = 16
"""SRV records used of one name."""
MOST_ADDRESSES = 32
"""Addresses returned for one name or URI."""
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_SERVICES = {
    Transport.UDP: "_{}._udp",
    Transport.TCP: "_{}._tcp",
    Transport.TLS: "_{}s._tcp",
    Transport.DTLS: "_{}s._udp",  # RFC 7350 §4.6
}


@attrs.frozen(slots=True)
class Service:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class Lookup(Protocol):
    """Asks for names; tests have one of their own."""

    async def addresses(self, host: str, family: Family) -> Sequence[Address]:
        """Return a host's addresses of one family, none if it has none; ports are 0."""

    async def services(self, name: str) -> Sequence[Service]:
        """Return a name's SRV records, none if it has none."""


class SystemLookup:
    """The system's resolver, and DNS for SRV.

    Args:
        resolver: for SRV; None for one that does as /etc/resolv.conf says.

    """

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver

    async def addresses(self, host: str, family: Family) -> Sequence[Address]:
        """See `Lookup`."""
        try:
            found = await trio.socket.getaddrinfo(
                host, None, family=_FAMILIES[family], type=socket.SOCK_DGRAM
            )
        except (OSError, UnicodeError):
            return ()
        return tuple(Address.from_sockaddr(entry[4]) for entry in found)

    async def services(self, name: str) -> Sequence[Service]:
        """See `Lookup`."""
        try:
            resolver = self._resolver or dns.asyncresolver.Resolver()
            answer = await resolver.resolve(
                name, dns.rdatatype.SRV, lifetime=RESOLVE_TIMEOUT, search=False
            )
        except (dns.exception.DNSException, OSError, UnicodeError):
            return ()
        return tuple(
            Service(record.priority, record.weight, record.port, str(record.target).rstrip("."))
            for record in answer
        )


_SYSTEM = SystemLookup()


@attrs.frozen(slots=True)
class ResolvedServer:
    """One way to a server.

    Attributes:
        server: with an IP literal as its host, and the URI's host as the certificate's name.
        address: the same.
        target: the host name that the address is of.
        from_srv: whether an SRV record named it.

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
        timeout: seconds for each of two rounds: SRV records, then addresses.
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
    """Return what SRV records say; nothing where RFC 5928 §3 asks for none."""
    with contextlib.suppress(AddressError):
        Address.parse(uri.host)
        return []
    if uri.port is not None:
        return []
    kind = "turn" if uri.is_turn else "stun"
    names = [f"{_SERVICES[each].format(kind)}.{uri.host}" for each in transports]
    found = await _gather([partial(lookup.services, name) for name in names], timeout)
    return [
        (service.target, service.port, transport)
        for transport, services in zip(transports, found, strict=True)
        for service in order_services(services or (), random_below)
    ]


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


def order_services(
    services: Iterable[Service], random_below: Callable[[int], int]
) -> list[Service]:
    """Put SRV records in the order to try them: by priority, by chance and weight (RFC 2782)."""
    # RFC 2782: a target of "." (here without its dot) says that there is no such service.
    usable = [service for service in services if service.target][:MOST_SERVICES]
    ordered: list[Service] = []
    for priority in sorted({service.priority for service in usable}):
        # Those of weight 0 first, so that they have a small chance, not none.
        group = sorted((s for s in usable if s.priority == priority), key=lambda s: s.weight)
        while group:
            chosen = random_below(sum(service.weight for service in group) + 1)
            for service in group:
                chosen -= service.weight
                if chosen <= 0:
                    break
            group.remove(service)
            ordered.append(service)
    return ordered


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
