"""What the core must know of the configuration, in its own terms.

The application makes one from `turnd.config`; a reload makes another and hands it to
`TurnServer.reconfigure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from stun import Address, Family
from stun.values import MD5, SHA256, PasswordAlgorithm
from turnd.core.peer_policy import PeerPolicy


@attrs.frozen(slots=True, kw_only=True)
class Lifetimes:
    """Lifetimes in seconds (RFC 8656 §3.2, §7.2, §9, §12)."""

    default: int = 600
    maximum: int = 3600
    permission: int = 300
    channel: int = 600
    nonce: int = 600
    reservation: int = 30
    """RFC 8656 §7.2: a reserved port is held for at least 30 seconds."""


@attrs.frozen(slots=True, kw_only=True)
class Limits:
    """Upper bounds; 0 is no limit except where said otherwise.

    A port reserved with EVEN-PORT counts as an allocation until it is taken up or let go.

    Attributes:
        allocations: of the whole server or realm.
        allocations_per_user: of one user of one realm.
        allocations_per_address: from one client IPv4 address or IPv6 /64.
        permissions_per_allocation: never unlimited.
        channels_per_allocation: never unlimited.
        connections_per_allocation: RFC 6062 peer connections, never unlimited.
        bandwidth: payload bytes per second and direction of one allocation.

    """

    allocations: int = 0
    allocations_per_user: int = 0
    allocations_per_address: int = 0
    permissions_per_allocation: int = 512
    channels_per_allocation: int = 512
    connections_per_allocation: int = 64
    bandwidth: int = 0


@attrs.frozen(slots=True)
class RelayIp:
    """An IP address relays are bound to, and the one it has outside (1:1 NAT); both packed."""

    local: bytes
    public: bytes

    @property
    def family(self) -> Family:
        """The family of both."""
        return Family.IPV4 if len(self.local) == 4 else Family.IPV6


@attrs.frozen(slots=True)
class NatDiscovery:
    """The two IP addresses and two ports of an RFC 5780 server.

    Attributes:
        primary: the first listener, as clients name it.
        alternate: the other IP address and the other port.
        public: outside names of the two IP addresses, by packed local address; only
            those that differ.

    """

    primary: Address
    alternate: Address
    public: Mapping[bytes, bytes] = attrs.field(factory=dict)


@attrs.frozen(slots=True, kw_only=True)
class Settings:
    """Everything the core decides by.

    Attributes:
        realm: the realm that a client without ORIGIN is asked for.
        realms: limits of each realm there is, `realm` included.
        origins: realm by the value of ORIGIN.
        authenticate: False lets everybody relay (RFC 8656 §7.2 point 1).
        authenticate_binding: ask for credentials on Binding too.
        password_algorithms: offered, best first; empty: MD5, as RFC 5389 knew it.
        username_anonymity: tell clients to send USERHASH. RFC 8489 §9.2.5 leaves them no choice
            then, so not where names are valid that only the client knows: time-limited ones.
        oauth_server_name: THIRD-PARTY-AUTHORIZATION's value; empty without OAuth.
        software: SOFTWARE on authenticated responses; empty for none.
        denied_endpoints: this server's listeners, admin and database addresses: never peers.
        relay_ips: where relays may be bound.
        relay_ports: lowest and highest relay port, inclusive.
        shared_relays: whether allocations share relayed transport addresses, where they can.
        relay_udp: whether UDP may be relayed.
        relay_tcp: whether TCP allocations (RFC 6062) are granted.
        alternate_servers: send every Allocate there (300); empty to serve.
        tls_alternate_servers: the same for clients over TLS and DTLS.
        draining: refuse new allocations, keep the old ones.
        classic: answer RFC 3489 Binding requests.
        unauthenticated_rate: replies per second to one source prefix before
            authentication, 0 for no limit.
        unauthenticated_burst: such replies at once after a quiet time.

    """

    realm: str
    realms: Mapping[str, Limits]
    origins: Mapping[str, str] = attrs.field(factory=dict)
    limits: Limits = Limits()
    lifetimes: Lifetimes = Lifetimes()
    policy: PeerPolicy
    authenticate: bool = True
    authenticate_binding: bool = False
    password_algorithms: tuple[PasswordAlgorithm, ...] = (SHA256, MD5)
    username_anonymity: bool = True
    oauth_server_name: str = ""
    software: str = ""
    denied_endpoints: frozenset[Address] = frozenset()
    relay_ips: Sequence[RelayIp]
    relay_ports: tuple[int, int] = (49152, 65535)
    shared_relays: bool = False
    relay_udp: bool = True
    relay_tcp: bool = True
    nat_discovery: NatDiscovery | None = None
    mobility: bool = False
    alternate_servers: tuple[Address, ...] = ()
    tls_alternate_servers: tuple[Address, ...] = ()
    draining: bool = False
    classic: bool = True
    unauthenticated_rate: float = 0
    unauthenticated_burst: float = 1000
