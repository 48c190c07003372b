"""What an attribute is: a code, a name, and a codec between a typed value and bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")

RawAttribute = tuple[int, bytes]
"""An attribute as it stands on the wire: code, and value without padding."""

Encoder = Callable[[T, bytes], bytes]
Decoder = Callable[[bytes, bytes], T]

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def pad(length: int) -> bytes:
    """Zero bytes that bring `length` to a multiple of 4 (RFC 8489 §14)."""
    return _PADDING[length % 4]


@attrs.frozen(slots=True, eq=False)
class AttributeType(Generic[T]):
    """One kind of attribute.

    Attributes:
        code: the 16-bit type.
        name: as the RFC spells it, ``"XOR-MAPPED-ADDRESS"``.
        encode: value and transaction id to bytes; raises `EncodeError`.
        decode: bytes and transaction id to a value; raises `DecodeError`, nothing else.

    """

    code: int
    name: str
    encode: Encoder[T]
    decode: Decoder[T]

    def of(self, value: T, transaction_id: bytes = b"") -> RawAttribute:
        """Make the attribute; the XOR addresses need the message's transaction id."""
        return self.code, self.encode(value, transaction_id)

    @property
    def comprehension_required(self) -> bool:
        """Whether a receiver that does not know it must refuse the message (RFC 8489 §14)."""
        return self.code < 0x8000

    def __repr__(self) -> str:
        return self.name
