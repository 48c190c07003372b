"""Socket options and ancillary data of UDP sockets: DSCP and ECN, destination, overflow.

The numbers that Python's `socket` has no name for are Linux's (linux/in.h,
asm-generic/socket.h); elsewhere those features are left out, and packets move all the same.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Iterable

LINUX = sys.platform == "linux"
ANCILLARY_SIZE = 128
"""Room for all that `prepare` asks for: PKTINFO 40, TOS or TCLASS 24, overflow 24 bytes."""
LARGEST_DATAGRAM = 65535

_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_RECVTOS = 13
_IP_PMTUDISC_DO = 2
_IP_PMTUDISC_OMIT = 5
"""No DF, as with IP_PMTUDISC_DONT, but ICMP's "fragmentation needed" is still told to the
socket: the answer to a packet with DF may come after packets without it. And what a forged
one says of the path's MTU is not believed."""
_IPV6_DONTFRAG = 62
_SO_RXQ_OVFL = 40
_PKTINFO4 = struct.Struct("=i4s4s")
_PKTINFO6 = struct.Struct("=16sI")

Ancillary = Iterable[tuple[int, int, bytes]]
AncillaryOut = list[tuple[int, int, bytes]]

PLAIN_V4: AncillaryOut = [(socket.IPPROTO_IP, socket.IP_TOS, b"\0")]
PLAIN_V6: AncillaryOut = [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, bytes(4))]
"""What nearly every datagram on a concrete address says of itself: nothing."""


def prepare(sock: socket.socket, *, v4: bool, dscp: bool, wildcard: bool) -> None:
    """Ask for ancillary data, and for packets without DF. A refused option is done without."""
    options: list[tuple[int, int, int]] = []
    if LINUX:
        options.append((socket.SOL_SOCKET, _SO_RXQ_OVFL, 1))
        if v4:
            options.append((socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT))
            options += [(socket.IPPROTO_IP, _IP_PKTINFO, 1)] * wildcard
    if not v4:
        options += [(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)] * wildcard
    _set_all(sock, options)
    if dscp:
        receive_tos(sock, v4=v4, on=True)


def receive_tos(sock: socket.socket, *, v4: bool, on: bool) -> None:
    """Have each datagram's DSCP and ECN byte told, or no longer (RFC 8656 §14)."""
    if not v4:
        _set_all(sock, [(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, on)])
    elif LINUX:
        _set_all(sock, [(socket.IPPROTO_IP, _IP_RECVTOS, on)])


def set_dont_fragment(sock: socket.socket, *, v4: bool, on: bool) -> bool:
    """Switch the DF bit of what the socket sends (RFC 8656 §14); False if that can't be done."""
    if not LINUX:
        return not on
    try:
        if v4:
            value = _IP_PMTUDISC_DO if on else _IP_PMTUDISC_OMIT
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, value)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, on)
    except OSError:
        return False
    return True


def read_ancillary(ancillary: Ancillary) -> tuple[int, bytes, int]:
    """Read a datagram's ancillary data. Hot.

    Returns:
        The DSCP and ECN byte; the packed IP address it was sent to, with the interface's number
        after it if link-local (empty if not told); and how many datagrams the socket has lost
        since it was made (-1 if not told).

    """
    tos, destination, overflow = 0, b"", -1
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP:
            if kind == socket.IP_TOS:
                tos = data[0]
            elif kind == _IP_PKTINFO:
                destination = data[8:12]
        elif level == socket.IPPROTO_IPV6:
            if kind == socket.IPV6_TCLASS:
                tos = int.from_bytes(data[:4], sys.byteorder)
            elif kind == socket.IPV6_PKTINFO:
                destination = data[:20] if data[:2] == b"\xfe\x80" else data[:16]
        elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
            overflow = int.from_bytes(data[:4], sys.byteorder)
    return tos, destination, overflow


def source_ancillary(source: bytes, scope: int) -> AncillaryOut:
    """Return the ancillary data that makes a datagram leave from that local IP address."""
    if len(source) == 4:
        return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(0, source, bytes(4)))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(source, scope))]


def _set_all(sock: socket.socket, options: Iterable[tuple[int, int, int]]) -> None:
    for level, option, value in options:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, value)


_TOS_V4 = [[(socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=i", tos))] for tos in range(256)]
_TOS_V6 = [
    [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("=i", tos))] for tos in range(256)
]


def tos_ancillary(tos: int, *, v4: bool) -> AncillaryOut:
    """Return the ancillary data that sets a datagram's DSCP and ECN byte. Hot."""
    return _TOS_V4[tos] if v4 else _TOS_V6[tos]
