"""Values of single keys: strings that have been parsed once, when they were made.

Each is a `str` in its canonical form, so it prints, compares and hashes as what the
operator wrote, and carries what the parser found in it. The constructors raise
`ValueError` whose text says what would be right; the loader adds file, line and key.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import ClassVar, Self

from stun.address import Address, AddressError, Family, unmap

_DIGITS = frozenset("0123456789")


class Secret(str):
    """A string that does not show itself in a `repr`, so no log of a section reveals it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class FilePath(str):
    """A file's path; ``""`` for none. Relative ones in a file start at that file's folder."""

    __slots__ = ()


class IpAddress(str):
    """An IP address without a port, such as ``"192.0.2.1"`` or ``"2001:db8::1"``.

    Attributes:
        address: the same as a transport address with port 0.

    """

    __slots__ = ("address",)
    address: Address

    def __new__(cls, text: str) -> Self:
        """Parse `text`; a zone (``fe80::1%eth0``) is kept."""
        try:
            address = Address.parse(text)
        except AddressError as error:
            raise ValueError(
                f'{error}; write one IP address, for example "192.0.2.1" or "2001:db8::1"'
            ) from error
        self = super().__new__(cls, _host(address, text))
        self.address = address
        return self

    @property
    def packed(self) -> bytes:
        """The IP address, 4 or 16 bytes."""
        return self.address.packed

    @property
    def family(self) -> Family:
        """IPv4 or IPv6."""
        return self.address.family


class Endpoint(str):
    """A transport address ``"ADDRESS:PORT"``: ``"0.0.0.0:3478"``, ``"[::]:3478"``.

    Attributes:
        address: the same as an `Address`. Port 0 lets the system choose one.

    """

    __slots__ = ("address",)
    address: Address

    def __new__(cls, text: str) -> Self:
        """Parse `text`, which must name a port."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port or (":" in host and not bracketed):
            raise ValueError(
                f"{_quote(text)} is not ADDRESS:PORT; write for example "
                '"0.0.0.0:3478" or "[::]:3478"'
            )
        try:
            address = Address.parse_endpoint(text)
        except AddressError as error:
            raise ValueError(f'{error}; write for example "0.0.0.0:3478" or "[::]:3478"') from error
        name = _host(address, host.strip("[]"))
        shown = f"{name}:{address.port}" if ":" not in name else f"[{name}]:{address.port}"
        self = super().__new__(cls, shown)
        self.address = address
        return self

    @property
    def host(self) -> str:
        """The IP address as text, without brackets and zone."""
        return self.address.host

    @property
    def port(self) -> int:
        """The port, 0-65535."""
        return self.address.port

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of its family."""
        return not any(self.address.packed)


class PortRange(str):
    """``"LOW-HIGH"``, both ends included; a single port stands for itself.

    Attributes:
        low: first port, 1-65535.
        high: last port, `low`-65535.

    """

    __slots__ = ("high", "low")
    low: int
    high: int

    def __new__(cls, text: str) -> Self:
        """Parse `text`."""
        first, dash, last = (part.strip() for part in text.partition("-"))
        low, high = _port(first), _port(last if dash else first)
        if low is None or high is None or low > high:
            raise ValueError(
                f"{_quote(text)} is not a range; write LOW-HIGH with "
                '1 <= LOW <= HIGH <= 65535, for example "49152-65535"'
            )
        self = super().__new__(cls, f"{low}-{high}")
        self.low, self.high = low, high
        return self

    @property
    def ports(self) -> range:
        """The ports as a `range`."""
        return range(self.low, self.high + 1)


class AddressRange(str):
    """IP addresses of one family: a CIDR block, one address, or ``"FIRST-LAST"``.

    Attributes:
        first: lowest address, packed, 4 or 16 bytes.
        last: highest address, packed, as long as `first`.

    """

    __slots__ = ("first", "last")
    first: bytes
    last: bytes

    def __new__(cls, text: str) -> Self:
        """Parse `text`; IPv4-mapped IPv6 ranges become the IPv4 range they stand for."""
        first, last = cls._parse("".join(text.split()))
        if unmap(first) != first and unmap(last) != last:
            first, last = unmap(first), unmap(last)
        self = super().__new__(cls, "".join(text.split()))
        self.first, self.last = first, last
        return self

    @staticmethod
    def _parse(text: str) -> tuple[bytes, bytes]:
        hint = 'write for example "10.0.0.0/8", "192.0.2.7" or "192.0.2.1-192.0.2.9"'
        low, dash, high = text.partition("-")
        try:
            if dash:
                first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
            else:
                network = ipaddress.ip_network(text, strict=False)
                first, last = network.network_address, network.broadcast_address
        except ValueError as error:
            raise ValueError(f"{_quote(text)} is not a range of addresses; {hint}") from error
        if first.version != last.version:
            raise ValueError(f"{_quote(text)} mixes IPv4 and IPv6; {hint}")
        if int(first) > int(last):
            raise ValueError(f"{_quote(text)} ends before it starts; {hint}")
        return first.packed, last.packed

    def covers(self, packed: bytes) -> bool:
        """Whether the packed IP address (4 or 16 bytes) lies within."""
        return len(packed) == len(self.first) and self.first <= packed <= self.last


