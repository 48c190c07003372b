"""Lines of a turnserver.conf as coturn's own parser reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnd.config import AddressRange
from turnd.coturn_conf import translate
from turnd.coturn_conf.ranges import subtract
from turnd.coturn_conf.syntax import parse_lines


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        (b"realm=example.org", "realm", "example.org"),
        (b"realm example.org", "realm", "example.org"),
        (b"  realm\t= =  example.org  \r", "realm", "example.org"),
        (b"fingerprint", "fingerprint", ""),
        (b"fingerprint=", "fingerprint", ""),
        (b'cipher-list="A:B"', "cipher-list", "A:B"),
        (b'cipher-list="A:B', "cipher-list", "A:B"),
        (b"realm='x'", "realm", "'x'"),
        (b"user=a:b=c d", "user", "a:b=c d"),
        (b'new-log-timestamp-format "%FT%T%z"', "new-log-timestamp-format", "%FT%T%z"),
        (b"realm=x # y", "realm", "x # y"),
        (b"\xef\xbb\xbfrealm=x", "realm", "x"),
        ("realm=bücher".encode(), "realm", "bücher"),
    ],
)
def test_a_line_is_a_name_and_a_value(body: bytes, name: str, value: Any) -> None:
    (statement,) = parse_lines(body)
    assert (statement.name, statement.value) == (name, value)
    assert statement.is_text


def test_blank_lines_and_comments_count_as_lines_only() -> None:
    body = b"# Gr\xfc\xdfe in Latin-1\n\n \t\n  # more\nverbose\n"
    assert [(s.line, s.name) for s in parse_lines(body)] == [(5, "verbose")]


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((text, True) for text in ("", "1", "on", "ON", "yes", "true", "T", "y", "42")),
        *((text, False) for text in ("0", "off", "Off", "no", "N", "false", "f")),
        *((text, None) for text in ("maybe", "# comment", "oN", "-1")),
    ],
)
def test_a_boolean_is_judged_as_coturn_judges_it(value: Any, flag: bool | None) -> None:
    (statement,) = parse_lines(f"fingerprint={value}".encode())
    assert statement.flag is flag


@pytest.mark.parametrize(
    ("value", "number"),
    [("3478", 3478), ("3478 # x", 3478), ("-1", -1), ("x", None), ("", None), ("9" * 5000, None)],
)
def test_a_number_is_the_leading_digits(value: Any, number: int | None) -> None:
    (statement,) = parse_lines(f"min-port={value}".encode())
    assert statement.number == number


@given(st.binary(max_size=200))
def test_no_bytes_make_the_translation_fail(body: bytes) -> None:
    translate("turnserver.conf", body)


OPTION_LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "listening-port",
                "listening-ip",
                "relay-ip",
                "external-ip",
                "user",
                "min-port",
                "max-port",
                "cert",
                "allowed-peer-ip",
                "alternate-server",
                "aux-server",
                "stale-nonce",
                "cipher-list",
            ]
        ),
        st.sampled_from(["", "0", "99999999999", "::", "1.2.3.4", "1.2.3.4/::1", "a:b", "[", "\0"])
        | st.text(max_size=8),
    ),
    max_size=8,
)


@given(OPTION_LINES)
def test_no_values_make_the_translation_fail(lines: list[tuple[str, str]]) -> None:
    body = "\n".join(f"{name}={value}" for name, value in lines)
    translate("turnserver.conf", body.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("whole", "holes", "left"),
    [
        ("10.0.0.0/8", ["127.0.0.0/8", "::1"], ["10.0.0.0/8"]),
        ("127.0.0.1", ["127.0.0.0/8"], []),
        ("126.255.255.255-128.0.0.1", ["127.0.0.0/8"], ["126.255.255.255", "128.0.0.0-128.0.0.1"]),
        ("::-::2", ["::1"], ["::", "::2"]),
        ("0.0.0.0/0", ["0.0.0.0/8", "224.0.0.0-255.255.255.255"], ["1.0.0.0-223.255.255.255"]),
    ],
)
def test_ranges_are_cut_out_of_a_range(whole: str, holes: list[str], left: list[str]) -> None:
    assert subtract(AddressRange(whole), [AddressRange(hole) for hole in holes]) == left
