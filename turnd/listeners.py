"""Every socket the server listens on: bound before privileges are dropped, closed together."""

from __future__ import annotations

import socket

import attrs
import structlog

from stun import Address, Family
from turnd.config import Config
from turnd.network import ListenError, check_relay_addresses, has_ipv6, open_tcp, open_udp
from turnd.settings import nat_discovery
from turnd.transports.settings import Listener, ListenerKind

log = structlog.get_logger("turnd")


@attrs.frozen(slots=True)
class Listeners:
    """Bound sockets.

    Attributes:
        udp: for the engine.
        streams: for the TCP and TLS transport.
        plain_udp_ports: UDP ports that take STUN as it is.
        dtls_ports: UDP ports that take DTLS.

    """

    udp: tuple[socket.socket, ...]
    streams: tuple[Listener, ...]
    plain_udp_ports: frozenset[int]
    dtls_ports: frozenset[int]

    @property
    def addresses(self) -> frozenset[Address]:
        """What they are bound to."""
        sockets = [*self.udp, *(listener.socket for listener in self.streams)]
        return frozenset(Address.from_sockaddr(sock.getsockname()) for sock in sockets)

    def close(self) -> None:
        """Close them all."""
        for sock in (*self.udp, *(listener.socket for listener in self.streams)):
            sock.close()


def open_listeners(config: Config) -> Listeners:
    """Bind everything `[listen]` and `[nat_discovery]` ask for.

    Raises:
        ListenError: an address can't be bound, or relays can't be; what was bound before is
            closed.

    """
    check_relay_addresses(each.address for each in config.relay.addresses)
    udp: list[socket.socket] = []
    streams: list[Listener] = []
    plain: set[int] = set()
    secured: set[int] = set()
    try:
        for listener in config.listen.datagrams:
            if _can_bind(listener.endpoint.address):
                sock = open_udp(listener.endpoint.address, config.listen.receive_buffer)
                udp.append(sock)
                port = sock.getsockname()[1]
                plain |= {port} if listener.plain else set()
                secured |= {port} if listener.secured else set()
        for address in _discovery_addresses(config):
            udp.append(open_udp(address, config.listen.receive_buffer))
            plain.add(address.port)
        for listener in config.listen.streams:
            if _can_bind(listener.endpoint.address):
                sock = open_tcp(listener.endpoint.address, config.listen.backlog)
                kind = ListenerKind.TCP if listener.plain else ListenerKind.TLS
                streams.append(Listener(kind, sock))
    except ListenError:
        Listeners(tuple(udp), tuple(streams), frozenset(), frozenset()).close()
        raise
    return Listeners(tuple(udp), tuple(streams), frozenset(plain), frozenset(secured))


def _can_bind(address: Address) -> bool:
    """Leave the IPv6 wildcard out on hosts without IPv6: the defaults name it."""
    if address.family is Family.IPV6 and not any(address.packed) and not has_ipv6():
        log.info("no-ipv6", address=str(address), detail="this host has no IPv6; left out")
        return False
    return True


def _discovery_addresses(config: Config) -> list[Address]:
    """Return the three transport addresses that RFC 5780 needs besides the first listener."""
    discovery = nat_discovery(config)
    if discovery is None:
        return []
    one, two = discovery.primary, discovery.alternate
    wanted = [
        Address(one.packed, two.port),
        Address(two.packed, one.port),
        Address(two.packed, two.port),
    ]
    listed = {endpoint.address for endpoint in config.listen.udp}
    return [address for address in wanted if address not in listed]
