"""The packets of `native_storm`: of every kind, whole and broken, one by one and in runs."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from collections.abc import Callable

from stun import Address, Family
from tests.fuzz.mutate import mutate
from tests.turnd.datapath.datapath_wire import attribute, channel_data, message, send_indication

HOSTS = {Family.IPV4: "127.77.0.1", Family.IPV6: "::1"}
"""Nothing else on this machine is bound to the first: mutations may name any port of it."""

_UDP_SEGMENT = 103  # linux/udp.h
_FINGERPRINT, _DONT_FRAGMENT, _SOFTWARE, _REQUESTED_TRANSPORT = 0x8028, 0x001A, 0x8022, 0x0019
_BINDING, _ALLOCATE = 0x0001, 0x0003
_SIZES = (0, 1, 2, 3, 4, 5, 160, 160, 160, 161, 1200, 1200, 20000, 65000, 65507)
_LARGEST = 65507


def open_socket(family: Family) -> socket.socket:
    """A peer's or a client's socket; nobody waits for what comes in."""
    v4 = family is Family.IPV4
    sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((HOSTS[family], 0))
    return sock


def any_channel(generator: random.Random) -> int:
    """One of the few that are bound and used."""
    return 0x4000 + generator.randrange(6)


def _payload(generator: random.Random) -> bytes:
    return bytes(generator.choice(_SIZES))


def packets_of_all_kinds(generator: random.Random, any_peer: Callable[[], Address]) -> list[bytes]:
    """Make valid ones and broken ones."""
    seeds = [
        *(channel_data(any_channel(generator), _payload(generator), i) for i in range(5)),
        *(send_indication(any_peer(), _payload(generator)[:1200]) for _ in range(8)),
        send_indication(any_peer(), b"df", attribute(_DONT_FRAGMENT, b"")),
        message(_BINDING),
        message(_BINDING, attribute(_SOFTWARE, b"software")),
        message(_BINDING, attribute(_FINGERPRINT, bytes(4))),
        message(_ALLOCATE, attribute(_REQUESTED_TRANSPORT, b"\x11\0\0\0")),
        b"\x16\xfe\xfd" + bytes(40),
        bytes(_LARGEST),
    ]
    small = [seed for seed in seeds if len(seed) < 300]
    broken = [mutate(generator, small) for _ in range(24)]
    return [seed for seed in (*seeds, *seeds, *broken) if len(seed) <= _LARGEST]


def send(
    generator: random.Random, sock: socket.socket, data: bytes, to: tuple[object, ...]
) -> None:
    """Send one datagram, as a segmented run, or with a TOS."""
    # A full buffer, an ICMP error, a datagram beyond the family's limit: no matter.
    with contextlib.suppress(OSError):
        chance = generator.random()
        if chance < 0.3 and 0 < len(data) <= 1500:
            segment = (socket.IPPROTO_UDP, _UDP_SEGMENT, len(data).to_bytes(2, sys.byteorder))
            several = (data * generator.randrange(2, 32))[: 65000 - generator.randrange(9)]
            sock.sendmsg([several], [segment], 0, to)
        elif chance < 0.4:
            tos = generator.randrange(256).to_bytes(4, sys.byteorder)
            level, kind = (
                (socket.IPPROTO_IP, socket.IP_TOS)
                if sock.family is socket.AF_INET
                else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
            )
            sock.sendmsg([data], [(level, kind, tos)], 0, to)
        else:
            sock.sendto(data, to)
