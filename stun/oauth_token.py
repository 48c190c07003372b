"""Self-contained OAuth access tokens (RFC 7635 §6.2, appendix B).

    token           = nonce_length (16 bits) | nonce | ciphertext with its AEAD tag
    encrypted block = key_length (16 bits) | mac_key | timestamp (64 bits) | lifetime (32 bits)

The timestamp counts Unix seconds in its upper 48 bits and 1/64000 s in its lower 16. The
server's name is the AEAD's associated data: a token made for one server is of no use to
another.
"""

from __future__ import annotations

import struct

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stun.errors import DecodeError, EncodeError

NONCE_SIZE = 12
TAG_SIZE = 16
_FRACTIONS = 64000
_TAIL = struct.Struct("!QI")


@attrs.frozen(slots=True)
class Token:
    """What an access token says.

    Attributes:
        mac_key: the key of the requests' integrity.
        timestamp: Unix time in seconds at which it was made.
        lifetime: seconds it is valid for.

    """

    mac_key: bytes = attrs.field(repr=False)
    timestamp: float
    lifetime: int


def seal_token(token: Token, key: bytes, nonce: bytes, server_name: str) -> bytes:
    """Encrypt a token with AES-GCM.

    Args:
        token: what to say.
        key: shared with the server, 16 or 32 bytes (A128GCM, A256GCM).
        nonce: 12 bytes, never used twice with `key`.
        server_name: THIRD-PARTY-AUTHORIZATION's value.

    Raises:
        EncodeError: a number or the MAC key does not fit its field, or the nonce is not 12 bytes.

    """
    if len(token.mac_key) > 0xFFFF:
        raise EncodeError("the mac_key is too long")
    if len(nonce) != NONCE_SIZE:
        raise EncodeError(f"the nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
    if not (0 <= token.timestamp < 1 << 48 and 0 <= token.lifetime < 1 << 32):
        raise EncodeError("the timestamp or the lifetime does not fit the token")
    fraction = int((token.timestamp % 1) * _FRACTIONS)
    timestamp = int(token.timestamp) << 16 | fraction
    block = (
        len(token.mac_key).to_bytes(2, "big")
        + token.mac_key
        + _TAIL.pack(timestamp, token.lifetime)
    )
    sealed = AESGCM(key).encrypt(nonce, block, server_name.encode())
    return len(nonce).to_bytes(2, "big") + nonce + sealed


def open_token(data: bytes, key: bytes, server_name: str) -> Token:
    """Decrypt a token.

    Raises:
        DecodeError: it is malformed, or was not made with `key` for `server_name`.

    """
    size = int.from_bytes(data[:2], "big")
    nonce, sealed = data[2 : 2 + size], data[2 + size :]
    if len(data) < 2 or len(nonce) != size or not 8 <= size <= 128 or len(sealed) < TAG_SIZE:
        raise DecodeError("the access token is cut short")
    try:
        block = AESGCM(key).decrypt(nonce, sealed, server_name.encode())
    except InvalidTag as error:
        raise DecodeError("the access token was not made with this key for this server") from error
    key_size = int.from_bytes(block[:2], "big")
    if len(block) != 2 + key_size + _TAIL.size:
        raise DecodeError("the access token's block has another length than it says")
    timestamp, lifetime = _TAIL.unpack_from(block, 2 + key_size)
    seconds = (timestamp >> 16) + (timestamp & 0xFFFF) / _FRACTIONS
    return Token(block[2 : 2 + key_size], seconds, lifetime)
