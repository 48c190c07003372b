"""Messages written and read by hand from the RFCs, so that no code of ours vouches for itself."""

from __future__ import annotations

import os
import struct

import attrs

from stun import Address

COOKIE = bytes.fromhex("2112a442")
SEND, DATA_INDICATION = 0x0016, 0x0017
XOR_PEER_ADDRESS, DATA, DONT_FRAGMENT, ICMP = 0x0012, 0x0013, 0x001A, 0x8004


def attribute(code: int, value: bytes) -> bytes:
    """RFC 8489 §14: type, length without padding, value, padding."""
    return struct.pack("!HH", code, len(value)) + value + bytes(-len(value) % 4)


def message(kind: int, *attributes: bytes, transaction_id: bytes = b"") -> bytes:
    """RFC 8489 §5."""
    body = b"".join(attributes)
    return struct.pack("!HH", kind, len(body)) + COOKIE + (transaction_id or os.urandom(12)) + body


def xor_address(address: Address, transaction_id: bytes) -> bytes:
    """RFC 8489 §14.2, the value alone."""
    mask = COOKIE + transaction_id
    family = 1 if len(address.packed) == 4 else 2
    xored = bytes(x ^ y for x, y in zip(address.packed, mask, strict=False))
    return struct.pack("!BBH", 0, family, address.port ^ 0x2112) + xored


def send_indication(peer: Address, data: bytes, *more: bytes) -> bytes:
    """RFC 8656 §11.1."""
    transaction_id = os.urandom(12)
    return message(
        SEND,
        attribute(XOR_PEER_ADDRESS, xor_address(peer, transaction_id)),
        attribute(DATA, data),
        *more,
        transaction_id=transaction_id,
    )


def channel_data(number: int, data: bytes, padding: int = 0) -> bytes:
    """RFC 8656 §12.4."""
    return struct.pack("!HH", number, len(data)) + data + bytes(padding)


@attrs.frozen
class Indication:
    """A Data indication taken apart."""

    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...]

    def value(self, code: int) -> bytes:
        """The value of the only attribute of that code."""
        (value,) = [value for each, value in self.attributes if each == code]
        return value

    @property
    def peer(self) -> Address:
        """XOR-PEER-ADDRESS."""
        value = self.value(XOR_PEER_ADDRESS)
        reserved, family, port = struct.unpack("!BBH", value[:4])
        assert reserved == 0
        assert (family, len(value)) in {(1, 8), (2, 20)}
        mask = COOKIE + self.transaction_id
        packed = bytes(x ^ y for x, y in zip(value[4:], mask, strict=False))
        return Address(packed, port ^ 0x2112)

    @property
    def data(self) -> bytes:
        """DATA."""
        return self.value(DATA)


def read_indication(data: bytes) -> Indication:
    """Take a Data indication apart; anything odd about it fails the test."""
    kind, length = struct.unpack("!HH", data[:4])
    assert kind == DATA_INDICATION
    assert data[4:8] == COOKIE
    assert len(data) == 20 + length
    assert length % 4 == 0
    attributes, offset = [], 20
    while offset < len(data):
        code, size = struct.unpack_from("!HH", data, offset)
        end = offset + 4 + size
        attributes.append((code, data[offset + 4 : end]))
        assert data[end : end + -size % 4] == bytes(-size % 4)
        offset = end + -size % 4
    assert offset == len(data)
    return Indication(data[8:20], tuple(attributes))
