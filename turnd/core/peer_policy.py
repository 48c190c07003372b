"""Which peers a client may reach (RFC 8656 §9.2 and §21.4; RFC 6156 §9.1).

Deny by default what is special-purpose, let `allow` beat `deny`, and open this
server's own addresses only as far as its live relayed transport addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import attrs

from stun.address import unmap
from turnd.core.special_purpose import (
    SPECIAL_PURPOSE,
    AddressRange,
    embedded_ipv4,
    find_range,
)


@attrs.frozen(slots=True)
class Verdict:
    """What the policy says of one IP address.

    Attributes:
        allowed: whether a permission may be installed.
        internal_only: only live relayed transport addresses of this server there.
        rule: for a denial: which range said so, and what would allow it.

    """

    allowed: bool
    internal_only: bool = False
    rule: str = ""


_ALLOWED = Verdict(allowed=True)
_INTERNAL = Verdict(allowed=True, internal_only=True)


@attrs.frozen(slots=True, kw_only=True)
class PeerPolicy:
    """Rules over packed IP addresses.

    Attributes:
        allow: beats everything else.
        deny: the operator's own denials.
        deny_special: deny `SPECIAL_PURPOSE` too.
        own_ips: this server's packed addresses, outside names included.

    """

    allow: Sequence[AddressRange] = ()
    deny: Sequence[AddressRange] = ()
    deny_special: bool = True
    own_ips: frozenset[bytes] = frozenset()

    def check(self, packed: bytes) -> Verdict:
        """Judge a peer's IP address (4 or 16 bytes).

        An IPv6 address that carries IPv4 addresses passes only if each of them would:
        a translator on the way could take the packet there.
        """
        packed = unmap(packed)
        verdict = self._check_literal(packed)
        for inner in embedded_ipv4(packed):
            inner_verdict = self._check_literal(inner)
            if not inner_verdict.allowed:
                return inner_verdict
            # A translator would deliver to this host itself, past the relay tables.
            if inner_verdict.internal_only:
                return Verdict(allowed=False, rule="this server's own address, embedded in IPv6")
        return verdict

    def _check_literal(self, packed: bytes) -> Verdict:
        if find_range(self.allow, packed):
            return _ALLOWED
        denied = find_range(self.deny, packed)
        if denied:
            return Verdict(allowed=False, rule=f"peers.deny {denied.name}; peers.allow beats it")
        if packed in self.own_ips:
            return _INTERNAL
        special = find_range(SPECIAL_PURPOSE, packed) if self.deny_special else None
        if special:
            return Verdict(
                allowed=False,
                rule=f"special-purpose range ({special.name}); peers.allow would open it",
            )
        return _ALLOWED


def parse_range(text: str) -> AddressRange:
    """Read ``"192.0.2.1"``, ``"192.0.2.0/24"`` or ``"192.0.2.1-192.0.2.9"`` (IPv6 likewise).

    Raises:
        ValueError: the text has another form, or the range's ends do not fit.

    """
    low, dash, high = text.partition("-")
    if not dash:
        network = ipaddress.ip_network(text.strip(), strict=False)
        return AddressRange(
            network.max_prefixlen // 8, int(network[0]), int(network[-1]), text.strip()
        )
    first, last = ipaddress.ip_address(low.strip()), ipaddress.ip_address(high.strip())
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"{text!r} is not a range from a lower to a higher address")
    return AddressRange(first.max_prefixlen // 8, int(first), int(last), text.strip())


def parse_ranges(texts: Iterable[str]) -> tuple[AddressRange, ...]:
    """Read a list of ranges; see `parse_range`."""
    return tuple(parse_range(text) for text in texts)
