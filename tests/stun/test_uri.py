import pytest

from stun.uri import StunUri, UriError


@pytest.mark.parametrize(
    ("text", "uri", "port"),
    [
        # RFC 7064 §A, RFC 7065 §A
        ("stun:example.org", StunUri("stun", "example.org"), 3478),
        ("stuns:example.org", StunUri("stuns", "example.org"), 5349),
        ("stun:example.org:8000", StunUri("stun", "example.org", 8000), 8000),
        ("turn:example.org", StunUri("turn", "example.org"), 3478),
        ("turns:example.org", StunUri("turns", "example.org"), 5349),
        ("turn:example.org:8000", StunUri("turn", "example.org", 8000), 8000),
        (
            "turn:example.org?transport=udp",
            StunUri("turn", "example.org", None, "udp"),
            3478,
        ),
        ("turns:example.org?transport=tcp", StunUri("turns", "example.org", None, "tcp"), 5349),
        ("turn:[2001:db8::1]:99", StunUri("turn", "2001:db8::1", 99), 99),
        ("stun:192.0.2.1", StunUri("stun", "192.0.2.1"), 3478),
    ],
)
def test_uri_is_read_and_written(text: str, uri: StunUri, port: int) -> None:
    assert StunUri.parse(text) == uri
    assert str(uri) == text
    assert uri.effective_port == port


def test_scheme_and_transport_have_no_case() -> None:
    assert StunUri.parse("TURN:h?transport=TCP") == StunUri("turn", "h", None, "tcp")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "http:example.org",
        "turn:",
        "turn://example.org",
        "turn:example.org:",
        "turn:example.org:0",
        "turn:example.org:65536",
        "turn:exa mple.org",
        "turn:[2001:db8::1",
        "turn:[example.org]",
        "turn:[fe80::1%eth0]",
        "turn:[fe80::1%25eth0]",
        "turn:[192.0.2.1]",
        "turn:2001:db8::1",
        pytest.param("turn:example.org:" + "1" * 5000, id="thousands of digits"),
        "turn:example.org?",
        "turn:example.org?transport=",
        "turn:example.org?proto=udp",
        "stun:example.org?transport=udp",
        "turn:user@example.org",
    ],
)
def test_text_that_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(UriError):
        StunUri.parse(text)
