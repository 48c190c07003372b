"""`stun:`, `stuns:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065)."""

from __future__ import annotations

import ipaddress
import re

import attrs

from stun.errors import StunError

_DEFAULT_PORTS = {"stun": 3478, "stuns": 5349, "turn": 3478, "turns": 5349}
_REG_NAME = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_TRANSPORT = re.compile(r"[A-Za-z0-9\-._~]+")


class UriError(StunError):
    """Text that is no such URI; the message says which part, and why."""


@attrs.frozen(slots=True)
class StunUri:
    """A STUN or TURN server's URI.

    Attributes:
        scheme: ``"stun"``, ``"stuns"``, ``"turn"`` or ``"turns"``.
        host: a name or an IP literal, without brackets.
        port: as given, else None.
        transport: ``"udp"``, ``"tcp"`` or another word, lower case; None if not given.

    """

    scheme: str
    host: str
    port: int | None = None
    transport: str | None = None

    @classmethod
    def parse(cls, text: str) -> StunUri:
        """Read a URI.

        Raises:
            UriError: it is none.

        """
        scheme, colon, rest = text.partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in _DEFAULT_PORTS:
            raise UriError(f"{text!r} does not begin with stun:, stuns:, turn: or turns:")
        if rest.startswith("//"):
            raise UriError(f"{text!r}: there is no // after the scheme (RFC 7064 §3.1)")
        authority, question, query = rest.partition("?")
        host, port = _split(text, authority)
        transport = _transport(text, scheme, query) if question else None
        return cls(scheme, host, port, transport)

    @property
    def is_secure(self) -> bool:
        """Whether it asks for TLS or DTLS."""
        return self.scheme in {"stuns", "turns"}

    @property
    def is_turn(self) -> bool:
        """Whether it names a TURN server."""
        return self.scheme in {"turn", "turns"}

    @property
    def effective_port(self) -> int:
        """The port, or the scheme's default: 3478, or 5349 when secure."""
        return self.port if self.port is not None else _DEFAULT_PORTS[self.scheme]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        query = f"?transport={self.transport}" if self.transport else ""
        return f"{self.scheme}:{host}{port}{query}"


def _split(text: str, authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UriError(f"{text!r}: an IPv6 address stands in brackets, then :port")
        if "%" in host:  # ipaddress would take one
            raise UriError(f"{text!r}: an address in a URI has no zone (RFC 3986 §3.2.2)")
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise UriError(f"{text!r}: {host!r} is not an IPv6 address") from error
        port = rest[1:] if rest else None
    else:
        host, colon, tail = authority.partition(":")
        if not _REG_NAME.fullmatch(host):
            raise UriError(f"{text!r}: {host!r} is not a host name or IPv4 address")
        port = tail if colon else None
    return host, _port(text, port)


def _port(text: str, port: str | None) -> int | None:
    if port is None:
        return None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 0xFFFF):
        raise UriError(f"{text!r}: {port!r} is not a port")
    return int(port)


def _transport(text: str, scheme: str, query: str) -> str:
    if scheme in {"stun", "stuns"}:
        raise UriError(f"{text!r}: {scheme}: URIs have no query (RFC 7064 §3.1)")
    name, equals, value = query.partition("=")
    if name != "transport" or not equals or not _TRANSPORT.fullmatch(value):
        raise UriError(f"{text!r}: only ?transport=… may follow")
    return value.lower()
