"""A bound on replies to strangers, in memory that does not grow with their number.

Source prefixes (IPv4 /24, IPv6 /56) are spread by a keyed hash over a fixed array of
token buckets. Two prefixes may share a bucket; nobody outside knows which, and
nothing is kept per client.
"""

from __future__ import annotations

import hashlib
from array import array

_BUCKETS = 4096
_PREFIX_BYTES = {4: 3, 16: 7}


class PrefixRateLimit:
    """Token buckets over source prefixes.

    Args:
        rate: replies per second and prefix; 0 for no limit.
        burst: replies at once after a quiet time.
        key: secret that decides which prefixes share a bucket.
        now: monotonic seconds.

    """

    def __init__(self, rate: float, burst: float, key: bytes, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._key = key[:64]
        self._tokens = array("d", [self._burst]) * _BUCKETS
        self._updated = array("d", [now]) * _BUCKETS

    def allows(self, packed: bytes, now: float) -> bool:
        """Take one token of the prefix of that IP address; False when there is none."""
        if not self._rate:
            return True
        prefix = packed[: _PREFIX_BYTES[len(packed)]]
        digest = hashlib.blake2b(prefix, digest_size=2, key=self._key).digest()
        index = int.from_bytes(digest, "big") % _BUCKETS
        tokens = self._tokens[index] + (now - self._updated[index]) * self._rate
        tokens = min(tokens, self._burst)
        self._updated[index] = now
        self._tokens[index] = tokens - 1 if tokens >= 1 else tokens
        return tokens >= 1
