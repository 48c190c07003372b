"""How the portable engine's listeners name their clients."""

from __future__ import annotations

import socket
import struct

import pytest

from stun import Address
from tests.turnd.datapath.datapath_world import open_udp
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.portable.udp_listener import ClientKey, UdpListener

LINK_LOCAL = socket.inet_pton(socket.AF_INET6, "fe80::2")


@pytest.mark.parametrize(
    ("host", "key", "client", "server"),
    [
        ("0.0.0.0", (("192.0.2.1", 5000), b"\x7f\0\0\2"), ("192.0.2.1", 0), ("127.0.0.2", 0)),
        ("127.0.0.1", ("192.0.2.1", 5000), ("192.0.2.1", 0), ("127.0.0.1", 0)),
        ("::1", ("2001:db8::1", 5000, 0, 0), ("2001:db8::1", 0), ("::1", 0)),
        (
            # As `recvmsg` gave it on a veth interface with number 3 (Linux 6.18, Python 3.11).
            "::",
            (("fe80::1", 5000, 0, 3), LINK_LOCAL + struct.pack("=I", 3)),
            ("fe80::1", 3),
            ("fe80::2", 3),
        ),
    ],
)
def test_five_tuples_and_what_the_kernel_says_stand_for_each_other(
    host: str, key: ClientKey, client: tuple[str, int], server: tuple[str, int]
) -> None:
    with open_udp(host) as sock:
        listener = UdpListener(sock, {}, dscp=True, receive_buffer=0)
        expected = FiveTuple(
            Transport.UDP,
            Address(Address.parse(client[0]).packed, 5000, client[1]),
            Address(Address.parse(server[0]).packed, listener.address.port, server[1]),
        )
        assert listener.five_tuple(key) == expected
        assert listener.key(expected) == key
