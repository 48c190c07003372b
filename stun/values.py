"""Values of attributes that have an inner structure, each with its codec."""

from __future__ import annotations

import attrs

from stun.address import Family
from stun.attribute import pad
from stun.codec import check_size, decode_family_number, encode_text, encode_unsigned
from stun.errors import DecodeError, EncodeError

_REASON_LIMIT = 509
"""Bytes of a reason phrase that may be sent (RFC 8489 §14.8)."""


@attrs.frozen(slots=True)
class Error:
    """ERROR-CODE: a code between 300 and 699 and a reason phrase (RFC 8489 §14.8)."""

    code: int
    reason: str = ""


def encode_error(value: Error, _transaction_id: bytes) -> bytes:
    """Write ERROR-CODE; a longer reason phrase is cut, between two characters."""
    hundreds, number = divmod(value.code, 100)
    if not 3 <= hundreds <= 6:
        raise EncodeError(f"error code {value.code} is not within 300-699")
    reason = encode_text(value.reason)
    if len(reason) > _REASON_LIMIT:
        reason = reason[:_REASON_LIMIT].decode(errors="ignore").encode()
    return bytes((0, 0, hundreds, number)) + reason


def decode_error(value: bytes, _transaction_id: bytes) -> Error:
    """Read ERROR-CODE."""
    if not 4 <= len(value) <= 4 + 763:
        raise DecodeError(f"ERROR-CODE has 4 to 767 bytes, not {len(value)}")
    hundreds, number = value[2] & 0x07, value[3]
    if not (3 <= hundreds <= 6 and number <= 99):
        raise DecodeError(f"class {hundreds}, number {number} is no error code")
    return Error(hundreds * 100 + number, _reason(value[4:]))


@attrs.frozen(slots=True)
class AddressError:
    """ADDRESS-ERROR-CODE: why one family was not allocated (RFC 8656 §18.12)."""

    family: Family
    code: int
    reason: str = ""


def encode_address_error(value: AddressError, transaction_id: bytes) -> bytes:
    """Write ADDRESS-ERROR-CODE."""
    error = encode_error(Error(value.code, value.reason), transaction_id)
    return bytes((value.family,)) + error[1:]


def decode_address_error(value: bytes, transaction_id: bytes) -> AddressError:
    """Read ADDRESS-ERROR-CODE."""
    error = decode_error(value, transaction_id)
    return AddressError(decode_family_number(value[0]), error.code, error.reason)


