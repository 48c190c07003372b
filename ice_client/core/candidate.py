"""Candidates: transport addresses to try, with their types, foundations and priorities.

RFC 8445 §5.1.1.3 (foundations), §5.1.2 (priorities), RFC 8421 §4 (dual stack), RFC 6544 §4.2
(TCP). The shell gathers and makes them with `Foundations` and `local_candidate`; how they are
written in SDP is in `candidate_attribute`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from stun import Address, Family

MAX_LOCAL_PREFERENCE = 0xFFFF
MAX_COMPONENT = 256


class CandidateType(enum.Enum):
    """Where a candidate comes from (RFC 8445 §4), by its name in SDP."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"

    @property
    def is_reflexive(self) -> bool:
        """Whether the address is a NAT's, so that only its base can send."""
        return self in {CandidateType.SERVER_REFLEXIVE, CandidateType.PEER_REFLEXIVE}


class Transport(enum.Enum):
    """UDP, or TCP with the way connections are opened (RFC 6544 §4.1)."""

    UDP = "udp"
    TCP_ACTIVE = "tcp-active"
    TCP_PASSIVE = "tcp-passive"
    TCP_SO = "tcp-so"

    @property
    def is_tcp(self) -> bool:
        """Whether it is one of the TCP kinds."""
        return self is not Transport.UDP

    @property
    def counterpart(self) -> Transport:
        """What the peer's candidate must be for the two to pair (RFC 6544 §6.2)."""
        return _COUNTERPARTS.get(self, self)


_COUNTERPARTS = {
    Transport.TCP_ACTIVE: Transport.TCP_PASSIVE,
    Transport.TCP_PASSIVE: Transport.TCP_ACTIVE,
}

TCP_DISCARD_PORT = 9
"""The port that an active candidate is written with, having none (RFC 6544 §4.5)."""


@attrs.frozen(slots=True, cache_hash=True)
class Base:
    """What a candidate sends from; the shell finds its socket by it (RFC 8445 §4).

    A UDP host candidate's own address; a relayed candidate's relayed address; of a TCP
    candidate the listening address, or the local IP with port 9 where connections are
    only opened.

    Attributes:
        address: as above.
        transport: UDP and TCP may use the same address side by side.

    """

    address: Address
    transport: Transport = Transport.UDP

    def __str__(self) -> str:
        return f"{self.transport.value} {self.address}"


@attrs.frozen(slots=True, kw_only=True, cache_hash=True)
class Candidate:
    """One candidate, ours or the peer's.

    Attributes:
        foundation: 1 to 32 characters; alike where candidates are likely to work alike.
        component: 1 to 256; 1 is RTP or anything alone, 2 is RTCP.
        transport: UDP or a kind of TCP.
        priority: 1 to 2^31 - 1; higher is tried first.
        address: where to send; of an unresolved host name the unspecified IPv4 address
            with the right port.
        type: where it comes from.
        base_address: what it sends from (ours only); the address itself unless reflexive.
        related_address: for diagnostics: the base of a reflexive candidate, the mapped
            address of a relayed one; None to tell nothing.
        host_name: what stands in SDP in place of the IP address: an mDNS name (``….local``)
            or, in a peer's candidate, any other.
        username_fragment: which session's candidate it is (RFC 8839 §5.1's ``ufrag``
            extension); None when it does not say.
        generation: ``generation`` as libwebrtc has it; None when it does not say.
        network_id: ``network-id`` as libwebrtc has it.
        network_cost: ``network-cost`` as libwebrtc has it, 0 to 999.
        extensions: further extension names and values, in order.

    """

    foundation: str
    component: int
    transport: Transport = Transport.UDP
    priority: int
    address: Address
    type: CandidateType
    base_address: Address = attrs.field(
        default=attrs.Factory(lambda self: self.address, takes_self=True)
    )
    related_address: Address | None = None
    host_name: str | None = None
    username_fragment: str | None = None
    generation: int | None = None
    network_id: int | None = None
    network_cost: int | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    @property
    def base(self) -> Base:
        """What it sends from (ours only)."""
        return Base(self.base_address, self.transport)

    @property
    def needs_resolution(self) -> bool:
        """Whether it is the peer's, names a host, and `resolved` has yet to be asked."""
        return self.host_name is not None and self.address.host == "0.0.0.0"  # noqa: S104

    def resolved(self, host: Address) -> Candidate:
        """Return it with the IP address of `host` (its port is ignored) for its host name."""
        address = host.with_port(self.address.port)
        return attrs.evolve(self, address=address, base_address=address)


TYPE_PREFERENCES = {
    # RFC 8445 §5.1.2.2
    (CandidateType.HOST, False): 126,
    (CandidateType.PEER_REFLEXIVE, False): 110,
    (CandidateType.SERVER_REFLEXIVE, False): 100,
    (CandidateType.RELAYED, False): 0,
    # RFC 6544 §4.2: where UDP works it is better for media, so every TCP type but the relayed
    # is below every UDP type of these.
    (CandidateType.HOST, True): 90,
    (CandidateType.PEER_REFLEXIVE, True): 80,
    (CandidateType.SERVER_REFLEXIVE, True): 70,
    (CandidateType.RELAYED, True): 0,
}
"""Type preferences by type and by whether it is TCP."""

# RFC 6544 §4.2: active connections get out of NATs best; reflexive ones need both sides to open.
_DIRECTION_PREFERENCES = {
    (Transport.TCP_ACTIVE, False): 6,
    (Transport.TCP_PASSIVE, False): 4,
    (Transport.TCP_SO, False): 2,
    (Transport.TCP_SO, True): 6,
    (Transport.TCP_ACTIVE, True): 4,
    (Transport.TCP_PASSIVE, True): 2,
}
_OTHER_PREFERENCE_BITS = 13


