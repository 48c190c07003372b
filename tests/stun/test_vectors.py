"""The test vectors of RFC 5769 and of RFC 8489 appendix B.1 (with erratum 6268), retyped."""

import pytest

from stun import Address, DecodeError, IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from stun.credentials import (
    SecurityFeature,
    long_term_key_md5,
    long_term_key_sha256,
    nonce_features,
    userhash,
)
from stun.opaque_string import saslprep
from stun.values import SHA256

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
USERNAME = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"

REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae"
    "80220010 5354554e 20746573 7420636c 69656e74"
    "00240004 6e0001ff"
    "80290008 932ff9b1 51263b36"
    "00060009 6576746a 3a683676 59202020"
    "00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2"
    "80280004 e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200008 0001a147 e112a643"
    "00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7"
    "80280004 c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"
    "00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41"
    "80280004 c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "00010060 2112a442 78ad3433 c6ad72c0 29da412e"
    "00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000"
    "0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341"
    "0014000b 6578616d 706c652e 6f726700"
    "00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666"
)
# Erratum 6268 puts PASSWORD-ALGORITHM in and corrects length and HMAC.
SHA256_REQUEST = bytes.fromhex(
    "00010090 2112a442 78ad3433 c6ad72c0 29da412e"
    "001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704"
    "00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39"
    "         46535476 79363473 41000000"
    "0014000b 6578616d 706c652e 6f726700"
    "001d0004 00020000"
    "001c0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c c6518e65"
)


def test_sample_request_of_rfc_5769_decodes_and_verifies() -> None:
    message = Message.decode(REQUEST)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert message.transaction_id == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert message.get(a.SOFTWARE) == "STUN test client"
    assert message.get(a.PRIORITY) == 0x6E0001FF
    assert message.get(a.ICE_CONTROLLED) == 0x932FF9B151263B36
    assert message.get(a.USERNAME) == "evtj:h6vY"
    assert message.verify(IntegrityAlgorithm.SHA1, PASSWORD)
    assert not message.verify(IntegrityAlgorithm.SHA1, PASSWORD + b"x")


@pytest.mark.parametrize(
    ("data", "host"),
    [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")],
)
def test_sample_responses_of_rfc_5769_carry_the_mapped_address(data: bytes, host: str) -> None:
    message = Message.decode(data)
    assert message.message_class is MessageClass.SUCCESS_RESPONSE
    assert message.get(a.XOR_MAPPED_ADDRESS) == Address.parse(host, 32853)
    assert message.get(a.SOFTWARE) == "test vector"
    assert message.verify(IntegrityAlgorithm.SHA1, PASSWORD)


def test_long_term_request_of_rfc_5769_verifies_after_saslprep() -> None:
    message = Message.decode(LONG_TERM_REQUEST)
    password = saslprep("The\u00adM\u00aatr\u2168")
    assert password == "TheMatrIX"
    assert saslprep(USERNAME) == USERNAME
    assert message.get(a.USERNAME) == USERNAME
    assert message.get(a.NONCE) == b"f//499k954d6OL34oL9FSTvy64sA"
    key = long_term_key_md5(USERNAME, "example.org", password)
    assert message.verify(IntegrityAlgorithm.SHA1, key)


def test_sha256_request_of_rfc_8489_appendix_b_verifies() -> None:
    message = Message.decode(SHA256_REQUEST)
    assert message.get(a.USERHASH) == userhash(USERNAME, "example.org")
    assert message.get(a.PASSWORD_ALGORITHM) == SHA256
    nonce = message.get(a.NONCE)
    assert nonce == b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"
    # The example counts its bits from the right; §9.2 and §18.1 from the left, and they rule.
    assert nonce_features(nonce) == SecurityFeature(0x000002)
    key = long_term_key_sha256(USERNAME, "example.org", "TheMatrIX")
    assert message.verify(IntegrityAlgorithm.SHA256, key)
    assert not message.verify(IntegrityAlgorithm.SHA1, key)


@pytest.mark.parametrize("data", [LONG_TERM_REQUEST, SHA256_REQUEST])
def test_vectors_with_zero_padding_encode_to_the_same_bytes(data: bytes) -> None:
    message = Message.decode(data)
    # The integrity attribute is the last; its value is part of what is compared.
    assert message.encode() == data


def test_sha256_vector_is_what_signing_makes() -> None:
    message = Message.decode(SHA256_REQUEST)
    unsigned = Message.build(
        message.method, message.message_class, message.transaction_id, message.attributes[:-1]
    )
    key = long_term_key_sha256(USERNAME, "example.org", "TheMatrIX")
    assert unsigned.encode(sign=[(IntegrityAlgorithm.SHA256, key)]) == SHA256_REQUEST


@pytest.mark.parametrize("data", [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE])
def test_any_changed_byte_fails_the_fingerprint(data: bytes) -> None:
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 0x01
        try:
            message = Message.decode(bytes(changed))
        except DecodeError:
            continue
        # What still parses has lost its FINGERPRINT to the change.
        assert not message.has(a.FINGERPRINT)
