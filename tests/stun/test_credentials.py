from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from stun import DecodeError, EncodeError
from stun.credentials import SecurityFeature, nonce_features, nonce_prefix
from stun.oauth_token import Token, open_token, seal_token
from stun.opaque_string import PreparationError, opaque_string, saslprep

KEY = bytes(range(32))
NONCE = bytes(12)


@pytest.mark.parametrize("features", [SecurityFeature.NONE, *SecurityFeature])
def test_nonce_carries_its_features(features: SecurityFeature) -> None:
    prefix = nonce_prefix(features)
    assert len(prefix) == 13
    assert nonce_features(prefix + b"whatever") == features


@pytest.mark.parametrize(
    "nonce", [b"", b"f//499k954d6OL34oL9FSTvy64sA", b"obMatJos2A", b"obMatJos2!!!!"]
)
def test_nonce_without_cookie_has_no_features(nonce: bytes) -> None:
    assert nonce_features(nonce) is None


def test_first_feature_bit_is_the_most_significant() -> None:
    # RFC 8489 §18.1: bit 0 is "password algorithms"; base64 of 0x800000 is "gAAA".
    assert nonce_prefix(SecurityFeature.PASSWORD_ALGORITHMS) == b"obMatJos2gAAA"


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
    ],
)
def test_saslprep_examples_of_rfc_4013(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "\u0221"])
def test_saslprep_forbids(text: str) -> None:
    with pytest.raises(PreparationError):
        saslprep(text)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 8265 §4.3, table 3
        ("correct horse battery staple", "correct horse battery staple"),
        ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
        ("\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"),
        ("Jack of \u2666s", "Jack of \u2666s"),
        ("foo\u1680bar", "foo bar"),
    ],
)
def test_opaque_string_examples_of_rfc_8265(text: str, prepared: str) -> None:
    assert opaque_string(text) == prepared


@pytest.mark.parametrize("text", ["", "my cat is a \u0009by"])
def test_opaque_string_forbids(text: str) -> None:
    with pytest.raises(PreparationError):
        opaque_string(text)


any_text = st.text(st.characters(), max_size=12) | st.text(
    st.sampled_from("aZ 1\u00ad\u0627\u05d0\u0300\u0660\u3000\ufdfa\u1e9b\u0323"), max_size=6
)


@pytest.mark.parametrize("prepare", [opaque_string, saslprep])
@given(text=any_text)
def test_any_text_is_prepared_for_good_or_refused(prepare: Callable[[str], str], text: str) -> None:
    try:
        prepared = prepare(text)
    except PreparationError:
        return
    prepared.encode()
    assert prepare(prepared) == prepared


@pytest.mark.parametrize(
    "token",
    [
        Token(b"", -1.0, 1),
        Token(b"", float(2**48), 1),
        Token(b"", float("inf"), 1),
        Token(b"", float("nan"), 1),
        Token(b"", 1.0, 2**32),
        Token(b"", 1.0, -1),
        Token(bytes(2**16), 1.0, 1),
    ],
)
def test_token_whose_numbers_do_not_fit_is_refused(token: Token) -> None:
    with pytest.raises(EncodeError):
        seal_token(token, KEY, NONCE, "a.example")


def test_token_wants_a_nonce_of_twelve_bytes() -> None:
    with pytest.raises(EncodeError):
        seal_token(Token(b"", 1.0, 1), KEY, bytes(8), "a.example")


def test_token_timestamp_counts_64000ths_of_a_second() -> None:
    # RFC 7635 §6.2, taken apart by hand: length and nonce, then AES-GCM over the block.
    sealed = seal_token(Token(b"mac", 5.5, 60), KEY, NONCE, "a.example")
    assert sealed[:14] == b"\0\x0c" + NONCE
    block = AESGCM(KEY).decrypt(NONCE, sealed[14:], b"a.example")
    assert block == b"\0\3mac" + bytes.fromhex("000000000005 7d00 0000003c")


@given(
    st.binary(max_size=64),
    st.integers(0, 2**40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([16, 32]),
)
def test_token_round_trips(mac_key: bytes, timestamp: int, lifetime: int, key_size: int) -> None:
    token = Token(mac_key, timestamp, lifetime)
    sealed = seal_token(token, KEY[:key_size], NONCE, "turn.example.org")
    assert open_token(sealed, KEY[:key_size], "turn.example.org") == token


@pytest.mark.parametrize(("key", "name"), [(KEY[::-1], "a.example"), (KEY, "b.example")])
def test_token_of_another_key_or_server_is_refused(key: bytes, name: str) -> None:
    sealed = seal_token(Token(b"mac", 1.0, 60), KEY, NONCE, "a.example")
    with pytest.raises(DecodeError):
        open_token(sealed, key, name)


@given(st.binary(max_size=100))
def test_any_bytes_as_a_token_raise_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        open_token(data, KEY, "a.example")
