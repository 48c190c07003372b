"""The way to an XMPP domain's server: SRV, TCP, and TLS at once or by STARTTLS.

RFC 6120 §3.2 and §5, XEP-0368 for `_xmpps-client`. The certificate must be the domain's (RFC
6120 §13.7.2), whatever host SRV names; without TLS nothing goes on.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import attrs
import dns.asyncresolver
import dns.exception
import trio

from ice_client.check.probe_dns import NameServer
from ice_client.check.xmpp_stream import XmlStream, XmppError
from ice_client.turn import ResolutionError
from ice_client.turn.link import reason_of
from ice_client.turn.lookup import RESOLVE_TIMEOUT, SystemLookup, order_services
from ice_client.turn.resolve import resolve_host
from stun import Address, AddressError, Family

PORT, SECURE_PORT = 5222, 5223
ATTEMPT_TIMEOUT = 5.0
"""Seconds for one address to accept a connection."""
MOST_ATTEMPTS = 8
TLS = "urn:ietf:params:xml:ns:xmpp-tls"


@attrs.frozen(slots=True)
class Door:
    """Where a domain's clients connect to; `direct` is TLS from the first byte."""

    host: str
    port: int
    direct: bool


class _NameServerLookup(SystemLookup):
    """Asks one name server for everything."""

    def __init__(self, server: NameServer) -> None:
        self._asked = dns.asyncresolver.Resolver(configure=False)
        self._asked.nameservers = [server.address]
        self._asked.port = server.port
        super().__init__(self._asked)

    async def addresses(self, host: str, family: Family) -> Sequence[Address]:
        """See `Lookup`."""
        kind = "AAAA" if family is Family.IPV6 else "A"
        try:
            answer = await self._asked.resolve(host, kind, lifetime=RESOLVE_TIMEOUT, search=False)
        except (dns.exception.DNSException, OSError, UnicodeError):
            return ()
        return tuple(Address.parse(str(record)) for record in answer)


def parse_door(text: str) -> Door:
    """Read HOST, HOST:PORT or [IPV6]:PORT; port 5223 is TLS from the first byte.

    Raises:
        ValueError: it is none.

    """
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, number = text, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not (host and number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Door(host, int(number), int(number) == SECURE_PORT)


async def find_doors(domain: str, lookup: SystemLookup) -> list[Door]:
    """Return what SRV says, in order; the domain's own port 5222 where it says nothing.

    Raises:
        XmppError: the records say that there is no such service.

    """
    found = []
    for name, direct in (("_xmpps-client._tcp", True), ("_xmpp-client._tcp", False)):
        records = await lookup.services(f"{name}.{domain}")
        found += [(record, direct) for record in records]
    if not found:
        return [Door(domain, PORT, direct=False)]
    # XEP-0368 §3: both kinds are one list. One port may speak both: then it is in it twice.
    ordered = order_services((each for each, _ in found), secrets.randbelow)
    if not ordered:
        raise XmppError(f"{domain} has no XMPP service, its SRV records say")
    doors = []
    for record in ordered:
        entry = next(each for each in found if each[0] == record)
        found.remove(entry)
        doors.append(Door(record.target, record.port, entry[1]))
    return doors


def lookup_of(name_server: NameServer | None) -> SystemLookup:
    """Return whom to ask."""
    return SystemLookup() if name_server is None else _NameServerLookup(name_server)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context: the system's roots, or those of the file.

    Raises:
        XmppError: the file cannot be read.

    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise XmppError(f"{ca_file}: {error}") from error


async def connect(
    doors: Sequence[Door], domain: str, context: ssl.SSLContext, lookup: SystemLookup
) -> trio.SSLStream[trio.SocketStream]:
    """Return a stream to the first door that opens, with TLS.

    Args:
        doors: which to try, in order.
        domain: whom the certificate is to name.
        context: for TLS.
        lookup: for the doors' hosts.

    Raises:
        XmppError: none accepts a connection, or the one that does has no proper TLS.

    """
    door, stream = await _open(doors, domain, lookup)
    try:
        if door.direct:
            # XEP-0368 §4. STARTTLS has been told what is spoken already.
            context.set_alpn_protocols(["xmpp-client"])
        else:
            await _start_tls(stream, domain)
        return await _handshake(stream, domain, context)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def _open(
    doors: Sequence[Door], domain: str, lookup: SystemLookup
) -> tuple[Door, trio.SocketStream]:
    problems = []
    attempts = 0
    for door in doors:
        try:
            addresses = await resolve_host(door.host, door.port, lookup=lookup)
        except ResolutionError as error:
            problems.append(str(error))
            continue
        for address in addresses[: MOST_ATTEMPTS - attempts]:
            attempts += 1
            try:
                return door, await _open_address(address)
            except OSError as error:
                problems.append(f"{address}: {reason_of(error)}")
    raise XmppError(f"no XMPP server of {domain} can be reached: {'; '.join(problems)}")


async def _open_address(address: Address) -> trio.SocketStream:
    try:
        with trio.fail_after(ATTEMPT_TIMEOUT):
            return await _dial(address)
    except trio.TooSlowError as error:
        raise TimeoutError(f"no answer in {ATTEMPT_TIMEOUT:g} s") from error


async def _dial(address: Address) -> trio.SocketStream:
    # Not trio.open_tcp_stream: it wraps the one reason there is in a group.
    family = socket.AF_INET6 if address.family is Family.IPV6 else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def _start_tls(stream: trio.SocketStream, domain: str) -> None:
    """Do RFC 6120 §5. What else came in the clear is dropped with the stream it came by."""
    plain = XmlStream(stream, domain)
    features = await plain.open()
    if features.find(f"{{{TLS}}}starttls") is None:
        raise XmppError("the server offers no STARTTLS; a password is not sent in the clear")
    await plain.send(f"<starttls xmlns='{TLS}'/>")
    answer = await plain.receive()
    if answer.tag != f"{{{TLS}}}proceed":
        raise XmppError("the server offers STARTTLS, but fails it: has it a certificate?")


async def _handshake(
    stream: trio.SocketStream, domain: str, context: ssl.SSLContext
) -> trio.SSLStream[trio.SocketStream]:
    try:
        secure = trio.SSLStream(stream, context, server_hostname=domain, https_compatible=True)
        await secure.do_handshake()
    except (ValueError, UnicodeError) as error:
        raise XmppError(f"{domain!r} is no name that TLS could ask for") from error
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise XmppError(
                f"TLS failed: the XMPP server's certificate: {cause.verify_message}"
            ) from error
        why = cause.reason if isinstance(cause, ssl.SSLError) and cause.reason else "broken off"
        raise XmppError(f"TLS with the XMPP server failed: {why}") from error
    return secure


def is_literal(host: str) -> bool:
    """Whether a host is an IP literal, which has no SRV records."""
    try:
        Address.parse(host)
    except AddressError:
        return False
    return True
