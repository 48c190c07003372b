"""STUN messages: the header, the attribute list, encoding and decoding (RFC 8489 §5, §14).

A message holds its attributes as they stand on the wire; `Message.get` decodes
the one that is asked for. What nobody asks for costs nothing, and attributes
this library has never heard of survive a round trip.
"""

from __future__ import annotations

import hmac
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import attrs

from stun.attribute import AttributeType, RawAttribute, pad
from stun.constants import (
    CLASS_MASK,
    CLASSIC_TRANSACTION_ID_SIZE,
    HEADER_SIZE,
    MAGIC_COOKIE_BYTES,
    TRANSACTION_ID_SIZE,
    MessageClass,
    Method,
)
from stun.errors import DecodeError, EncodeError
from stun.integrity import IntegrityAlgorithm

T = TypeVar("T")

_FINGERPRINT = 0x8028
_FINGERPRINT_XOR = 0x5354554E
_FINGERPRINT_SIZE = 8
_MESSAGE_INTEGRITY = IntegrityAlgorithm.SHA1.attribute_code
_MESSAGE_INTEGRITY_SHA256 = IntegrityAlgorithm.SHA256.attribute_code
_INTEGRITY = frozenset({_MESSAGE_INTEGRITY, _MESSAGE_INTEGRITY_SHA256})
_TYPE_AND_LENGTH = struct.Struct("!HH")

MAX_MESSAGE_SIZE = HEADER_SIZE + 0xFFFC
"""The length field counts the attributes only, in multiples of 4."""


@attrs.frozen(slots=True)
class Message:
    """One STUN message.

    Attributes:
        method: a `Method`, or the bare number of one that is not known.
        message_class: request, indication, success response or error response.
        transaction_id: 12 bytes; 16 for a classic (RFC 3489) message without magic cookie.
        attributes: in wire order, without padding; of a decoded message only those
            that count (what follows MESSAGE-INTEGRITY does not, RFC 8489 §14.5).
        raw: the bytes it was decoded from, for `verify`; empty for a message made here.

    """

    method: int
    message_class: MessageClass
    transaction_id: bytes
    attributes: tuple[RawAttribute, ...] = ()
    raw: bytes = attrs.field(default=b"", eq=False, repr=False)
    _first: dict[int, bytes] = attrs.field(init=False, eq=False, repr=False)

    @_first.default
    def _first_of_each_type(self) -> dict[int, bytes]:
        return dict(self.attributes[::-1])

    @classmethod
    def build(
        cls,
        method: int,
        message_class: MessageClass,
        transaction_id: bytes,
        attributes: Iterable[RawAttribute] = (),
    ) -> Message:
        """Make a message; attributes come from `AttributeType.of` or are raw pairs."""
        return cls(method, message_class, transaction_id, tuple(attributes))

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Message:
        """Read one whole message.

        Raises:
            DecodeError: anything is not as RFC 8489 §5 and §14 have it, or a
                FINGERPRINT is there and wrong.

        """
        data = bytes(data)  # costs nothing unless it is a view or a bytearray
        if len(data) < HEADER_SIZE:
            raise DecodeError(f"{len(data)} bytes are fewer than a STUN header's {HEADER_SIZE}")
        message_type, length = _TYPE_AND_LENGTH.unpack_from(data)
        if message_type & 0xC000:
            raise DecodeError("the two most significant bits of a STUN message are zero")
        if length % 4 or length != len(data) - HEADER_SIZE:
            raise DecodeError(f"length {length} does not fit a message of {len(data)} bytes")
        classic = data[4:8] != MAGIC_COOKIE_BYTES
        return cls(
            _method_of(message_type),
            _CLASSES[message_type & CLASS_MASK],
            data[4:20] if classic else data[8:20],
            _decode_attributes(data),
            data,
        )

    @property
    def is_classic(self) -> bool:
        """Whether this is an RFC 3489 message (no magic cookie)."""
        return len(self.transaction_id) == CLASSIC_TRANSACTION_ID_SIZE

    def get(self, attribute: AttributeType[T]) -> T | None:
        """Decode the first attribute of that type; None when there is none.

        Raises:
            DecodeError: it is there, and its value is malformed.

        """
        value = self._first.get(attribute.code)
        return None if value is None else attribute.decode(value, self.transaction_id)

    def get_all(self, attribute: AttributeType[T]) -> list[T]:
        """Decode every attribute of that type, in order.

        Raises:
            DecodeError: one of them is malformed.

        """
        return [
            attribute.decode(value, self.transaction_id)
            for code, value in self.attributes
            if code == attribute.code
        ]

    def has(self, attribute: AttributeType[Any]) -> bool:
        """Whether an attribute of that type is there, well-formed or not."""
        return attribute.code in self._first

    def encode(
        self,
        *,
        sign: Sequence[tuple[IntegrityAlgorithm, bytes]] = (),
        fingerprint: bool = False,
    ) -> bytes:
        """Write the message, then what covers it.

        Args:
            sign: algorithm and key of each integrity attribute to append;
                with both, SHA-1 comes first (RFC 8489 §14.5 allows no other order).
            fingerprint: append FINGERPRINT last.

        Raises:
            EncodeError: the message would be larger than its length field can say, or a
                number in it does not fit its field.

        """
        parts = [b"", self.transaction_id]
        if len(self.transaction_id) == TRANSACTION_ID_SIZE:
            parts.insert(1, MAGIC_COOKIE_BYTES)
        elif len(self.transaction_id) != CLASSIC_TRANSACTION_ID_SIZE:
            raise EncodeError("a transaction id has 12 bytes (16 in RFC 3489)")
        try:
            for code, value in self.attributes:
                parts += (_TYPE_AND_LENGTH.pack(code, len(value)), value, pad(len(value)))
        except struct.error as error:
            raise EncodeError("an attribute's code or length does not fit 16 bits") from error
        body = b"".join(parts)  # all but the first four bytes of the message
        message_type = _message_type(self.method, self.message_class)
        for algorithm, key in sorted(sign, key=lambda pair: pair[0].digest_size):
            length = len(body) - 16 + 4 + algorithm.digest_size
            text = _TYPE_AND_LENGTH.pack(message_type, _checked_length(length)) + body
            digest = hmac.digest(key, text, algorithm.hash_name)
            body += _TYPE_AND_LENGTH.pack(algorithm.attribute_code, len(digest)) + digest
        length = len(body) - 16 + (_FINGERPRINT_SIZE if fingerprint else 0)
        data = _TYPE_AND_LENGTH.pack(message_type, _checked_length(length)) + body
        if fingerprint:
            data += struct.pack("!HHI", _FINGERPRINT, 4, zlib.crc32(data) ^ _FINGERPRINT_XOR)
        return data

    def verify(self, algorithm: IntegrityAlgorithm, key: bytes) -> bool:
        """Check the integrity attribute of that algorithm against `key`, in constant time.

        A truncated MESSAGE-INTEGRITY-SHA256 is accepted from 16 bytes on, in
        multiples of 4 (RFC 8489 §14.6). False when the attribute is missing, or stands
        where it does not count.
        """
        wanted = algorithm.attribute_code
        if wanted not in self._first:
            return False
        found = _find(self.raw, wanted)
        if found is None:  # a message that was made here, not decoded
            return False
        offset, value = found
        if not algorithm.accepts_length(len(value)):
            return False
        # RFC 8489 §14.5: the length field counts up to and including this attribute.
        length = offset + 4 + len(value) - HEADER_SIZE
        text = self.raw[:2] + length.to_bytes(2, "big") + self.raw[4:offset]
        digest = hmac.digest(key, text, algorithm.hash_name)
        return hmac.compare_digest(digest[: len(value)], value)