class Network(str):
    """A CIDR block or a single address.

    Attributes:
        network: the same as `ipaddress` has it; bits behind the prefix are zero.

    """

    __slots__ = ("network",)
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    def __new__(cls, text: str) -> Self:
        """Parse `text`."""
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError as error:
            raise ValueError(
                f"{_quote(text)} is not a network; write for example "
                '"10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"'
            ) from error
        self = super().__new__(cls, str(network))
        self.network = network
        return self


class ExternalAddress(str):
    """``"PUBLIC"`` or ``"PUBLIC/PRIVATE"``: the name a relay address has outside a 1:1 NAT.

    Attributes:
        public: what clients and peers are told, port 0.
        private: the local address it stands for, port 0; None for every relay address of
            the same family.

    """

    __slots__ = ("private", "public")
    public: Address
    private: Address | None

    def __new__(cls, text: str) -> Self:
        """Parse `text`."""
        public, slash, private = (part.strip() for part in text.partition("/"))
        try:
            outside = Address.parse(public)
            inside = Address.parse(private) if slash else None
        except AddressError as error:
            raise ValueError(
                f'{error}; write PUBLIC or PUBLIC/PRIVATE, for example "203.0.113.5/10.0.0.5"'
            ) from error
        if inside is not None and inside.family != outside.family:
            raise ValueError(f"{_quote(text)} maps one address family to the other")
        shown = outside.host if inside is None else f"{outside.host}/{inside.host}"
        self = super().__new__(cls, shown)
        self.public, self.private = outside, inside
        return self


class StoredKey(Secret):
    """A long-term key in hexadecimal, with or without ``0x``; ``""`` for none.

    Attributes:
        key: the key's bytes, None when there is none.

    """

    __slots__ = ("key",)
    SIZE: ClassVar[int]
    HASH: ClassVar[str]
    key: bytes | None

    def __new__(cls, text: str = "") -> Self:
        """Parse `text`."""
        digits = text.removeprefix("0x").lower()
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        # The value is left out of the message: it is a secret, if a broken one.
        if digits and (len(key) != cls.SIZE or len(digits) != 2 * cls.SIZE):
            raise ValueError(
                f"not a stored key; write {2 * cls.SIZE} hexadecimal digits, "
                f'{cls.HASH} of "name:realm:password"'
            )
        self = super().__new__(cls, digits)
        self.key = key or None
        return self


class Md5Key(StoredKey):
    """The key of RFC 8489 §18.5.1.1, 32 hexadecimal digits."""

    __slots__ = ()
    SIZE = 16
    HASH = "MD5"


class Sha256Key(StoredKey):
    """The key of RFC 8489 §18.5.1.2, 64 hexadecimal digits."""

    __slots__ = ()
    SIZE = 32
    HASH = "SHA-256"


class Base64Key(Secret):
    """Key bytes in base64, either alphabet, padding optional.

    Attributes:
        key: the bytes.

    """

    __slots__ = ("key",)
    key: bytes

    def __new__(cls, text: str) -> Self:
        """Parse `text`."""
        standard = text.rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except binascii.Error as error:
            raise ValueError("not base64; make a key with: openssl rand -base64 32") from error
        self = super().__new__(cls, text)
        self.key = key
        return self


def _quote(text: str) -> str:
    return f'"{text}"'


def _host(address: Address, text: str) -> str:
    """Return the canonical host with the zone that `text` had."""
    _, percent, zone = text.partition("%")
    return address.host + percent + zone


def _port(text: str) -> int | None:
    if not text or len(text) > 5 or not _DIGITS.issuperset(text):
        return None
    port = int(text)
    return port if 1 <= port <= 0xFFFF else None
