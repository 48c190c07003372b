"""Transport addresses as immutable values (RFC 8489 §14.1: family, IP, port).

Everything that compares addresses compares these; text and socket tuples are
turned into them once, at the edge, and an IPv4-mapped IPv6 address becomes the
IPv4 address it stands for there.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
from typing import Any

import attrs

from stun.errors import StunError

_IPV4_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class Family(enum.IntEnum):
    """Address families with their STUN wire values (RFC 8489 §14.1)."""

    IPV4 = 0x01
    IPV6 = 0x02


class AddressError(StunError):
    """Text that is not an IP address, or a port outside 0-65535."""


@attrs.frozen(slots=True, order=True, cache_hash=True)
class Address:
    """A transport address.

    Attributes:
        packed: the IP address, 4 or 16 bytes in network byte order.
        port: 0-65535, host byte order.
        scope: IPv6 scope id of a link-local address, else 0. Never on the wire.

    """

    packed: bytes
    port: int
    scope: int = 0

    @classmethod
    def parse(cls, host: str, port: int = 0) -> Address:
        """Make an address from an IP literal (``"192.0.2.1"``, ``"2001:db8::1"``, ``"fe80::1%2"``).

        Raises:
            AddressError: `host` is not an IP literal or `port` is out of range.

        """
        text, percent, zone = host.partition("%")
        try:
            packed = unmap(ipaddress.ip_address(text).packed)
        except ValueError as error:
            raise AddressError(f"{host!r} is not an IP address") from error
        if not 0 <= port <= 0xFFFF:
            raise AddressError(f"port {port} is not within 0-65535")
        if percent and len(packed) == 4:
            raise AddressError(f"{host!r}: an IPv4 address has no zone")
        return cls(packed, port, _scope_id(zone) if percent else 0)

    @classmethod
    def parse_endpoint(cls, text: str, default_port: int = 0) -> Address:
        """Make an address from ``"host"``, ``"host:port"``, ``"[v6]"`` or ``"[v6]:port"``.

        Raises:
            AddressError: the text has another form.

        """
        host, port = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise AddressError(f"{text!r} is not [IPv6]:port")
            port = rest[1:] if rest else ""
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        # int() refuses thousands of digits with an error of its own.
        if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
            raise AddressError(f"{port!r} in {text!r} is not a port")
        return cls.parse(host, int(port) if port else default_port)

    @classmethod
    def from_sockaddr(cls, sockaddr: Any) -> Address:
        """Make an address from what `socket.recvfrom` and its kin return.

        IPv4-mapped IPv6 addresses (a dual-stack socket's view of IPv4) become IPv4.
        """
        host: str = sockaddr[0]
        if ":" not in host:
            return cls(socket.inet_aton(host), sockaddr[1])
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        scope = sockaddr[3] if len(sockaddr) > 3 else 0
        return cls(unmap(packed), sockaddr[1], scope)

    @property
    def family(self) -> Family:
        """IPv4 or IPv6."""
        return Family.IPV4 if len(self.packed) == 4 else Family.IPV6

    @property
    def host(self) -> str:
        """The IP address as text, without the port."""
        if len(self.packed) == 4:
            return socket.inet_ntoa(self.packed)
        return socket.inet_ntop(socket.AF_INET6, self.packed)

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """The tuple that sockets of this address's own family take."""
        if len(self.packed) == 4:
            return (self.host, self.port)
        return (self.host, self.port, 0, self.scope)

    def with_port(self, port: int) -> Address:
        """Return the same IP address with another port."""
        return Address(self.packed, port, self.scope)

    def __str__(self) -> str:
        if len(self.packed) == 4:
            return f"{self.host}:{self.port}"
        return f"[{self.host}]:{self.port}"


def unmap(packed: bytes) -> bytes:
    """Return the IPv4 address inside an IPv4-mapped IPv6 address, else `packed` itself."""
    if len(packed) == 16 and packed.startswith(_IPV4_MAPPED_PREFIX):
        return packed[12:]
    return packed


def _scope_id(zone: str) -> int:
    if zone.isascii() and zone.isdigit() and len(zone) <= 10 and int(zone) <= 0xFFFFFFFF:
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError) as error:  # ValueError: NUL, or a character no name can have
        raise AddressError(f"no network interface is called {zone!r}") from error
