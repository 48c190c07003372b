"""Codecs that attributes share: addresses, text, integers, flags (RFC 8489 §14)."""

from __future__ import annotations

from stun.address import Address, Family
from stun.attribute import Decoder, Encoder
from stun.constants import MAGIC_COOKIE_BYTES, TRANSACTION_ID_SIZE
from stun.errors import DecodeError, EncodeError, UnknownFamilyError

_PACKED_SIZES = {Family.IPV4: 4, Family.IPV6: 16}


def encode_address(value: Address, _transaction_id: bytes) -> bytes:
    """Write the MAPPED-ADDRESS form (RFC 8489 §14.1)."""
    return bytes((0, value.family)) + encode_unsigned(value.port, 2) + value.packed


def decode_address(value: bytes, _transaction_id: bytes) -> Address:
    """Read the MAPPED-ADDRESS form (RFC 8489 §14.1)."""
    if len(value) < 4:
        raise DecodeError(f"an address attribute has 8 or 20 bytes, not {len(value)}")
    family = decode_family_number(value[1])
    packed = value[4:]
    if len(packed) != _PACKED_SIZES[family]:
        raise DecodeError(f"{len(packed)} bytes are no {family.name} address")
    return Address(packed, int.from_bytes(value[2:4], "big"))


def encode_xor_address(value: Address, transaction_id: bytes) -> bytes:
    """Write the XOR-MAPPED-ADDRESS form (RFC 8489 §14.2)."""
    if len(value.packed) == 16 and len(transaction_id) != TRANSACTION_ID_SIZE:
        raise EncodeError("an IPv6 address is XORed with a transaction id of 12 bytes")
    return _xor(encode_address(value, transaction_id), transaction_id)


def decode_xor_address(value: bytes, transaction_id: bytes) -> Address:
    """Read the XOR-MAPPED-ADDRESS form (RFC 8489 §14.2)."""
    return decode_address(_xor(value, transaction_id), transaction_id)


def _xor(value: bytes, transaction_id: bytes) -> bytes:
    mask = (b"\0\0" + MAGIC_COOKIE_BYTES[:2] + MAGIC_COOKIE_BYTES + transaction_id)[: len(value)]
    head, tail = value[: len(mask)], value[len(mask) :]
    xored = int.from_bytes(head, "big") ^ int.from_bytes(mask, "big")
    return xored.to_bytes(len(mask), "big") + tail


def text(limit: int) -> tuple[Encoder[str], Decoder[str]]:
    """Code UTF-8 text: at most `limit` bytes when sent, 763 when received.

    RFC 8489 §14.9: 128 characters are up to 509 bytes when encoded, and up to
    763 bytes when decoded, as the older RFC counted them differently.
    """

    def encode(value: str, _transaction_id: bytes) -> bytes:
        data = encode_text(value)
        if len(data) > limit:
            raise EncodeError(f"text of {len(data)} bytes is longer than {limit}")
        return data

    def decode(value: bytes, _transaction_id: bytes) -> str:
        if len(value) > 763:
            raise DecodeError(f"text of {len(value)} bytes is longer than 763")
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("text is not UTF-8") from error

    return encode, decode


def integer(size: int) -> tuple[Encoder[int], Decoder[int]]:
    """Code an unsigned integer of `size` bytes, nothing else."""

    def encode(value: int, _transaction_id: bytes) -> bytes:
        return encode_unsigned(value, size)

    def decode(value: bytes, _transaction_id: bytes) -> int:
        check_size(value, size)
        return int.from_bytes(value, "big")

    return encode, decode


def leading_integer(size: int) -> tuple[Encoder[int], Decoder[int]]:
    """Code an unsigned integer of `size` bytes, then zeros up to 4 that a receiver ignores."""

    def encode(value: int, _transaction_id: bytes) -> bytes:
        return encode_unsigned(value, size) + bytes(4 - size)

    def decode(value: bytes, _transaction_id: bytes) -> int:
        check_size(value, 4)
        return int.from_bytes(value[:size], "big")

    return encode, decode


def octets(minimum: int, maximum: int) -> tuple[Encoder[bytes], Decoder[bytes]]:
    """Opaque bytes, between `minimum` and `maximum` of them."""

    def encode(value: bytes, _transaction_id: bytes) -> bytes:
        if not minimum <= len(value) <= maximum:
            raise EncodeError(f"{len(value)} bytes are not within {minimum}-{maximum}")
        return bytes(value)

    def decode(value: bytes, _transaction_id: bytes) -> bytes:
        if not minimum <= len(value) <= maximum:
            raise DecodeError(f"{len(value)} bytes are not within {minimum}-{maximum}")
        return value

    return encode, decode


def encode_flag(value: bool, _transaction_id: bytes) -> bytes:
    """Write an attribute that says all by being there."""
    if not value:
        raise EncodeError("a flag attribute that is off is left out")
    return b""


def decode_flag(value: bytes, _transaction_id: bytes) -> bool:
    """Read an attribute that says all by being there."""
    check_size(value, 0)
    return True


def encode_family(value: Family, _transaction_id: bytes) -> bytes:
    """Write REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6)."""
    return bytes((value, 0, 0, 0))


def decode_family(value: bytes, _transaction_id: bytes) -> Family:
    """Read REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6)."""
    check_size(value, 4)
    return decode_family_number(value[0])


def decode_family_number(number: int) -> Family:
    """Turn the wire value into a family, or raise `UnknownFamilyError`."""
    try:
        return Family(number)
    except ValueError as error:
        raise UnknownFamilyError(f"0x{number:02x} is no address family") from error


def encode_unsigned(value: int, size: int) -> bytes:
    """Write an unsigned integer of `size` bytes, or raise `EncodeError`."""
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise EncodeError(f"{value} does not fit {size} bytes") from error


def encode_text(value: str) -> bytes:
    """Write UTF-8, or raise `EncodeError` at a lone surrogate."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(f"text has a lone surrogate at {error.start}") from error


def check_size(value: bytes, size: int) -> None:
    """Raise `DecodeError` unless `value` has `size` bytes."""
    if len(value) != size:
        raise DecodeError(f"the attribute has {size} bytes, not {len(value)}")
