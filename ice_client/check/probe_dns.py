"""Asks DNS about a server's name: A, AAAA, and the SRV records of RFC 5928.

DNS itself is asked, not the system's resolver: the two tell apart "there is no record" from
"nobody answers". What only the system knows (/etc/hosts) is told as such.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import attrs
import dns.asyncresolver
import dns.exception
import dns.resolver
import trio

from ice_client.check.results import Lookup
from ice_client.check.target import is_address
from stun.uri import StunUri

LIFETIME = 5.0
"""Seconds for one question, its repetitions included."""
MOST_VALUES = 16
"""Answers that are used of one question."""


@attrs.frozen(slots=True)
class NameServer:
    """The name server to ask instead of the system's."""

    address: str
    port: int = 53


async def look_up(
    uris: Sequence[StunUri], name_server: NameServer | None = None
) -> tuple[tuple[Lookup, ...], dict[str, list[str]]]:
    """Look the hosts of the URIs up.

    Returns:
        every question with its answer, and the addresses by host; a literal is its own address.

    """
    addresses: dict[str, list[str]] = {}
    lookups: list[Lookup] = []
    for host in dict.fromkeys(uri.host for uri in uris):
        if is_address(host):
            addresses[host] = [host]
            continue
        questions = [("A", host), ("AAAA", host)]
        if any(uri.host == host and uri.port is None for uri in uris):
            schemes = dict.fromkeys(uri.scheme for uri in uris if uri.host == host)
            questions += [
                ("SRV", f"_{scheme}._{transport}.{host}")
                for scheme in schemes
                for transport in ("udp", "tcp")
            ]
        answers = await _ask_all(questions, name_server)
        found = [value for each in answers if each.kind in {"A", "AAAA"} for value in each.values]
        if not found and name_server is None:
            known = await _ask_system(host)
            if known.values:
                # Names of /etc/hosts are not in DNS; that is no mistake to complain of.
                answers = [*(each for each in answers if each.kind == "SRV"), known]
                found = list(known.values)
        addresses[host] = list(dict.fromkeys(found))
        lookups += answers
    return tuple(lookups), addresses


async def _ask_all(
    questions: Sequence[tuple[str, str]], name_server: NameServer | None
) -> list[Lookup]:
    answers: dict[int, Lookup] = {}

    async def ask(number: int, kind: str, name: str) -> None:
        answers[number] = await _ask(kind, name, name_server)

    async with trio.open_nursery() as nursery:
        for number, (kind, name) in enumerate(questions):
            nursery.start_soon(ask, number, kind, name)
    return [answers[number] for number in range(len(questions))]


async def _ask(kind: str, name: str, name_server: NameServer | None) -> Lookup:
    started = trio.current_time()
    values: tuple[str, ...] = ()
    error = ""
    try:
        resolver = dns.asyncresolver.Resolver(configure=name_server is None)
        if name_server is not None:
            resolver.nameservers = [name_server.address]
            resolver.port = name_server.port
        # Absolute: a search list would find the name in some other domain.
        answer = await resolver.resolve(f"{name}.", kind, search=False, lifetime=LIFETIME)
        values = tuple(str(record) for record in answer)[:MOST_VALUES]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        pass
    except (dns.exception.DNSException, OSError) as problem:
        error = _describe(problem)
    seconds = trio.current_time() - started
    return Lookup(kind, name, values, seconds, error)  # type: ignore[arg-type]


def _describe(problem: Exception) -> str:
    if isinstance(problem, dns.resolver.LifetimeTimeout):
        return "no answer"
    if isinstance(problem, dns.resolver.NoNameservers):
        return "the name servers answer with an error"
    if isinstance(problem, dns.resolver.NoResolverConfiguration):
        return "no resolver is configured here"
    return str(problem) or type(problem).__name__


async def _ask_system(host: str) -> Lookup:
    started = trio.current_time()
    values: list[str] = []
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        values = list(dict.fromkeys(str(each[4][0]) for each in found))
    except OSError:
        pass  # unknown to it as well
    seconds = trio.current_time() - started
    return Lookup("hosts", host, tuple(values[:MOST_VALUES]), seconds)
