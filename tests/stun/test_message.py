import hmac
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stun import (
    Address,
    DecodeError,
    EncodeError,
    Error,
    ErrorCode,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
)
from stun import attributes as a
from stun.attribute import AttributeType
from stun.describe import describe
from stun.values import Icmp, PasswordAlgorithm, TransmitCounter
from tests.stun.strategies import VALUES, messages, transaction_ids

TID = bytes(range(12))
SHA1, SHA256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256
COVERING = {a.MESSAGE_INTEGRITY, a.MESSAGE_INTEGRITY_SHA256, a.FINGERPRINT}


def binding(*attributes: tuple[int, bytes]) -> Message:
    return Message.build(Method.BINDING, MessageClass.REQUEST, TID, attributes)


def test_every_registered_attribute_is_round_tripped_below() -> None:
    assert set(a.REGISTRY.values()) == set(VALUES) | COVERING


@pytest.mark.parametrize("kind", VALUES, ids=repr)
@given(data=st.data(), transaction_id=transaction_ids)
def test_attribute_round_trips(
    kind: AttributeType[Any], data: st.DataObject, transaction_id: bytes
) -> None:
    value = data.draw(VALUES[kind])
    code, encoded = kind.of(value, transaction_id)
    assert code == kind.code
    assert kind.decode(encoded, transaction_id) == value


@given(messages(), st.booleans(), st.sets(st.sampled_from(IntegrityAlgorithm)), st.binary())
def test_message_round_trips(
    message: Message, fingerprint: bool, algorithms: set[IntegrityAlgorithm], key: bytes
) -> None:
    data = message.encode(sign=[(each, key) for each in algorithms], fingerprint=fingerprint)
    decoded = Message.decode(data)
    count = len(message.attributes)
    assert decoded.attributes[:count] == message.attributes
    assert len(decoded.attributes) == count + len(algorithms) + fingerprint
    assert (decoded.method, decoded.message_class) == (message.method, message.message_class)
    assert decoded.transaction_id == message.transaction_id
    for algorithm in IntegrityAlgorithm:
        assert decoded.verify(algorithm, key) is (algorithm in algorithms)


@given(messages(), st.data())
def test_mutated_message_raises_decode_error_or_nothing(
    message: Message, data: st.DataObject
) -> None:
    encoded = bytearray(message.encode(sign=[(SHA1, b"key")], fingerprint=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    _read_everything(bytes(encoded))


@given(st.binary(max_size=200))
def test_any_bytes_raise_decode_error_or_nothing(data: bytes) -> None:
    _read_everything(data)


@given(st.binary(max_size=120), st.sampled_from([b"\x00\x01", b"\x01\x01", b"\x00\x16"]))
def test_any_body_raises_decode_error_or_nothing(body: bytes, kind: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    _read_everything(kind + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + TID + body)


def _read_everything(data: bytes) -> None:
    try:
        message = Message.decode(data)
    except DecodeError:
        return
    describe(message)
    message.verify(SHA1, b"key")
    message.verify(SHA256, b"key")
    for kind in a.REGISTRY.values():
        try:
            message.get_all(kind)
        except DecodeError:
            continue


@pytest.mark.parametrize("method", [*Method, 0x000, 0xFFF, 0x5A5])
@pytest.mark.parametrize("message_class", MessageClass)
def test_message_type_interleaves_method_and_class(
    method: int, message_class: MessageClass
) -> None:
    data = Message.build(method, message_class, TID).encode()
    assert data[0] & 0xC0 == 0
    decoded = Message.decode(data)
    assert (decoded.method, decoded.message_class) == (method, message_class)


@pytest.mark.parametrize(
    ("method", "message_class", "wire"),
    [
        # RFC 8489 §5, RFC 8656 §17 and the transcripts in common use.
        (Method.BINDING, MessageClass.REQUEST, "0001"),
        (Method.BINDING, MessageClass.SUCCESS_RESPONSE, "0101"),
        (Method.BINDING, MessageClass.ERROR_RESPONSE, "0111"),
        (Method.ALLOCATE, MessageClass.REQUEST, "0003"),
        (Method.ALLOCATE, MessageClass.ERROR_RESPONSE, "0113"),
        (Method.SEND, MessageClass.INDICATION, "0016"),
        (Method.DATA, MessageClass.INDICATION, "0017"),
        (Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, "001c"),
    ],
)
def test_message_types_of_the_rfcs(method: int, message_class: MessageClass, wire: str) -> None:
    assert Message.build(method, message_class, TID).encode()[:2].hex() == wire


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (bytes(19), "shorter than a header"),
        (b"\x80\x01\0\0\x21\x12\xa4\x42" + TID, "a leading one bit"),
        (b"\x00\x01\0\x04\x21\x12\xa4\x42" + TID, "length beyond the end"),
        (b"\x00\x01\0\0\x21\x12\xa4\x42" + TID + bytes(4), "length before the end"),
        (b"\x00\x01\0\x02\x21\x12\xa4\x42" + TID + bytes(2), "length not a multiple of 4"),
        (b"\x00\x01\0\x04\x21\x12\xa4\x42" + TID + b"\0\x06\0\x01", "attribute beyond the end"),
        (b"\x00\x01\0\x08\x21\x12\xa4\x42" + TID + b"\x80\x28\0\x04abcd", "wrong fingerprint"),
        (b"\x00\x01\0\x04\x21\x12\xa4\x42" + TID + b"\x80\x28\0\x00", "empty fingerprint"),
    ],
)
def test_malformed_message_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError):
        Message.decode(data)


