"""The stateless parts of DTLS's first exchange by themselves: cookies, fragments."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stun import DecodeError
from tests.turnd.transports.transport_fakes import DTLS
from turnd.transports.dtls_cookie import KEY_LIFETIME, CookieMaker
from turnd.transports.dtls_hello import (
    HelloAssembly,
    HelloFragment,
    is_client_hello,
    parse_hello_fragments,
    parse_hello_start,
    split_records,
)

BODY = bytes(range(250)) * 2


@pytest.mark.parametrize(
    ("made_at", "checked_at", "valid"),
    [
        (0, 0, True),
        (0, KEY_LIFETIME * 1.5, True),
        (KEY_LIFETIME - 1, KEY_LIFETIME * 1.5, True),
        # Nobody asked in between: the key is old all the same.
        (0, KEY_LIFETIME * 2, False),
        (0, KEY_LIFETIME * 1000, False),
    ],
)
def test_a_cookies_age_is_what_the_clock_says(
    made_at: float, checked_at: float, valid: bool
) -> None:
    counter = itertools.count(1)
    cookies = CookieMaker(0, lambda size: next(counter).to_bytes(size, "big"))
    cookie = cookies.make(DTLS, bytes(32), made_at)
    assert cookies.check(cookie, DTLS, bytes(32), checked_at) is valid


def fragment(offset: int, end: int, size: int = len(BODY), sequence: int = 1) -> HelloFragment:
    header = b"\x16\xfe\xfd" + bytes(7) + bytes([offset % 256])
    return HelloFragment(header, size, sequence, offset, BODY[offset:end])


def whole(first: HelloFragment) -> bytes:
    """RFC 6347 §4.2.2 and §4.2.6: one fragment with offset 0 and the whole length."""
    size = len(BODY).to_bytes(3, "big")
    message = b"\x01" + size + b"\0\x01" + bytes(3) + size + BODY
    return first.record_header + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(0, 500)], id="whole"),
        pytest.param([(0, 200), (200, 500)], id="in order"),
        pytest.param([(0, 200), (400, 500), (200, 400)], id="out of order"),
        pytest.param([(0, 200), (100, 400), (300, 500)], id="overlapping"),
        pytest.param([(0, 400), (100, 200), (400, 500)], id="one within another"),
        pytest.param([(0, 200), (200, 500), (200, 500), (0, 200)], id="repeated"),
    ],
)
def test_fragments_make_one_record_with_the_first_ones_header(
    parts: list[tuple[int, int]],
) -> None:
    first = fragment(*parts[0])
    assembly = HelloAssembly(first)
    for part in parts[1:]:
        assembly.add(fragment(*part))
    assert assembly.record() == whole(first)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing more"),
        pytest.param([fragment(300, 500)], id="a gap"),
        pytest.param([fragment(200, 499)], id="the last byte"),
        pytest.param([fragment(200, 500, size=501)], id="of a longer message"),
        pytest.param([fragment(200, 500, sequence=2)], id="of another message"),
        pytest.param(
            [fragment(450 - n, 451 - n) for n in range(40)] + [fragment(200, 500)],
            id="in more parts than anybody cuts",
        ),
    ],
)
def test_a_message_with_parts_missing_makes_none(parts: list[HelloFragment]) -> None:
    assembly = HelloAssembly(fragment(0, 200))
    for part in parts:
        assembly.add(part)
    assert assembly.record() is None


@given(st.binary(max_size=200).map(lambda tail: b"\x16\xfe\xfd\0\0" + tail) | st.binary())
def test_any_bytes_are_parsed_or_are_a_decode_error(data: bytes) -> None:
    is_client_hello(data)
    for parse in (split_records, parse_hello_fragments, parse_hello_start):
        try:
            parse(data)
        except DecodeError:
            continue