def _message_type(method: int, message_class: MessageClass) -> int:
    if not 0 <= method <= 0xFFF:
        raise EncodeError(f"method 0x{method:x} does not fit 12 bits")
    # RFC 8489 §5, figure 3: the class bits C1 and C0 stand between the method's bits.
    return (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | message_class


def _method_of(message_type: int) -> int:
    number = (message_type & 0x000F) | (message_type & 0x00E0) >> 1 | (message_type & 0x3E00) >> 2
    return _METHODS.get(number, number)


_METHODS: dict[int, int] = {method.value: method for method in Method}
_CLASSES = {each.value: each for each in MessageClass}


def _checked_length(length: int) -> int:
    if length > 0xFFFC:
        raise EncodeError(f"{length} bytes of attributes do not fit one message")
    return length


def _decode_attributes(data: bytes) -> tuple[RawAttribute, ...]:
    attributes: list[RawAttribute] = []
    offset, end = HEADER_SIZE, len(data)
    signed = 0  # the integrity attribute passed last
    while offset < end:
        if end - offset < 4:
            raise DecodeError("the last attribute's header is cut short")
        code, length = _TYPE_AND_LENGTH.unpack_from(data, offset)
        start = offset + 4
        if length > end - start:
            raise DecodeError(f"attribute 0x{code:04x} of {length} bytes runs past the message")
        if code == _FINGERPRINT:
            _check_fingerprint(data, offset, length)
            attributes.append((code, data[start : start + length]))
            break  # RFC 8489 §14.7: it must be the last attribute
        # RFC 8489 §14.5, §14.6: only these two count once the message is signed.
        if not signed or (signed == _MESSAGE_INTEGRITY and code == _MESSAGE_INTEGRITY_SHA256):
            attributes.append((code, data[start : start + length]))
            if code in _INTEGRITY:
                signed = code
        offset = start + length + (-length % 4)
    return tuple(attributes)


def _check_fingerprint(data: bytes, offset: int, length: int) -> None:
    if length != 4:
        raise DecodeError(f"FINGERPRINT has 4 bytes, not {length}")
    # RFC 8489 §14.7: the CRC is taken with a length field that counts FINGERPRINT itself.
    covered = (offset + _FINGERPRINT_SIZE - HEADER_SIZE).to_bytes(2, "big")
    crc = zlib.crc32(data[4:offset], zlib.crc32(data[:2] + covered)) ^ _FINGERPRINT_XOR
    if crc != int.from_bytes(data[offset + 4 : offset + 8], "big"):
        raise DecodeError("FINGERPRINT does not match the message")


def _find(data: bytes, wanted: int) -> RawFound | None:
    offset, end = HEADER_SIZE, len(data)
    while offset + 4 <= end:
        code, length = _TYPE_AND_LENGTH.unpack_from(data, offset)
        if code == wanted:
            return offset, data[offset + 4 : offset + 4 + length]
        offset += 4 + length + (-length % 4)
    return None


RawFound = tuple[int, bytes]