def test_attributes_after_message_integrity_are_ignored() -> None:
    signed = binding(a.USERNAME.of("a")).encode(sign=[(SHA1, b"k")])
    extra = binding(a.USERNAME.of("b"), a.PRIORITY.of(7)).encode()[20:]
    data = _append(signed, extra)
    message = Message.decode(data)
    assert message.get_all(a.USERNAME) == ["a"]
    assert not message.has(a.PRIORITY)
    assert message.verify(SHA1, b"k")


def test_sha256_integrity_and_fingerprint_count_after_message_integrity() -> None:
    data = binding().encode(sign=[(SHA256, b"k"), (SHA1, b"k")], fingerprint=True)
    codes = [code for code, _ in Message.decode(data).attributes]
    assert codes == [0x0008, 0x001C, 0x8028]


def test_message_integrity_after_sha256_does_not_count() -> None:
    signed = binding().encode(sign=[(SHA256, b"k")])
    sha1 = binding().encode(sign=[(SHA1, b"k")])[20:]
    assert not Message.decode(_append(signed, sha1)).has(a.MESSAGE_INTEGRITY)


def test_integrity_that_does_not_count_verifies_nothing() -> None:
    signed = binding().encode(sign=[(SHA256, b"k")])
    size = int.from_bytes(signed[2:4], "big") + 24
    covered = signed[:2] + size.to_bytes(2, "big") + signed[4:]
    good = b"\0\x08\0\x14" + hmac.digest(b"k", covered, "sha1")
    message = Message.decode(_append(signed, good))
    assert not message.verify(SHA1, b"k")
    assert message.verify(SHA256, b"k")


def test_fingerprint_ends_the_message() -> None:
    data = binding().encode(fingerprint=True)
    extended = bytearray(_append(data, binding(a.PRIORITY.of(7)).encode()[20:]))
    # FINGERPRINT covers a length up to itself, so it still matches.
    assert [code for code, _ in Message.decode(bytes(extended)).attributes] == [0x8028]


def _append(data: bytes, attributes: bytes) -> bytes:
    length = int.from_bytes(data[2:4], "big") + len(attributes)
    return data[:2] + length.to_bytes(2, "big") + data[4:] + attributes


