"""DTLS cookies: proof that a client receives at the address it sends from (RFC 6347 §4.2.1).

A cookie is a keyed hash, so none is remembered. The key is replaced every minute and
its predecessor accepted for another one: a cookie is good for one to two minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from turnd.core.five_tuple import FiveTuple

COOKIE_SIZE = 20
"""Bytes; DTLS 1.0's clients take at most 32. With it a HelloVerifyRequest (48 bytes) is
smaller than any ClientHello it answers, so nobody is worth lying to as a reflector."""
KEY_LIFETIME = 60.0
_KEY_SIZE = 32


class CookieMaker:
    """Makes and checks cookies.

    Args:
        now: monotonic seconds.
        random_bytes: a cryptographic source of randomness.

    """

    def __init__(
        self, now: float, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._random_bytes = random_bytes
        self._key = random_bytes(_KEY_SIZE)
        self._previous = random_bytes(_KEY_SIZE)
        self._rotate_at = now + KEY_LIFETIME

    def make(self, five_tuple: FiveTuple, client_random: bytes, now: float) -> bytes:
        """Return the cookie of a client.

        Args:
            five_tuple: both addresses go into it.
            client_random: the ClientHello's random, which its repetition must have too.
            now: monotonic seconds.

        """
        self._rotate(now)
        return _hash(self._key, five_tuple, client_random)

    def check(self, cookie: bytes, five_tuple: FiveTuple, client_random: bytes, now: float) -> bool:
        """Return whether `make` gave this client that cookie one to two minutes ago at most."""
        self._rotate(now)
        is_current = hmac.compare_digest(cookie, _hash(self._key, five_tuple, client_random))
        is_previous = hmac.compare_digest(cookie, _hash(self._previous, five_tuple, client_random))
        return is_current or is_previous

    def _rotate(self, now: float) -> None:
        if now < self._rotate_at:
            return
        # After two lifetimes without a client the present key is as old as the previous.
        stale = now >= self._rotate_at + KEY_LIFETIME
        self._previous = self._random_bytes(_KEY_SIZE) if stale else self._key
        self._key = self._random_bytes(_KEY_SIZE)
        self._rotate_at = now + KEY_LIFETIME


def _hash(key: bytes, five_tuple: FiveTuple, client_random: bytes) -> bytes:
    parts = [client_random]
    for address in (five_tuple.client, five_tuple.server):
        parts.append(bytes((len(address.packed),)) + address.packed)
        parts.append(address.port.to_bytes(2, "big") + address.scope.to_bytes(4, "big"))
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()[:COOKIE_SIZE]
