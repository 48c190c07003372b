"""PROXY protocol headers; cases typed from HAProxy's doc/proxy-protocol.txt."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stun import Address, DecodeError
from turnd.transports.crc32c import crc32c
from turnd.transports.proxy_protocol import (
    V1_MAX_SIZE,
    V2_MAX_SIZE,
    V2_SIGNATURE,
    ProxyHeader,
    may_be_proxy_header,
    parse_proxy_header,
)


def v2(command: int, family: int, block: bytes) -> bytes:
    return V2_SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


IPV4_BLOCK = socket.inet_aton("192.0.2.33") + socket.inet_aton("198.51.100.2") + b"\x9c\x40\x01\xbb"
IPV6_BLOCK = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::33")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + b"\x9c\x40\x01\xbb"
)
IPV4 = (Address.parse("192.0.2.33", 40000), Address.parse("198.51.100.2", 443))
IPV6 = (Address.parse("2001:db8::33", 40000), Address.parse("2001:db8::2", 443))
NONE = (None, None)
UNIX_BLOCK = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")

WHOLE = [
    pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 40000 443\r\n", IPV4, id="v1 TCP4"),
    pytest.param(b"PROXY TCP6 2001:db8::33 2001:db8::2 40000 443\r\n", IPV6, id="v1 TCP6"),
    pytest.param(
        b"PROXY TCP6 ::ffff:192.0.2.33 ::ffff:198.51.100.2 40000 443\r\n", IPV4, id="v1 mapped"
    ),
    pytest.param(b"PROXY UNKNOWN\r\n", NONE, id="v1 UNKNOWN"),
    pytest.param(
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        NONE,
        id="v1 UNKNOWN, more",
    ),
    pytest.param(v2(0x21, 0x11, IPV4_BLOCK), IPV4, id="v2 TCP over IPv4"),
    pytest.param(v2(0x21, 0x21, IPV6_BLOCK), IPV6, id="v2 TCP over IPv6"),
    pytest.param(v2(0x20, 0x00, b""), NONE, id="v2 LOCAL"),
    pytest.param(v2(0x20, 0x11, IPV4_BLOCK), NONE, id="v2 LOCAL with addresses"),
    pytest.param(v2(0x20, 0x00, b"\xff" * 9), NONE, id="v2 LOCAL with anything"),
    pytest.param(v2(0x21, 0x00, b""), NONE, id="v2 UNSPEC"),
    pytest.param(v2(0x21, 0x31, UNIX_BLOCK), NONE, id="v2 UNIX"),
    pytest.param(
        v2(0x21, 0x11, IPV4_BLOCK + b"\x04\0\0" + b"\x01\0\x02h2"), IPV4, id="v2 with TLVs"
    ),
]


@pytest.mark.parametrize(("header", "endpoints"), WHOLE)
def test_a_whole_header_names_both_ends(
    header: bytes, endpoints: tuple[Address | None, Address | None]
) -> None:
    assert parse_proxy_header(header + b"rest") == ProxyHeader(len(header), *endpoints)


@pytest.mark.parametrize(("header", "endpoints"), WHOLE)
def test_every_part_of_a_header_asks_for_more(
    header: bytes, endpoints: tuple[Address | None, Address | None]
) -> None:
    for size in range(len(header)):
        assert may_be_proxy_header(header[:size])
        assert parse_proxy_header(header[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x01", id="STUN"),
        pytest.param(b"PROXX", id="almost"),
        pytest.param(b"PROXY \r\n", id="no protocol"),
        pytest.param(b"PROXY UDP4 192.0.2.33 198.51.100.2 1 2\r\n", id="no such protocol"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 40000\r\n", id="a field short"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 1 2 3\r\n", id="a field too many"),
        pytest.param(b"PROXY TCP4  192.0.2.33 198.51.100.2 1 2\r\n", id="two spaces"),
        pytest.param(b"PROXY TCP4 192.0.2.333 198.51.100.2 1 2\r\n", id="no address"),
        pytest.param(b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", id="v6 as TCP4"),
        pytest.param(b"PROXY TCP6 192.0.2.33 198.51.100.2 1 2\r\n", id="v4 as TCP6"),
        pytest.param(b"PROXY TCP6 fe80::1%1 fe80::2%1 1 2\r\n", id="a zone"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 65536 2\r\n", id="port too high"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 01 2\r\n", id="leading zero"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 -1 2\r\n", id="negative port"),
        pytest.param(b"PROXY TCP4 192.0.2.33 198.51.100.2 1 \r\n", id="empty port"),
        pytest.param(b"PROXY TCP4 \xff\r\n", id="not ASCII"),
        pytest.param(b"PROXY UNKNOWN ".ljust(V1_MAX_SIZE, b"x"), id="line without an end"),
        pytest.param(V2_SIGNATURE + b"\x31\x11\0\x0c" + IPV4_BLOCK, id="version 3"),
        pytest.param(v2(0x22, 0x11, IPV4_BLOCK), id="no such command"),
        pytest.param(v2(0x21, 0x41, IPV4_BLOCK), id="no such family"),
        pytest.param(v2(0x21, 0x12, IPV4_BLOCK), id="a datagram's"),
        pytest.param(v2(0x21, 0x11, IPV4_BLOCK[:-1]), id="addresses cut short"),
        pytest.param(v2(0x21, 0x11, IPV4_BLOCK + b"\x01\0"), id="TLV header cut short"),
        pytest.param(v2(0x21, 0x11, IPV4_BLOCK + b"\x01\0\x02h"), id="TLV too long"),
        pytest.param(v2(0x21, 0x11, IPV4_BLOCK + b"\x03\0\x04abcd"), id="wrong checksum"),
        pytest.param(v2(0x21, 0x11, IPV4_BLOCK + b"\x03\0\x03abc"), id="short checksum"),
        pytest.param(V2_SIGNATURE + b"\x21\x11\xff\xff", id="too long"),
    ],
)
def test_what_is_no_header_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_proxy_header(data)


def test_the_checksum_is_over_the_header_with_zeros_in_its_place() -> None:
    blank = v2(0x21, 0x11, IPV4_BLOCK + b"\x04\0\x01p" + b"\x03\0\x04" + bytes(4))
    header = blank[:-4] + crc32c(blank).to_bytes(4, "big")
    assert parse_proxy_header(header) == ProxyHeader(len(header), *IPV4)


@pytest.mark.parametrize(
    ("data", "expected"),  # RFC 3720 appendix B.4, whose bytes are in transmission order
    [
        (bytes(32), "aa36918a"),
        (b"\xff" * 32, "43aba862"),
        (bytes(range(32)), "4e79dd46"),
        (bytes(range(31, -1, -1)), "5cdb3f11"),
    ],
)
def test_crc32c_of_the_rfcs_vectors(data: bytes, expected: str) -> None:
    assert crc32c(data).to_bytes(4, "little").hex() == expected


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=120).map(lambda tail: b"PROXY " + tail),
        st.binary(max_size=400).map(lambda tail: V2_SIGNATURE + tail),
    )
)
def test_any_bytes_give_a_header_or_ask_for_more_or_are_a_decode_error(data: bytes) -> None:
    try:
        header = parse_proxy_header(data)
    except DecodeError:
        return
    assert header is None or header.size <= len(data)


@given(st.binary(max_size=40))
def test_the_longest_header_never_asks_for_more(head: bytes) -> None:
    for signature in (b"PROXY ", V2_SIGNATURE):
        data = (signature + head).ljust(V2_MAX_SIZE, b"\x00")
        with contextlib.suppress(DecodeError):
            assert parse_proxy_header(data) is not None
