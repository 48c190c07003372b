"""Sockets for the listeners, and what addresses this host has."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import ifaddr

from stun import Address, Family
from turnd.settings import HostAddresses

_PROBES = {
    Family.IPV4: (socket.AF_INET, ("192.0.2.1", 9)),
    Family.IPV6: (socket.AF_INET6, ("2001:db8::1", 9)),
}
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


class ListenError(Exception):
    """A listening socket could not be opened; the message names the address and the reason."""


def host_addresses() -> HostAddresses:
    """Look at the host's interfaces and routes. Sends nothing."""
    interfaces = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            host = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            interfaces.add(Address.parse(host.partition("%")[0]).packed)
    primary = {}
    for family, (address_family, target) in _PROBES.items():
        packed = _source_towards(address_family, target)
        if packed is not None:
            primary[family] = packed
    if not primary:
        primary[Family.IPV4] = socket.inet_aton("127.0.0.1")
    return HostAddresses(frozenset(interfaces), primary)


def _source_towards(family: socket.AddressFamily, target: tuple[str, int]) -> bytes | None:
    """Return the packed address the kernel would send from; connecting UDP sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            return Address.from_sockaddr(probe.getsockname()).packed
    except OSError:
        return None


def open_udp(address: Address, receive_buffer: int) -> socket.socket:
    """Bind a non-blocking UDP socket.

    Raises:
        ListenError: the system refuses.

    """
    sock = _open(address, socket.SOCK_DGRAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, receive_buffer)
    return _bound(sock, address, "udp")


def open_tcp(address: Address, backlog: int) -> socket.socket:
    """Bind a non-blocking TCP socket and listen.

    Raises:
        ListenError: the system refuses.

    """
    sock = _open(address, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(sock, address, "tcp", backlog)


def check_relay_addresses(addresses: Iterable[Address]) -> None:
    """See that relays can be bound on the configured addresses: else every Allocate gets a 508.

    Raises:
        ListenError: this host has not one of them.

    """
    for address in addresses:
        sock = _open(address, socket.SOCK_DGRAM)
        try:
            sock.bind(address.with_port(0).sockaddr)
        except OSError as error:
            raise ListenError(
                f"relay.addresses: {address.host}: {error.strerror}; name addresses of this host, "
                "and what they are called outside of a NAT in relay.external"
            ) from error
        finally:
            sock.close()


def has_ipv6() -> bool:
    """Whether IPv6 sockets can be made and bound on this host at all."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _open(address: Address, kind: socket.SocketKind) -> socket.socket:
    try:
        sock = socket.socket(_FAMILIES[address.family], kind)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from error
    sock.setblocking(False)
    if address.family is Family.IPV6:
        # IPv4 has listeners of its own; a dual-stack socket would take their port.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _bound(
    sock: socket.socket, address: Address, what: str, backlog: int | None = None
) -> socket.socket:
    try:
        sock.bind(address.sockaddr)
        if backlog is not None:
            sock.listen(
                backlog
            )  # what another program has bound, and not yet listens on, ends here
    except OSError as error:
        sock.close()
        hint = {
            errno.EADDRINUSE: "; another program (coturn?) has that port",
            errno.EACCES: "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
            errno.EADDRNOTAVAIL: "; this host has no such address",
        }.get(error.errno or 0, "")
        raise ListenError(f"cannot listen on {what} {address}: {error.strerror}{hint}") from error
    return sock
