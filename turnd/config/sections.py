"""The sections of `turnd.toml` as frozen structs: every key, its type, bound and default.

Times are seconds, rates are per second, bandwidth is bytes per second of payload in
each direction; 0 means "no limit" where a limit is asked for. `conf/turnd.toml`
explains every key to the operator; what is said here is what code has to know.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from turnd.config.auth_sections import Auth, Realm
from turnd.config.listeners import Listener, merge_listeners
from turnd.config.values import (
    AddressRange,
    Endpoint,
    ExternalAddress,
    FilePath,
    IpAddress,
    Network,
    PortRange,
    Secret,
)

Limit = Annotated[int, Meta(ge=0)]
Bandwidth = Annotated[int, Meta(ge=0, le=2**48)]
Lifetime = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
Timeout = Annotated[float, Meta(gt=0, le=86400)]
Port = Annotated[int, Meta(ge=1, le=0xFFFF)]
BufferSize = Annotated[int, Meta(ge=0, le=2**30)]


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: the process.

    Attributes:
        realm: the default realm (RFC 8489 §9.2), at most 127 characters.
        software: value of SOFTWARE in authenticated replies; ``""`` sends none.
        datapath: which engine moves packets.
        threads: of the native engine; 0 is one per core.
        user: drop to this user after the sockets are bound; ``""`` stays.
        group: drop to this group; ``""`` is the user's own.
        pidfile: where to write the process id; ``""`` writes none.

    """

    realm: Annotated[str, Meta(min_length=1, max_length=127)] = "turnd.local"
    software: Annotated[str, Meta(max_length=127)] = ""
    datapath: Literal["auto", "portable", "native"] = "auto"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    user: str = ""
    group: str = ""
    pidfile: FilePath = FilePath()


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[listen]`: where clients come in.

    Attributes:
        udp: transport addresses for STUN over UDP.
        tcp: transport addresses for STUN over TCP.
        tls: transport addresses for STUN over TLS; ``()`` turns TLS off on every port.
        dtls: transport addresses for STUN over DTLS; ``()`` turns DTLS off on every port.
        detect_tls: plain and secured clients share each port, told apart by first bytes.
        proxy_protocol: proxies whose TCP connections start with a PROXY v1 or v2 header.
        max_connections: streams at once, and as many DTLS sessions.
        max_connections_per_address: the same for one IPv4 address or IPv6 /64.
        handshake_timeout: until the TLS or DTLS handshake (or the PROXY header) is done.
        idle_timeout: until a stream or DTLS session must hold an allocation.
        backlog: of each listening socket (`listen(2)`).
        receive_buffer: SO_RCVBUF of each UDP listener, bytes; 0 is the system's default.
        classic_stun: answer Binding requests without magic cookie (RFC 3489).

    """

    udp: tuple[Endpoint, ...] = (Endpoint("0.0.0.0:3478"), Endpoint("[::]:3478"))
    tcp: tuple[Endpoint, ...] = (Endpoint("0.0.0.0:3478"), Endpoint("[::]:3478"))
    tls: tuple[Endpoint, ...] = (Endpoint("0.0.0.0:5349"), Endpoint("[::]:5349"))
    dtls: tuple[Endpoint, ...] = (Endpoint("0.0.0.0:5349"), Endpoint("[::]:5349"))
    detect_tls: bool = True
    proxy_protocol: tuple[Network, ...] = ()
    max_connections: Annotated[int, Meta(ge=1)] = 10000
    max_connections_per_address: Limit = 1000
    handshake_timeout: Timeout = 10.0
    idle_timeout: Timeout = 60.0
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024
    receive_buffer: BufferSize = 4 * 1024 * 1024
    classic_stun: bool = True

    @property
    def streams(self) -> tuple[Listener, ...]:
        """The TCP ports to open, each once, with what it takes."""
        return merge_listeners(self.tcp, self.tls, detect=self.detect_tls)

    @property
    def datagrams(self) -> tuple[Listener, ...]:
        """The UDP ports to open, each once, with what it takes."""
        return merge_listeners(self.udp, self.dtls, detect=self.detect_tls)


class NatDiscovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[nat_discovery]`: RFC 5780, on while there is an alternate address.

    Attributes:
        alternate_address: the second IP address; None turns RFC 5780 off. The first one is
            the first address of its family in `listen.udp`.
        alternate_port: the second port, on both addresses.

    """

    alternate_address: IpAddress | None = None
    alternate_port: Port = 3479


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tls]`: certificate and protocol of TLS and DTLS.

    Attributes:
        certificate: PEM file with the certificate and its chain; ``""`` makes one.
        private_key: PEM file with the certificate's key.
        private_key_password: if the key is encrypted.
        minimum_version: the oldest TLS that is taken; DTLS is 1.2, always.
        ciphers: OpenSSL cipher list for 1.2; ``""`` is forward-secret AEAD suites.
        self_signed_names: names and IP addresses in the certificate that is made.

    """

    certificate: FilePath = FilePath()
    private_key: FilePath = FilePath()
    private_key_password: Secret = Secret()
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: str = ""
    self_signed_names: tuple[str, ...] = ()


