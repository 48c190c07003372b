"""The two indications of the packet road, written and read without `stun.Message`. Hot.

RFC 8656 §11. `stun.Message` decodes what is asked for and keeps the rest; a relay needs two
attributes of every Send indication and writes the same two into every Data indication.
"""

from __future__ import annotations

import struct

import attrs

from stun import Address
from stun.constants import HEADER_SIZE, MAGIC_COOKIE_BYTES

SEND_INDICATION = b"\x00\x16"
_DATA_INDICATION = 0x0017
_XOR_PEER_ADDRESS = 0x0012
_DATA = 0x0013
_DONT_FRAGMENT = 0x001A
_ICMP = 0x8004
_HEADER = struct.Struct("!HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_COOKIE = int.from_bytes(MAGIC_COOKIE_BYTES, "big")


@attrs.frozen(slots=True)
class SendIndication:
    """What a Send indication asks for."""

    peer: Address
    data: bytes
    dont_fragment: bool


def read_send_indication(message: bytes) -> SendIndication | None:
    """Read a whole Send indication; None if it is malformed or has unknown required attributes."""
    size = len(message)
    if message[4:8] != MAGIC_COOKIE_BYTES or size - HEADER_SIZE != int.from_bytes(
        message[2:4], "big"
    ):
        return None
    peer: Address | None = None
    data: bytes | None = None
    dont_fragment = False
    offset = HEADER_SIZE
    while offset < size:
        if size - offset < 4:
            return None
        code, length = _HEADER.unpack_from(message, offset)
        start = offset + 4
        end = start + length
        if end > size:
            return None
        if code == _XOR_PEER_ADDRESS:
            peer = peer or _read_xor_address(message[start:end], message[4:HEADER_SIZE])
            if peer is None:
                return None
        elif code == _DATA:
            data = message[start:end] if data is None else data
        elif code == _DONT_FRAGMENT:
            dont_fragment = True
        elif code < 0x8000:
            return None
        offset = end + (-length % 4)
    if peer is None or data is None:
        return None
    return SendIndication(peer, data, dont_fragment)


def _read_xor_address(value: bytes, mask: bytes) -> Address | None:
    size = len(value)
    if not (size == 8 and value[1] == 1) and not (size == 20 and value[1] == 2):
        return None
    port = int.from_bytes(value[2:4], "big") ^ (_COOKIE >> 16)
    width = size - 4
    packed = int.from_bytes(value[4:], "big") ^ int.from_bytes(mask[:width], "big")
    return Address(packed.to_bytes(width, "big"), port)


def write_xor_peer_address(peer: Address, transaction_id: bytes) -> bytes:
    """Write the XOR-PEER-ADDRESS attribute, header and all."""
    packed = peer.packed
    width = len(packed)
    mask = int.from_bytes((MAGIC_COOKIE_BYTES + transaction_id)[:width], "big")
    xored = (int.from_bytes(packed, "big") ^ mask).to_bytes(width, "big")
    port = peer.port ^ (_COOKIE >> 16)
    return (
        struct.pack("!HHBBH", _XOR_PEER_ADDRESS, 4 + width, 0, 1 if width == 4 else 2, port) + xored
    )


def data_indication(peer: Address, data: bytes, transaction_id: bytes) -> bytes:
    """Write a Data indication that carries a peer's datagram (RFC 8656 §11.3)."""
    address = write_xor_peer_address(peer, transaction_id)
    size = len(data)
    padding = _PADDING[size & 3]
    length = len(address) + 4 + size + len(padding)
    return b"".join(
        (
            _HEADER.pack(_DATA_INDICATION, length),
            MAGIC_COOKIE_BYTES,
            transaction_id,
            address,
            _HEADER.pack(_DATA, size),
            data,
            padding,
        )
    )


def icmp_indication(
    peer: Address, icmp_type: int, icmp_code: int, error_data: int, transaction_id: bytes
) -> bytes:
    """Write a Data indication that reports an ICMP error (RFC 8656 §11.5, §18.13)."""
    address = write_xor_peer_address(peer, transaction_id)
    # RFC 8656 figure 11 gives the type 7 bits and the code 9.
    icmp = struct.pack("!HHHHI", _ICMP, 8, 0, icmp_type << 9 | icmp_code, error_data)
    header = _HEADER.pack(_DATA_INDICATION, len(address) + len(icmp))
    return header + MAGIC_COOKIE_BYTES + transaction_id + address + icmp
