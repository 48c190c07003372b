import pytest

from stun import Address, AddressError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 3478),
        ("192.0.2.1:99", "192.0.2.1", 99),
        ("[2001:db8::1]", "2001:db8::1", 3478),
        ("[2001:db8::1]:99", "2001:db8::1", 99),
        ("2001:db8::1", "2001:db8::1", 3478),
        ("[::ffff:192.0.2.1]:99", "192.0.2.1", 99),
    ],
)
def test_endpoint_text_is_parsed(text: str, host: str, port: int) -> None:
    address = Address.parse_endpoint(text, 3478)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "1.2.3.4:x",
        "1.2.3.4:70000",
        pytest.param("1.2.3.4:" + "1" * 5000, id="thousands of digits"),
        "1.2.3.4:\u00b2",
        "[::1",
        "[::1]x",
        "1.2.3.4%1",
        "[::ffff:1.2.3.4%1]",
        "fe80::1%",
        "fe80::1%\u00b2",
        "fe80::1%4294967296",
        "fe80::1%no such interface",
        "fe80::1%nul\0",
        "fe80::1%\ud800",
    ],
)
def test_text_that_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse_endpoint(text)
