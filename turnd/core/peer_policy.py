"""Which peers a client may reach (RFC 8656 §9.2 and §21.4; RFC 6156 §9.1).

Deny by default what is special-purpose, let `allow` beat `deny`, and open this
server's own addresses only as far as its live relayed transport addresses.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        relay_ips: packed addresses of this server's relays, outside names included: open as
            far as live relayed transport addresses go.
        own_ips: every other packed address of this host: what listens there trusts it.

    """

    allow: Sequence[AddressRange] = ()
    deny: Sequence[AddressRange] = ()
    deny_special: bool = True
    relay_ips: frozenset[bytes] = frozenset()
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
        if packed in self.relay_ips:
            return _INTERNAL
        if packed in self.own_ips:
            return Verdict(allowed=False, rule="an address of this host; peers.allow would open it")
        special = find_range(SPECIAL_PURPOSE, packed) if self.deny_special else None
        if special:
            return Verdict(
                allowed=False,
                rule=f"special-purpose range ({special.name}); peers.allow would open it",
            )
        return _ALLOWED
