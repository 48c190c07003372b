"""Asking for names: addresses, SRV records (RFC 2782) and NAPTR records (RFC 3403).

Addresses come from the system's resolver, /etc/hosts included; the others from DNS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import attrs
import dns.asyncresolver
import dns.exception
import dns.rdatatype
import trio

from stun import Address, Family

RESOLVE_TIMEOUT = 5.0
"""Seconds for all look-ups of one name together."""
MOST_SERVICES = 16
"""SRV records used of one name."""
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@attrs.frozen(slots=True)
class Service:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@attrs.frozen(slots=True)
class NamingRule:
    """One NAPTR record without a regular expression (RFC 3403; S-NAPTR has no other, RFC 3958).

    Attributes:
        order: the lowest counts first.
        preference: among those of the same order.
        flag: "S": a name of SRV records follows; "A": a host; "": a name of more NAPTR records.
        service: the application service tag, as `RELAY`.
        protocols: the application protocol tags, as `turn.udp`; none for any.
        target: what follows.

    """

    order: int
    preference: int
    flag: str
    service: str
    protocols: tuple[str, ...]
    target: str


class Lookup(Protocol):
    """Asks for names; tests have one of their own."""

    async def addresses(self, host: str, family: Family) -> Sequence[Address]:
        """Return a host's addresses of one family, none if it has none; ports are 0."""

    async def services(self, name: str) -> Sequence[Service]:
        """Return a name's SRV records, none if it has none."""

    async def rules(self, name: str) -> Sequence[NamingRule]:
        """Return a name's NAPTR records, none if it has none."""


class SystemLookup:
    """The system's resolver, and DNS for SRV and NAPTR.

    Args:
        resolver: for DNS; None for one that does as /etc/resolv.conf says.

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
        return tuple(
            Service(record.priority, record.weight, record.port, str(record.target).rstrip("."))
            for record in await self._ask(name, dns.rdatatype.SRV)
        )

    async def rules(self, name: str) -> Sequence[NamingRule]:
        """See `Lookup`."""
        return tuple(
            _rule_of(record)
            for record in await self._ask(name, dns.rdatatype.NAPTR)
            if not record.regexp
        )

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        try:
            resolver = self._resolver or dns.asyncresolver.Resolver()
            return list(await resolver.resolve(name, kind, lifetime=RESOLVE_TIMEOUT, search=False))
        except (dns.exception.DNSException, OSError, UnicodeError):
            return []


def _rule_of(record: Any) -> NamingRule:
    service, *protocols = record.service.decode("ascii", "replace").lower().split(":")
    return NamingRule(
        order=record.order,
        preference=record.preference,
        flag=record.flags.decode("ascii", "replace").upper(),
        service=service.upper(),
        protocols=tuple(protocols),
        target=str(record.replacement).rstrip("."),
    )


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
