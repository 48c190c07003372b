"""Socket options, ancillary data and the error queue of UDP sockets on Linux.

The numbers that Python's `socket` has no name for are Linux's (linux/in.h, linux/in6.h,
asm-generic/socket.h); elsewhere those features are left out.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

import attrs

from stun import Address, Family
from turnd.core.tables import RelayUnavailableError

LINUX = sys.platform == "linux"
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IP_RECVERR = 11
IP_RECVTOS = 13
IP_PMTUDISC_DONT = 0
IP_PMTUDISC_DO = 2
IPV6_RECVERR = 25
IPV6_DONTFRAG = 62
SO_RXQ_OVFL = 40
MSG_ERRQUEUE = 0x2000

ANCILLARY_SIZE = 256
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_EXTENDED_ERROR = struct.Struct("=IBBBBII")

Ancillary = Iterable[tuple[int, int, bytes]]
AncillaryOut = list[tuple[int, int, bytes]]


def open_relay_socket(local: Address, receive_buffer: int, *, dscp: bool) -> socket.socket:
    """Bind a relay socket.

    Raises:
        RelayUnavailableError: the system refuses.

    """
    v4 = local.family is Family.IPV4
    try:
        sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError as error:
        raise RelayUnavailableError(f"{local}: {error.strerror}", in_use=False) from error
    try:
        sock.setblocking(False)
        if not v4:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind(local.sockaddr)
    except OSError as error:
        sock.close()
        in_use = error.errno == errno.EADDRINUSE
        raise RelayUnavailableError(f"{local}: {error.strerror}", in_use=in_use) from error
    prepare(sock, v4=v4, relay=True, dscp=dscp, wildcard=False)
    return sock


def prepare(sock: socket.socket, *, v4: bool, relay: bool, dscp: bool, wildcard: bool) -> None:
    """Ask for ancillary data. Each option refines; a system without it relays all the same."""
    options: list[tuple[int, int, int]] = []
    if LINUX:
        options.append((socket.SOL_SOCKET, SO_RXQ_OVFL, 1))
    if v4 and LINUX:
        options.append((socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT))
        options += [(socket.IPPROTO_IP, IP_RECVTOS, 1)] * dscp
        options += [(socket.IPPROTO_IP, IP_RECVERR, 1)] * relay
        options += [(socket.IPPROTO_IP, IP_PKTINFO, 1)] * wildcard
    elif not v4:
        options += [(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)] * dscp
        options += [(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)] * wildcard
        options += [(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)] * (relay and LINUX)
    for level, option, value in options:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, value)


def set_dont_fragment(sock: socket.socket, *, v4: bool, on: bool) -> None:
    """Switch the DF bit of what the socket sends (RFC 8656 §14)."""
    with contextlib.suppress(OSError):
        if v4:
            value = IP_PMTUDISC_DO if on else IP_PMTUDISC_DONT
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, value)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, on)


@attrs.define(slots=True)
class Received:
    """What ancillary data says of a datagram.

    Attributes:
        tos: its DSCP and ECN byte.
        destination: the packed IP address it was sent to, if the socket is bound to a wildcard.
        overflow: datagrams the socket has lost since it was made, if it says so.

    """

    tos: int = 0
    destination: bytes = b""
    overflow: int | None = None


def read_ancillary(ancillary: Ancillary) -> Received:
    """Read a datagram's ancillary data. Hot."""
    received = Received()
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP:
            if kind == socket.IP_TOS:
                received.tos = data[0]
            elif kind == IP_PKTINFO:
                received.destination = data[8:12]
        elif level == socket.IPPROTO_IPV6:
            if kind == socket.IPV6_TCLASS:
                received.tos = int.from_bytes(data[:4], sys.byteorder)
            elif kind == socket.IPV6_PKTINFO:
                received.destination = data[:16]
        elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
            received.overflow = int.from_bytes(data[:4], sys.byteorder)
    return received


def tos_ancillary(tos: int, *, v4: bool) -> AncillaryOut:
    """Return the ancillary data that sets a datagram's DSCP and ECN byte."""
    value = struct.pack("=i", tos)
    if v4:
        return [(socket.IPPROTO_IP, socket.IP_TOS, value)]
    return [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)]


def source_ancillary(source: bytes, scope: int) -> AncillaryOut:
    """Return the ancillary data that makes a datagram leave from that local IP address."""
    if len(source) == 4:
        return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, source, bytes(4)))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source + struct.pack("=I", scope))]


@attrs.frozen(slots=True)
class IcmpError:
    """An ICMP error that a datagram to `peer` caused; `data` is the MTU where it is too big."""

    peer: Address
    type: int
    code: int
    data: int


def drain_error_queue(sock: socket.socket, most: int) -> Iterator[IcmpError]:
    """Yield the ICMP errors that RFC 8656 §11.5 wants passed on, at most `most` of all."""
    if not LINUX:
        return
    for _ in range(most):
        try:
            _, ancillary, _, destination = sock.recvmsg(1, 512, MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) not in {
                (socket.IPPROTO_IP, IP_RECVERR),
                (socket.IPPROTO_IPV6, IPV6_RECVERR),
            }:
                continue
            _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            v4 = origin == _ORIGIN_ICMP
            if not (v4 and icmp_type in {3, 11}) and not (
                origin == _ORIGIN_ICMP6 and icmp_type in {1, 2, 3}
            ):
                continue
            too_big = (icmp_type == 3 and code == 4) if v4 else icmp_type == 2
            peer = Address.from_sockaddr(destination)
            yield IcmpError(peer, icmp_type, code, info if too_big else 0)
