"""ICMP errors that datagrams to peers cause (RFC 8656 §11.5): Linux's socket error queue."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import attrs

from stun import Address
from turnd.datapath.portable.ancillary import LINUX

ERRORS_PER_SECOND = 16
"""ICMP errors that one relay tells its client of, so that errors can't amplify a stream."""

_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_ERROR_ANCILLARY_SIZE = 512
_KINDS = {(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}
# struct sock_extended_err (linux/errqueue.h): errno, origin, type, code, pad, info, data
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_TYPES = {_ORIGIN_ICMP: {3, 11}, _ORIGIN_ICMP6: {1, 2, 3}}
"""RFC 8656 §11.5: what is passed on; the rest is dropped in silence."""
_TOO_BIG = {(_ORIGIN_ICMP, 3, 4), (_ORIGIN_ICMP6, 2, 0)}
"""RFC 8656 §18.13: only these have an MTU to tell."""


@attrs.frozen(slots=True)
class IcmpError:
    """An ICMP error that a datagram to `peer` caused; `data` is the MTU where it is too big."""

    peer: Address
    type: int
    code: int
    data: int


def receive_errors(sock: socket.socket, *, v4: bool) -> None:
    """Have the socket keep the ICMP errors its datagrams cause."""
    if LINUX:
        level, option = (
            (socket.IPPROTO_IP, _IP_RECVERR) if v4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
        )
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 1)


def drain_error_queue(sock: socket.socket, most: int) -> Iterator[IcmpError]:
    """Take at most `most` errors off the queue and yield those that RFC 8656 §11.5 passes on."""
    if not LINUX:
        return
    for _ in range(most):
        try:
            _, ancillary, _, destination = sock.recvmsg(1, _ERROR_ANCILLARY_SIZE, _MSG_ERRQUEUE)
        except OSError:  # most often EAGAIN: that was all
            return
        for level, kind, data in ancillary:
            if (level, kind) not in _KINDS or len(data) < _EXTENDED_ERROR.size:
                continue
            _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            if icmp_type not in _TYPES.get(origin, ()):
                continue  # this host's own EMSGSIZE, or a type that is not for clients
            mtu = info if (origin, icmp_type, code) in _TOO_BIG else 0
            yield IcmpError(Address.from_sockaddr(destination), icmp_type, code, mtu)