@pytest.mark.parametrize(
    ("length", "accepted"),
    [(16, True), (20, True), (28, True), (12, False), (18, False), (36, False)],
)
def test_truncated_sha256_integrity_is_accepted_from_16_bytes(length: int, accepted: bool) -> None:
    whole = binding().encode(sign=[(SHA256, b"k")])
    # The header's length covers the truncated attribute, so it has to be signed anew.
    header = whole[:2] + (4 + length).to_bytes(2, "big") + whole[4:20]
    digest = (hmac.digest(b"k", header, "sha256") + bytes(8))[:length]
    padding = bytes(-length % 4)
    size = 4 + length + len(padding)
    data = header[:2] + size.to_bytes(2, "big") + header[4:]
    data += b"\x00\x1c" + length.to_bytes(2, "big") + digest + padding
    assert Message.decode(data).verify(SHA256, b"k") is accepted


def test_first_of_duplicate_attributes_wins() -> None:
    assert (
        Message.decode(binding(a.USERNAME.of("a"), a.USERNAME.of("b")).encode()).get(a.USERNAME)
        == "a"
    )


def test_padding_is_written_as_zeros() -> None:
    for size in range(1, 5):
        data = binding(a.PADDING.of(b"\xff" * size)).encode()
        assert data[24 + size :] == bytes(-size % 4)


def test_classic_message_has_sixteen_bytes_of_transaction_id() -> None:
    data = b"\x00\x01\0\0" + bytes(range(100, 116))
    message = Message.decode(data)
    assert message.is_classic
    assert message.transaction_id == bytes(range(100, 116))
    assert message.encode() == data


def test_transaction_id_of_another_size_is_refused() -> None:
    with pytest.raises(EncodeError):
        Message.build(Method.BINDING, MessageClass.REQUEST, b"short").encode()


def test_message_larger_than_its_length_field_is_refused() -> None:
    attribute = a.DATA.of(bytes(0xFFFC))
    with pytest.raises(EncodeError):
        binding(attribute, attribute).encode()
    with pytest.raises(EncodeError):
        binding((a.DATA.code, bytes(0xFFF0))).encode(sign=[(SHA256, b"k")])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (a.LIFETIME, 2**32),
        (a.LIFETIME, -1),
        (a.CHANNEL_NUMBER, 2**16),
        (a.USERNAME, "x" * 509),
        (a.USERNAME, "\ud800"),
        (a.ERROR_CODE, Error(400, "\ud800")),
        (a.ERROR_CODE, Error(299)),
        (a.ERROR_CODE, Error(700)),
        (a.ICMP, Icmp(3, 4, 2**32)),
        (a.ICMP, Icmp(128, 0)),
        (a.ICMP, Icmp(3, 512)),
        (a.UNKNOWN_ATTRIBUTES, (2**16,)),
        (a.PASSWORD_ALGORITHM, PasswordAlgorithm(2**16)),
        (a.PASSWORD_ALGORITHMS, (PasswordAlgorithm(1, bytes(2**16)),)),
        (a.TRANSACTION_TRANSMIT_COUNTER, TransmitCounter(256)),
        (a.MAPPED_ADDRESS, Address(bytes(4), 2**16)),
        (a.XOR_MAPPED_ADDRESS, Address(bytes(4), -1)),
        (a.RESERVATION_TOKEN, b"seven b"),
        (a.USERHASH, bytes(31)),
        (a.DONT_FRAGMENT, False),
    ],
)
def test_value_that_does_not_fit_is_refused(kind: AttributeType[Any], value: Any) -> None:
    with pytest.raises(EncodeError):
        kind.of(value, TID)


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (a.LIFETIME, b"\0\0\0"),
        (a.XOR_PEER_ADDRESS, b"\0\x01\0\0"),
        (a.XOR_PEER_ADDRESS, b"\0\x03" + bytes(6)),
        (a.XOR_PEER_ADDRESS, b"\0\x02" + bytes(6)),
        (a.MAPPED_ADDRESS, b""),
        (a.USERNAME, b"\xff\xfe"),
        (a.USERNAME, b"x" * 764),
        (a.ERROR_CODE, b"\0\0\x02\x00"),
        (a.ERROR_CODE, b"\0\0\x04\x64"),
        (a.ERROR_CODE, b"\0\0"),
        (a.EVEN_PORT, b""),
        (a.REQUESTED_ADDRESS_FAMILY, b"\x03\0\0\0"),
        (a.UNKNOWN_ATTRIBUTES, b"\0"),
        (a.PASSWORD_ALGORITHMS, b"\0\x01\0\x09abc"),
        (a.PASSWORD_ALGORITHM, b""),
        (a.DONT_FRAGMENT, b"\0"),
        (a.ICMP, bytes(7)),
        (a.TRANSACTION_TRANSMIT_COUNTER, bytes(3)),
    ],
)
def test_malformed_value_raises_decode_error(kind: AttributeType[Any], wire: bytes) -> None:
    message = Message.decode(binding((kind.code, wire)).encode())
    with pytest.raises(DecodeError):
        message.get(kind)


