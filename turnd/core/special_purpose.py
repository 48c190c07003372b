"""The special-purpose address ranges no relay should reach unasked (IANA registries, RFC 6890).

Frozen here because `ipaddress.is_global` of the oldest supported Python calls several
of them global. Ranges where the registry says "globally reachable" are left out, but
for a few that lead into a network's inside all the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen(slots=True)
class AddressRange:
    """A range of IP addresses of one family.

    Attributes:
        size: bytes of its addresses, 4 or 16.
        first: lowest address as a number.
        last: highest address as a number, inclusive.
        name: how to name it to an operator.

    """

    size: int
    first: int
    last: int
    name: str

    @classmethod
    def of_network(cls, network: str, name: str) -> AddressRange:
        """Make the range of a prefix (``"192.0.2.0/24"``)."""
        parsed = ipaddress.ip_network(network)
        first, last = int(parsed[0]), int(parsed[-1])
        return cls(parsed.max_prefixlen // 8, first, last, name)

    def __contains__(self, packed: bytes) -> bool:
        return len(packed) == self.size and self.first <= int.from_bytes(packed, "big") <= self.last


def find_range(ranges: Iterable[AddressRange], packed: bytes) -> AddressRange | None:
    """Return the first range that holds the address, or None."""
    size, number = len(packed), int.from_bytes(packed, "big")
    for candidate in ranges:
        if candidate.size == size and candidate.first <= number <= candidate.last:
            return candidate
    return None


SPECIAL_PURPOSE: Sequence[AddressRange] = tuple(
    AddressRange.of_network(network, f"{name}, {network}")
    for network, name in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared address space"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link-local and cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay anycast"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved and broadcast"),
        ("::/96", "unspecified, loopback and IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b:1::/48", "local-use IPv4/IPv6 translation"),
        ("100::/64", "discard-only"),
        ("100:0:0:1::/64", "dummy"),
        ("2001::/23", "IETF protocol assignments and Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)


def embedded_ipv4(packed: bytes) -> tuple[bytes, ...]:
    """Return the IPv4 addresses inside an IPv6 address, as any of the transition forms.

    IPv4-mapped and IPv4-compatible (RFC 4291 §2.5.5), NAT64 (RFC 6052 §2.1, RFC 8215),
    6to4 (RFC 3056 §2), Teredo (RFC 4380 §4: server and obfuscated client) and
    ISATAP (RFC 5214 §6.1).
    """
    if len(packed) != 16:
        return ()
    found: list[bytes] = []
    if packed in _UNSPECIFIED_AND_LOOPBACK:
        return ()  # not IPv4-compatible (RFC 4291 §2.5.5.1), though they look it
    if packed[:12] in _PREFIX_96 or packed.startswith(b"\x00\x64\xff\x9b\x00\x01"):
        found.append(packed[12:])
    if packed.startswith(b"\x20\x02"):
        found.append(packed[2:6])
    if packed.startswith(b"\x20\x01\0\0"):
        found.append(packed[4:8])
        found.append(bytes(byte ^ 0xFF for byte in packed[12:]))
    if packed[8:12] in {b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe"}:
        found.append(packed[12:])
    return tuple(found)


def is_tunnelled(packed: bytes) -> bool:
    """Whether that is a 6to4 or Teredo address, which no client may have (RFC 8656 §21.4)."""
    return len(packed) == 16 and packed.startswith((b"\x20\x02", b"\x20\x01\0\0"))


_UNSPECIFIED_AND_LOOPBACK = {bytes(16), bytes(15) + b"\x01"}
_PREFIX_96 = {
    bytes(10) + b"\xff\xff",
    bytes(12),
    b"\x00\x64\xff\x9b" + bytes(8),
}
