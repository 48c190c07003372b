"""What is to be checked: servers by URI, credentials, and the ways that follow from them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from ice_client.errors import IceError
from ice_client.turn import LongTermCredentials, Transport
from stun.uri import StunUri

ORDINARY_VALIDITY = 3600
"""Seconds that minted credentials are good for: what applications use, give or take."""
DEFAULT_PORT, DEFAULT_SECURE_PORT = 3478, 5349


class TargetError(IceError):
    """A target that cannot be used; the message says which part, and why."""


@attrs.frozen(slots=True, kw_only=True)
class Target:
    """Servers that share credentials, as one RTCIceServer has them.

    Attributes:
        uris: where they are.
        username: with `secret`, the name behind the expiry (may be empty).
        password: of that user.
        secret: the shared secret to mint time-limited credentials from.
        realm: the one that is expected; None for any.
        software: what the target was read from, for people; empty for the command line.

    """

    uris: tuple[StunUri, ...]
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    secret: str | None = attrs.field(default=None, repr=False)
    realm: str | None = None
    software: str = ""

    @property
    def relays(self) -> bool:
        """Whether a TURN server is among them."""
        return any(uri.is_turn for uri in self.uris)

    def credentials(
        self, wall_time: float, validity: float = ORDINARY_VALIDITY
    ) -> LongTermCredentials | None:
        """Return what to authenticate with, minted if there is a secret; None if there is nothing.

        Args:
            wall_time: seconds since the epoch.
            validity: seconds the minted credential is good for; negative makes an expired one.

        """
        if self.secret is not None:
            return mint(self.secret, self.username or "", int(wall_time + validity))
        if self.username is not None and self.password is not None:
            return LongTermCredentials(self.username, self.password)
        return None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show."""
        return tuple(filter(None, (self.username, self.password, self.secret)))

    def __str__(self) -> str:
        return " ".join(map(str, self.uris))


def mint(secret: str, user: str, expiry: int) -> LongTermCredentials:
    """Return a time-limited credential (draft-uberti-behave-turn-rest-00, what servers call REST).

    Args:
        secret: shared with the server.
        user: put behind the expiry; may be empty.
        expiry: Unix time.

    """
    username = f"{expiry}:{user}" if user else str(expiry)
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return LongTermCredentials(username, base64.b64encode(digest).decode())


def expiry_of(username: str) -> int | None:
    """Return the Unix time in a time-limited user name: `expiry:user`, `user:expiry`, `expiry`.

    None where there is none: digits that would be a time before 2001 are a user's number.
    """
    for part in (username.partition(":")[0], username.rpartition(":")[2]):
        if part.isascii() and part.isdigit() and 10 <= len(part) <= 11:
            return int(part)
    return None


@attrs.frozen(slots=True)
class Way:
    """A row of the matrix before it is tried.

    Attributes:
        transport: see `Transport`.
        address: the server's IP address.
        port: its port.
        name: what the URI called the server, for TLS.
        relays: whether to allocate; a `stun:` URI asks for Binding alone.
        expected: the target names it; others are tried for what they tell.

    """

    transport: Transport
    address: str
    port: int
    name: str
    relays: bool = True
    expected: bool = True

    @property
    def family(self) -> Literal["ipv4", "ipv6"]:
        """Of `address`."""
        return "ipv6" if ":" in self.address else "ipv4"


@attrs.frozen(slots=True)
class Door:
    """Transport and port at a host by name."""

    host: str
    transport: Transport
    port: int
    relays: bool
    expected: bool


def doors(target: Target, transports: Sequence[Transport] = ()) -> list[Door]:
    """Return which doors of the target's hosts to knock at, the named ones first.

    Args:
        target: what was given.
        transports: try exactly these at every host; empty: those the URIs name, and for what
            it tells TCP beside UDP, and TLS and DTLS at their port beside 3478.

    Raises:
        TargetError: a URI asks for a transport that does not exist.

    """
    found: dict[tuple[str, Transport, int], Door] = {}

    def add(uri: StunUri, transport: Transport, port: int, *, expected: bool) -> None:
        key = (uri.host, transport, port)
        known = found.get(key)
        if known is None or (uri.is_turn and not known.relays):
            expected = expected or (known is not None and known.expected)
            found[key] = Door(uri.host, transport, port, uri.is_turn, expected)

    for uri in target.uris:
        try:
            named = Transport.of_uri(uri)
        except ValueError as error:
            raise TargetError(str(error)) from error
        if not transports:
            add(uri, named, uri.effective_port, expected=True)
        for transport in transports:
            add(uri, transport, _port_for(uri, transport), expected=True)
    for uri in target.uris:
        if not transports and not uri.is_secure and uri.transport is None and uri.is_turn:
            add(uri, Transport.TCP, uri.effective_port, expected=False)
            if uri.effective_port == DEFAULT_PORT:
                add(uri, Transport.TLS, DEFAULT_SECURE_PORT, expected=False)
                add(uri, Transport.DTLS, DEFAULT_SECURE_PORT, expected=False)
    return list(found.values())


def _port_for(uri: StunUri, transport: Transport) -> int:
    if transport.is_secure == uri.is_secure:
        return uri.effective_port
    # The other kind is at the other default port, unless the URI insists on one for all.
    default = DEFAULT_SECURE_PORT if transport.is_secure else DEFAULT_PORT
    return default if uri.port in {None, DEFAULT_PORT, DEFAULT_SECURE_PORT} else uri.effective_port


def ways(knock: Iterable[Door], addresses: Mapping[str, Sequence[str]]) -> list[Way]:
    """Return the rows: each door at each address of its host."""
    rows = [
        Way(door.transport, address, door.port, door.host, door.relays, door.expected)
        for door in knock
        for address in addresses.get(door.host, ())
    ]
    unique: dict[tuple[Transport, str, int], Way] = {}
    for row in rows:
        unique.setdefault((row.transport, row.address, row.port), row)
    return list(unique.values())


def is_address(host: str) -> bool:
    """Whether a host is an IP literal."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
