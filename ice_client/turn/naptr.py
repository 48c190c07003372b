"""What a name's NAPTR records lead to: S-NAPTR (RFC 3958) as RFC 5928 §3 has it for TURN.

By these an administrator says which transport clients should prefer, and may send them to another
domain's servers.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ice_client.turn.lookup import Lookup, NamingRule
from ice_client.turn.server import Transport

SERVICE = "RELAY"
MOST_RULES = 16
"""Records used of one name."""
MOST_STEPS = 16
"""Records followed to other NAPTR records, all in all: they may lead in a circle."""
_PROTOCOLS = {
    Transport.UDP: "turn.udp",
    Transport.TCP: "turn.tcp",
    Transport.TLS: "turn.tls",
    Transport.DTLS: "turn.dtls",  # RFC 7350 §4.6.2
}


@attrs.frozen(slots=True)
class Lead:
    """Where a record points to.

    Attributes:
        name: of SRV records, or of a host.
        transport: how to reach what is there.
        is_service: whether it is a name of SRV records.

    """

    name: str
    transport: Transport
    is_service: bool


async def follow(host: str, transports: Sequence[Transport], lookup: Lookup) -> list[Lead]:
    """Return what a name's NAPTR records lead to, best first; nothing if it has none.

    Args:
        host: the name.
        transports: which may be used; their order counts where records leave it open.
        lookup: whom to ask.

    """
    return await _Walk(lookup).leads_of(host, transports)


class _Walk:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._rules: dict[str, Sequence[NamingRule]] = {}
        self._steps = 0

    async def leads_of(self, name: str, transports: Sequence[Transport]) -> list[Lead]:
        if self._steps > MOST_STEPS:
            return []
        self._steps += 1
        if name not in self._rules:
            self._rules[name] = await self._lookup.rules(name)
        rules = [rule for rule in self._rules[name] if rule.service == SERVICE]
        leads: list[Lead] = []
        for rule in sorted(rules, key=lambda one: (one.order, one.preference))[:MOST_RULES]:
            usable = [each for each in transports if _is_of(rule, each)]
            if rule.flag in {"S", "A"}:
                leads += [Lead(rule.target, each, is_service=rule.flag == "S") for each in usable]
            elif not rule.flag and usable:
                leads += await self.leads_of(rule.target, usable)
        return leads


def _is_of(rule: NamingRule, transport: Transport) -> bool:
    return not rule.protocols or _PROTOCOLS[transport] in rule.protocols
