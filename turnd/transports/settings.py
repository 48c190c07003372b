"""What the transports have to know from the configuration: plain immutable values.

The application maps its configuration file onto these; nothing here reads files or
the environment. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

import enum
import ipaddress
import socket

import attrs

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ListenerKind(enum.Enum):
    """What a stream listener was declared as."""

    TCP = "tcp"
    TLS = "tls"


@attrs.frozen(slots=True)
class Listener:
    """A bound stream socket that clients connect to.

    Attributes:
        kind: what is expected on it. With `StreamSettings.detect_tls` the first byte
            decides instead, and a listener of either kind serves both, as coturn's do.
        socket: listening and non-blocking.

    """

    kind: ListenerKind
    socket: socket.socket


@attrs.frozen(slots=True)
class StreamSettings:
    """Bounds of TCP and TLS clients.

    Attributes:
        detect_tls: tell plain and TLS apart by the first byte on every stream listener.
        trusted_proxies: networks whose connections begin with a PROXY protocol header. It is
            required from them: the specification forbids guessing whether there is one.
            From everyone else such a header is a protocol error.
        max_connections: client connections at a time.
        max_connections_per_address: the same from one IPv4 address or one IPv6 /64.
        handshake_timeout: seconds a PROXY header, or a TLS handshake, may take.
        idle_timeout: seconds a stream that holds no allocation may go without sending a
            whole message.
        close_timeout: seconds a client has to close its side after the server closed its own.
        send_queue_bytes: bytes that may wait for a client beyond the kernel's own buffer;
            what does not fit is dropped, never waited for.
        keepalive_idle: seconds of silence before TCP keepalive probes begin.
        user_timeout: seconds that sent data may stay unacknowledged (TCP_USER_TIMEOUT).

    """

    detect_tls: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    max_connections: int = 10_000
    max_connections_per_address: int = 1_000
    handshake_timeout: float = 15.0
    idle_timeout: float = 60.0
    close_timeout: float = 5.0
    send_queue_bytes: int = 256 * 1024
    keepalive_idle: int = 60
    user_timeout: int = 120


@attrs.frozen(slots=True)
class DtlsSettings:
    """Bounds of DTLS clients.

    Attributes:
        mtu: bytes of UDP payload that a handshake flight's datagrams may have. 1,200 fits
            IPv6's minimum MTU.
        max_sessions: sessions and handshakes at a time.
        max_sessions_per_address: the same from one IPv4 address or one IPv6 /64.
        handshake_timeout: seconds from the valid cookie to the end of the handshake.
        idle_timeout: seconds of silence after which a session without an allocation ends.

    """

    mtu: int = 1200
    max_sessions: int = 10_000
    max_sessions_per_address: int = 1_000
    handshake_timeout: float = 30.0
    idle_timeout: float = 60.0


@attrs.frozen(slots=True)
class TcpRelaySettings:
    """Bounds of TCP allocations (RFC 6062).

    Attributes:
        connect_timeout: seconds to connect to a peer; RFC 6062 §5.2 wants 30 at least.
        half_close_timeout: seconds without data after which a connection of which one end
            has stopped sending is closed.
        buffer_bytes: bytes of one direction of one connection held beyond the kernel's buffers.
        max_connections: peer connections at a time.
        max_connections_per_allocation: the same for one allocation.
        total_bandwidth: payload bytes per second of all TCP allocations together in each
            direction, 0 for no limit.

    """

    connect_timeout: float = 30.0
    half_close_timeout: float = 60.0
    buffer_bytes: int = 64 * 1024
    max_connections: int = 5_000
    max_connections_per_allocation: int = 64
    total_bandwidth: int = 0


class TlsVersion(enum.Enum):
    """The oldest protocol version a client may come with (DTLS has no 1.3 here yet)."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@attrs.frozen(slots=True)
class TlsSettings:
    """What TLS and DTLS clients are offered.

    Attributes:
        minimum_version: of TLS. DTLS is 1.2, always.
        ciphers: OpenSSL cipher list for TLS and DTLS 1.2; None for forward-secret AEAD suites.

    """

    minimum_version: TlsVersion = TlsVersion.TLS_1_2
    ciphers: str | None = None
