"""Long-term credential keys, user hashes, and the nonce's security features.

RFC 8489 §9.2.2 (keys), §9.2.1 (nonce cookie), §14.4 (USERHASH), §18.1 (features).
Strings must have gone through OpaqueString or SASLprep before they come here.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib

NONCE_COOKIE = b"obMatJos2"
"""What a nonce starts with that carries security feature bits (RFC 8489 §9.2)."""


class SecurityFeature(enum.IntFlag):
    """Security feature bits (RFC 8489 §18.1); bit 0 is the most significant of 24."""

    NONE = 0
    PASSWORD_ALGORITHMS = 1 << 23
    USERNAME_ANONYMITY = 1 << 22


def long_term_key_md5(username: str, realm: str, password: str) -> bytes:
    """Return the 16-byte key of RFC 8489 §18.5.1.1: MD5(username ":" realm ":" password)."""
    text = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


def long_term_key_sha256(username: str, realm: str, password: str) -> bytes:
    """Return the 32-byte key of RFC 8489 §18.5.1.2: SHA-256(username ":" realm ":" password)."""
    return hashlib.sha256(f"{username}:{realm}:{password}".encode()).digest()


def userhash(username: str, realm: str) -> bytes:
    """Return the 32 bytes of USERHASH: SHA-256(username ":" realm) (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()


def nonce_prefix(features: SecurityFeature) -> bytes:
    """Return the 13 characters that put `features` at a nonce's start (RFC 8489 §9.2)."""
    return NONCE_COOKIE + base64.b64encode(int(features).to_bytes(3, "big"))


def nonce_features(nonce: bytes) -> SecurityFeature | None:
    """Read the security features of a nonce; None when it carries none (an RFC 5389 server's)."""
    if not nonce.startswith(NONCE_COOKIE):
        return None
    encoded = nonce[len(NONCE_COOKIE) : len(NONCE_COOKIE) + 4]
    try:
        bits = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return SecurityFeature(int.from_bytes(bits, "big")) if len(bits) == 3 else None