def priority(type_preference: int, local_preference: int, component: int) -> int:
    """Return a candidate's priority by the recommended formula (RFC 8445 §5.1.2.1).

    Args:
        type_preference: 0 to 126.
        local_preference: 0 to 65535.
        component: 1 to 256.

    Raises:
        ValueError: a number is out of its range.

    """
    if not 0 <= type_preference <= 126:
        raise ValueError(f"type preference {type_preference} is not within 0-126")
    if not 0 <= local_preference <= MAX_LOCAL_PREFERENCE:
        raise ValueError(f"local preference {local_preference} is not within 0-65535")
    if not 1 <= component <= MAX_COMPONENT:
        raise ValueError(f"component {component} is not within 1-256")
    return type_preference << 24 | local_preference << 8 | 256 - component


def candidate_priority(
    kind: CandidateType,
    transport: Transport,
    component: int,
    local_preference: int = MAX_LOCAL_PREFERENCE,
) -> int:
    """Return the priority of a candidate of that type and transport.

    Of TCP candidates the upper 3 bits of the local preference are the direction's
    (RFC 6544 §4.2), and the upper 13 of `local_preference` follow them.
    """
    if transport.is_tcp:
        direction = _DIRECTION_PREFERENCES[transport, kind.is_reflexive]
        other = local_preference >> 16 - _OTHER_PREFERENCE_BITS
        local_preference = direction << _OTHER_PREFERENCE_BITS | other
    return priority(TYPE_PREFERENCES[kind, transport.is_tcp], local_preference, component)


def peer_reflexive_priority(candidate: Candidate) -> int:
    """Return what our check from `candidate` tells in PRIORITY (RFC 8445 §7.1.1).

    That is the priority of the candidate that the check may bring to light: the type
    preference is the peer-reflexive one's, the rest stays.
    """
    preference = TYPE_PREFERENCES[CandidateType.PEER_REFLEXIVE, candidate.transport.is_tcp]
    return preference << 24 | candidate.priority & 0xFFFFFF


def local_preferences(addresses: Sequence[Address]) -> list[int]:
    """Return the local preference of each of a host's addresses (RFC 8445 §5.1.2.1, RFC 8421 §4).

    Args:
        addresses: the best first (RFC 6724), each family among itself; ports do not matter.

    IPv6 comes first, but IPv4 is spread evenly among it, so that a family that is
    broken does not hold up the checks of the one that works.
    """
    of_family = {
        family: [index for index, one in enumerate(addresses) if one.family is family]
        for family in Family
    }
    ipv4, ipv6 = of_family[Family.IPV4], of_family[Family.IPV6]
    # RFC 8421 §4: one in so many is IPv4; where IPv4 is in the majority the two alternate.
    every = max(2, (len(ipv4) + len(ipv6)) // len(ipv4)) if ipv4 else 0
    preferences = [0] * len(addresses)
    for place in range(len(addresses)):
        turn = ipv4 if ipv4 and (place + 1) % every == 0 else ipv6
        chosen = (turn or ipv4 or ipv6).pop(0)
        preferences[chosen] = MAX_LOCAL_PREFERENCE - place
    return preferences


class Foundations:
    """Gives our candidates their foundations (RFC 8445 §5.1.1.3): one object per agent.

    Two candidates get the same one if type, base IP, server IP and transport protocol are
    the same.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[CandidateType, bytes, bytes | None, bool], int] = {}

    def of(
        self,
        kind: CandidateType,
        base: Address,
        transport: Transport = Transport.UDP,
        server: Address | None = None,
    ) -> str:
        """Return the foundation.

        Args:
            kind: the candidate's type.
            base: its base; the port does not matter.
            transport: its transport.
            server: of the STUN or TURN server it was obtained from, as contacted.

        """
        key = (kind, base.packed, server.packed if server else None, transport.is_tcp)
        return str(self._numbers.setdefault(key, len(self._numbers) + 1))


def local_candidate(
    kind: CandidateType,
    address: Address,
    foundations: Foundations,
    *,
    component: int = 1,
    transport: Transport = Transport.UDP,
    base: Address | None = None,
    server: Address | None = None,
    related_address: Address | None = None,
    local_preference: int = MAX_LOCAL_PREFERENCE,
    host_name: str | None = None,
    network_cost: int | None = None,
) -> Candidate:
    """Make a candidate of ours, with its foundation and priority.

    Args:
        kind: its type.
        address: its transport address.
        foundations: the agent's.
        component: 1 to 256.
        transport: UDP or a kind of TCP.
        base: of a server-reflexive candidate the address it was obtained from; else None.
        server: the STUN or TURN server's address, if one was used.
        related_address: see `Candidate`.
        local_preference: from `local_preferences`; unique among those of one type.
        host_name: the mDNS name to tell instead of the address.
        network_cost: see `Candidate`.

    Raises:
        ValueError: component or local preference are out of range.

    """
    # A relayed candidate's base is the relayed address (RFC 8445 §5.1.1.2).
    base = address if base is None else base
    return Candidate(
        foundation=foundations.of(kind, base, transport, server),
        component=component,
        transport=transport,
        priority=candidate_priority(kind, transport, component, local_preference),
        address=address,
        type=kind,
        base_address=base,
        related_address=related_address,
        host_name=host_name,
        network_cost=network_cost,
    )
