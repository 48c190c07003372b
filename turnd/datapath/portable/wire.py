"""The two indications of the packet road, written and read without `stun.Message`. Hot.

RFC 8656 §11. `stun.Message` decodes what is asked for and keeps the rest; a relay needs two
attributes of every Send indication and writes the same two into every Data indication.
"""

from __future__ import annotations

import os
import struct

from stun import Address
from stun import attributes as a
from stun.constants import (
    HEADER_SIZE,
    MAGIC_COOKIE,
    MAGIC_COOKIE_BYTES,
    TRANSACTION_ID_SIZE,
    MessageClass,
    Method,
)

SEND_INDICATION = (Method.SEND | MessageClass.INDICATION).to_bytes(2, "big")
PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
"""By the size modulo 4."""

_DATA_INDICATION = Method.DATA | MessageClass.INDICATION
_XOR_PEER_ADDRESS = a.XOR_PEER_ADDRESS.code
_DATA = a.DATA.code
_DONT_FRAGMENT = a.DONT_FRAGMENT.code
_INTEGRITIES = {a.MESSAGE_INTEGRITY.code, a.MESSAGE_INTEGRITY_SHA256.code}
_KNOWN_REQUIRED = {code for code in a.REGISTRY if code < 0x8000}
_LARGEST_BODY = 0xFFFF
_PORT_MASK = MAGIC_COOKIE >> 16
_ATTRIBUTE = struct.Struct("!HH")
_XOR_ADDRESS_HEADER = struct.Struct("!HHBBH")
_DATA_BEFORE_PEER = struct.Struct("!HH4s12s")
_ICMP = struct.Struct("!HHHHI")


class TransactionIds:
    """Random transaction ids (RFC 8489 §6), drawn from the system by the hundred."""

    __slots__ = ("_offset", "_pool")

    _SIZE = 256 * TRANSACTION_ID_SIZE

    def __init__(self) -> None:
        self._pool = b""
        self._offset = 0

    def next(self) -> bytes:
        """Return a transaction id that was never returned before. Hot."""
        offset = self._offset
        if offset == len(self._pool):
            self._pool = os.urandom(self._SIZE)
            offset = 0
        self._offset = end = offset + TRANSACTION_ID_SIZE
        return self._pool[offset:end]


def read_send_indication(message: bytes) -> tuple[bytes, bytes, bool] | None:
    """Read a whole Send indication. Hot.

    Returns:
        XOR-PEER-ADDRESS's and DATA's values, and whether DONT-FRAGMENT is there; None if the
        message is malformed, lacks one of the two, or has an attribute that is to be
        understood and is not (RFC 8656 §11.2, RFC 8489 §6.3.2).

    """
    size = len(message)
    if (
        size < HEADER_SIZE
        or message[4:8] != MAGIC_COOKIE_BYTES
        or size - HEADER_SIZE != message[2] << 8 | message[3]
    ):
        return None
    peer: bytes | None = None
    data: bytes | None = None
    dont_fragment = signed = False
    offset = HEADER_SIZE
    while offset < size:
        if size - offset < 4:
            return None
        code, length = _ATTRIBUTE.unpack_from(message, offset)
        start = offset + 4
        offset = start + length + (-length & 3)
        if offset > size:
            return None
        if signed:
            continue  # RFC 8489 §14.5: what follows the integrity is ignored
        # The first of its kind counts (RFC 8489 §14).
        if code == _DATA:
            data = message[start : start + length] if data is None else data
        elif code == _XOR_PEER_ADDRESS:
            peer = message[start : start + length] if peer is None else peer
        elif code == _DONT_FRAGMENT:
            dont_fragment = True
        elif code in _INTEGRITIES:
            signed = True
        elif code < 0x8000 and code not in _KNOWN_REQUIRED:
            return None
    if peer is None or data is None:
        return None
    return peer, data, dont_fragment


def read_xor_address(value: bytes, message: bytes) -> Address | None:
    """Read XOR-PEER-ADDRESS's value (RFC 8489 §14.2); None if it is no address."""
    size = len(value)
    if not (size == 8 and value[1] == 1) and not (size == 20 and value[1] == 2):
        return None
    port = (value[2] << 8 | value[3]) ^ _PORT_MASK
    width = size - 4
    packed = int.from_bytes(value[4:], "big") ^ int.from_bytes(message[4 : 4 + width], "big")
    return Address(packed.to_bytes(width, "big"), port)


def write_xor_address(peer: Address, transaction_id: bytes) -> bytes:
    """Write the XOR-PEER-ADDRESS attribute, header and all."""
    packed = peer.packed
    width = len(packed)
    mask = int.from_bytes((MAGIC_COOKIE_BYTES + transaction_id)[:width], "big")
    xored = (int.from_bytes(packed, "big") ^ mask).to_bytes(width, "big")
    family = 1 if width == 4 else 2
    header = _XOR_ADDRESS_HEADER.pack(
        _XOR_PEER_ADDRESS, 4 + width, 0, family, peer.port ^ _PORT_MASK
    )
    return header + xored


def data_indication(xor_address: bytes, data: bytes, transaction_id: bytes) -> bytes | None:
    """Write a Data indication that carries a peer's datagram (RFC 8656 §11.3). Hot.

    Args:
        xor_address: what `write_xor_address` wrote.
        data: the datagram.
        transaction_id: 12 bytes.

    Returns:
        The message; None if no STUN message can be that long.

    """
    size = len(data)
    padding = PADDING[size & 3]
    length = len(xor_address) + 4 + size + len(padding)
    if length > _LARGEST_BODY:
        return None
    return b"".join(
        (
            _DATA_BEFORE_PEER.pack(_DATA_INDICATION, length, MAGIC_COOKIE_BYTES, transaction_id),
            xor_address,
            _ATTRIBUTE.pack(_DATA, size),
            data,
            padding,
        )
    )


def icmp_indication(
    xor_address: bytes, icmp_type: int, icmp_code: int, error_data: int, transaction_id: bytes
) -> bytes:
    """Write a Data indication that reports an ICMP error (RFC 8656 §11.5, §18.13)."""
    # RFC 8656 figure 11 gives the type 7 bits and the code 9.
    icmp = _ICMP.pack(a.ICMP.code, 8, 0, icmp_type << 9 | icmp_code, error_data)
    length = len(xor_address) + len(icmp)
    header = _DATA_BEFORE_PEER.pack(_DATA_INDICATION, length, MAGIC_COOKIE_BYTES, transaction_id)
    return header + xor_address + icmp