@pytest.mark.parametrize("reason", ["\u00e9" * 400, "x" + "\u00e9" * 400, "\U0001f600" * 200])
def test_reason_phrase_is_cut_between_two_characters(reason: str) -> None:
    _, value = a.ERROR_CODE.of(Error(500, reason))
    assert 505 <= len(value) - 4 <= 509
    decoded = a.ERROR_CODE.decode(value, TID)
    assert reason.startswith(decoded.reason)


def test_ipv6_address_is_not_xored_without_a_transaction_id() -> None:
    address = Address.parse("2001:db8::1", 9)
    for transaction_id in (b"", bytes(16)):
        with pytest.raises(EncodeError):
            a.XOR_PEER_ADDRESS.of(address, transaction_id)


@pytest.mark.parametrize(
    "message",
    [
        Message.build(0x1000, MessageClass.REQUEST, TID),
        Message.build(Method.BINDING, MessageClass.REQUEST, TID, [(2**16, b"")]),
        Message.build(Method.BINDING, MessageClass.REQUEST, TID, [(7, bytes(2**16))]),
        Message.build(Method.BINDING, MessageClass.REQUEST, bytes(11)),
    ],
)
def test_message_whose_numbers_do_not_fit_is_refused(message: Message) -> None:
    with pytest.raises(EncodeError):
        message.encode()


def test_views_are_decoded_like_bytes() -> None:
    data = binding(a.USERNAME.of("a")).encode(sign=[(SHA1, b"k")], fingerprint=True)
    for view in (bytearray(data), memoryview(data)):
        message = Message.decode(view)
        assert message == Message.decode(data)
        assert message.verify(SHA1, b"k")


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        # RFC 8656 §18.13, figure 11: 16 bits reserved, 7 of type, 9 of code, 32 of data.
        (Icmp(3, 4, 1280), "0000 0604 00000500"),
        (Icmp(11, 0), "0000 1600 00000000"),
        (Icmp(1, 511), "0000 03ff 00000000"),
    ],
)
def test_icmp_is_laid_out_as_the_figure_draws_it(value: Icmp, wire: str) -> None:
    assert a.ICMP.of(value) == (0x8004, bytes.fromhex(wire))


def test_transmit_counter_has_the_request_before_the_response() -> None:
    # RFC 7982 §3: 16 bits of padding, Req, Resp.
    assert a.TRANSACTION_TRANSMIT_COUNTER.of(TransmitCounter(3, 2)) == (0x8025, b"\0\0\3\2")


def test_error_code_attributes_carry_the_reason_phrases_of_the_rfc() -> None:
    assert ErrorCode.ALLOCATION_QUOTA_REACHED.reason == "Allocation Quota Reached"
    assert all(code.reason for code in ErrorCode)
    assert all(300 <= one < two <= 699 for one, two in itertools.pairwise(ErrorCode))