def _reason(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("the reason phrase is not UTF-8") from error


@attrs.frozen(slots=True)
class PasswordAlgorithm:
    """One password algorithm and its parameters (RFC 8489 §14.12, §18.5.1)."""

    number: int
    parameters: bytes = b""


MD5 = PasswordAlgorithm(0x0001)
SHA256 = PasswordAlgorithm(0x0002)


def encode_password_algorithms(value: tuple[PasswordAlgorithm, ...], _tid: bytes) -> bytes:
    """Write PASSWORD-ALGORITHMS (RFC 8489 §14.11)."""
    parts = []
    for algorithm in value:
        size = len(algorithm.parameters)
        parts.append(encode_unsigned(algorithm.number, 2) + encode_unsigned(size, 2))
        parts.append(algorithm.parameters + pad(size))
    return b"".join(parts)


def decode_password_algorithms(value: bytes, _tid: bytes) -> tuple[PasswordAlgorithm, ...]:
    """Read PASSWORD-ALGORITHMS (RFC 8489 §14.11)."""
    algorithms = []
    offset = 0
    while offset < len(value):
        if len(value) - offset < 4:
            raise DecodeError("PASSWORD-ALGORITHMS is cut short")
        size = int.from_bytes(value[offset + 2 : offset + 4], "big")
        parameters = value[offset + 4 : offset + 4 + size]
        if len(parameters) != size:
            raise DecodeError("a password algorithm's parameters run past the attribute")
        number = int.from_bytes(value[offset : offset + 2], "big")
        algorithms.append(PasswordAlgorithm(number, parameters))
        offset += 4 + size + len(pad(size))
    return tuple(algorithms)


def encode_password_algorithm(value: PasswordAlgorithm, transaction_id: bytes) -> bytes:
    """Write PASSWORD-ALGORITHM (RFC 8489 §14.12)."""
    return encode_password_algorithms((value,), transaction_id)


def decode_password_algorithm(value: bytes, transaction_id: bytes) -> PasswordAlgorithm:
    """Read PASSWORD-ALGORITHM (RFC 8489 §14.12)."""
    algorithms = decode_password_algorithms(value, transaction_id)
    if len(algorithms) != 1:
        raise DecodeError(f"PASSWORD-ALGORITHM holds one algorithm, not {len(algorithms)}")
    return algorithms[0]


@attrs.frozen(slots=True)
class ChangeRequest:
    """CHANGE-REQUEST: answer from another IP address, another port (RFC 5780 §7.2)."""

    change_ip: bool = False
    change_port: bool = False


def encode_change_request(value: ChangeRequest, _transaction_id: bytes) -> bytes:
    """Write CHANGE-REQUEST."""
    return bytes((0, 0, 0, value.change_ip << 2 | value.change_port << 1))


def decode_change_request(value: bytes, _transaction_id: bytes) -> ChangeRequest:
    """Read CHANGE-REQUEST."""
    check_size(value, 4)
    return ChangeRequest(bool(value[3] & 0x04), bool(value[3] & 0x02))


@attrs.frozen(slots=True)
class Icmp:
    """ICMP: why a datagram to a peer was dropped (RFC 8656 §18.13).

    Figure 11 draws the type 7 bits wide and the code 9, the text says nothing of widths, and no
    erratum is known. Of those who implement it some follow the figure (stun-rs), others take
    ICMP's own 8 and 8 (turn-proto, openvocs); coturn, pion and browsers do not at all. The
    figure is all that is specified, so it counts: every type that may be relayed (3 and 11, or
    1 to 3 of ICMPv6) fits 7 bits, and the code's byte is where the others look for it.

    Attributes:
        type: ICMP type, 0-127 (the field has 7 bits).
        code: ICMP code, 0-511 (9 bits).
        data: the next hop's MTU in bytes where the error is "too big", else 0.

    """

    type: int
    code: int
    data: int = 0


def encode_icmp(value: Icmp, _transaction_id: bytes) -> bytes:
    """Write ICMP."""
    if not (0 <= value.type < 1 << 7 and 0 <= value.code < 1 << 9):
        raise EncodeError(f"ICMP type {value.type}, code {value.code} do not fit 7 and 9 bits")
    type_and_code = value.type << 9 | value.code
    return b"\0\0" + type_and_code.to_bytes(2, "big") + encode_unsigned(value.data, 4)


def decode_icmp(value: bytes, _transaction_id: bytes) -> Icmp:
    """Read ICMP."""
    check_size(value, 8)
    type_and_code = int.from_bytes(value[2:4], "big")
    return Icmp(type_and_code >> 9, type_and_code & 0x1FF, int.from_bytes(value[4:], "big"))


def encode_unknown_attributes(value: tuple[int, ...], _transaction_id: bytes) -> bytes:
    """Write UNKNOWN-ATTRIBUTES (RFC 8489 §14.13)."""
    return b"".join(encode_unsigned(code, 2) for code in value)


def decode_unknown_attributes(value: bytes, _transaction_id: bytes) -> tuple[int, ...]:
    """Read UNKNOWN-ATTRIBUTES (RFC 8489 §14.13)."""
    if len(value) % 2:
        raise DecodeError("UNKNOWN-ATTRIBUTES is a list of 16-bit numbers")
    return tuple(int.from_bytes(value[i : i + 2], "big") for i in range(0, len(value), 2))


def encode_even_port(value: bool, _transaction_id: bytes) -> bytes:
    """Write EVEN-PORT: whether to reserve the next-higher port (RFC 8656 §18.7)."""
    return b"\x80" if value else b"\0"


def decode_even_port(value: bytes, _transaction_id: bytes) -> bool:
    """Read EVEN-PORT (RFC 8656 §18.7)."""
    check_size(value, 1)
    return bool(value[0] & 0x80)


@attrs.frozen(slots=True)
class TransmitCounter:
    """TRANSACTION_TRANSMIT_COUNTER: which transmission this is (RFC 7982 §3).

    Attributes:
        requests: how often the request had been sent, this time included; 1 to 255.
        responses: how often it had been answered, this time included; 0 in a request.

    """

    requests: int
    responses: int = 0


def encode_transmit_counter(value: TransmitCounter, _transaction_id: bytes) -> bytes:
    """Write TRANSACTION_TRANSMIT_COUNTER."""
    return b"\0\0" + encode_unsigned(value.requests, 1) + encode_unsigned(value.responses, 1)


def decode_transmit_counter(value: bytes, _transaction_id: bytes) -> TransmitCounter:
    """Read TRANSACTION_TRANSMIT_COUNTER."""
    check_size(value, 4)
    return TransmitCounter(value[2], value[3])