class Relay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[relay]`: relayed transport addresses and lifetimes (RFC 8656).

    Attributes:
        addresses: local IP addresses to bind relays on; ``()`` detects them.
        ports: the range relayed ports come from.
        external: outside names of relay addresses behind a 1:1 NAT.
        shared: have allocations share relayed transport addresses, one for each thread and IP
            address. No two can then have the same peer, nor reach each other.
        udp: offer UDP allocations. With `tcp` off too the server speaks STUN only.
        tcp: offer TCP allocations (RFC 6062).
        default_lifetime: of an allocation that asks for none.
        maximum_lifetime: the most an allocation or a refresh is given.
        permission_lifetime: RFC 8656 §9 fixes 300.
        channel_lifetime: RFC 8656 §12 fixes 600.
        preserve_dscp: copy DSCP and ECN between incoming and outgoing packets.
        receive_buffer: SO_RCVBUF of each relay socket, bytes; 0 is the system's default.

    """

    addresses: tuple[IpAddress, ...] = ()
    ports: PortRange = PortRange("49152-65535")
    external: tuple[ExternalAddress, ...] = ()
    shared: bool = False
    udp: bool = True
    tcp: bool = True
    default_lifetime: Lifetime = 600
    maximum_lifetime: Lifetime = 3600
    permission_lifetime: Lifetime = 300
    channel_lifetime: Lifetime = 600
    preserve_dscp: bool = True
    receive_buffer: BufferSize = 0


class Peers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[peers]`: whom clients may reach through the relay.

    Attributes:
        allow: beats `deny` and `deny_special`.
        deny: never reached unless allowed.
        deny_special: also deny every special-purpose range (private, loopback, …).

    """

    allow: tuple[AddressRange, ...] = ()
    deny: tuple[AddressRange, ...] = ()
    deny_special: bool = True


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[quota]`: what is the most of everything.

    Attributes:
        allocations: on the whole server.
        allocations_per_user: of one user of one realm.
        allocations_per_address: from one client IPv4 address or IPv6 /64.
        permissions_per_allocation: peer IP addresses.
        channels_per_allocation: channel bindings.
        tcp_connections_per_allocation: peer connections (RFC 6062).
        bandwidth_per_allocation: bytes per second in each direction.
        bandwidth_total: bytes per second in each direction, all allocations together.

    """

    allocations: Limit = 0
    allocations_per_user: Limit = 0
    allocations_per_address: Limit = 0
    permissions_per_allocation: Annotated[int, Meta(ge=1, le=65536)] = 512
    channels_per_allocation: Annotated[int, Meta(ge=1, le=16384)] = 512
    tcp_connections_per_allocation: Annotated[int, Meta(ge=1, le=4096)] = 64
    bandwidth_per_allocation: Bandwidth = 0
    bandwidth_total: Bandwidth = 0


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[rate_limit]`: replies to requests that prove no credential.

    Attributes:
        unauthenticated_per_prefix: replies per second to one IPv4 /24 or IPv6 /56, twice as
            many at once; 0 is off.

    """

    unauthenticated_per_prefix: Annotated[float, Meta(ge=0, le=1_000_000)] = 200.0


class Mobility(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[mobility]`: RFC 8016.

    Attributes:
        enabled: give out and take mobility tickets.

    """

    enabled: bool = False


class Redirect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[redirect]`: send Allocate requests elsewhere (error 300, RFC 8489 §10).

    Attributes:
        alternate_servers: for clients over UDP and TCP, in turns, of the client's family.
        tls_alternate_servers: for clients over TLS and DTLS.

    """

    alternate_servers: tuple[Endpoint, ...] = ()
    tls_alternate_servers: tuple[Endpoint, ...] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[log]`: what is told, how, and where.

    Attributes:
        level: the least that is told.
        format: ``"auto"`` is human on a terminal, else JSON.
        file: appended to and reopened on HUP; ``""`` is standard error.

    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "human"] = "auto"
    file: FilePath = FilePath()


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[metrics]`: the HTTP port with Prometheus metrics, health and readiness.

    Attributes:
        listen: its transport address; None turns it off.
        per_realm: label counters with the realm.
        per_user: label the gauge of allocations with the user: as many series as users.

    """

    listen: Endpoint | None = Endpoint("127.0.0.1:9641")
    per_realm: bool = True
    per_user: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. Made by `load_config`, which also checks it across sections."""

    server: Server = Server()
    listen: Listen = Listen()
    nat_discovery: NatDiscovery = NatDiscovery()
    tls: Tls = Tls()
    relay: Relay = Relay()
    auth: Auth = Auth()
    realms: tuple[Realm, ...] = ()
    peers: Peers = Peers()
    quota: Quota = Quota()
    rate_limit: RateLimit = RateLimit()
    mobility: Mobility = Mobility()
    redirect: Redirect = Redirect()
    log: Log = Log()
    metrics: Metrics = Metrics()
