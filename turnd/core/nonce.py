"""Stateless nonces: the server remembers none and knows its own (RFC 8489 §9.2, §9.2.4).

A nonce is the security feature cookie, the second it was made in, and a keyed hash
over that second and the client's transport address. One made for another
address, by another server (of another key), or changed on the way does not verify.
"""

from __future__ import annotations

import base64
import binascii
import hmac

import attrs

from stun.credentials import SecurityFeature, nonce_prefix
from turnd.core.five_tuple import FiveTuple

_TIME_SIZE = 5
_TAG_SIZE = 10


def _bound_to(five_tuple: FiveTuple) -> bytes:
    client = five_tuple.client
    return client.packed + client.port.to_bytes(2, "big") + five_tuple.transport.value.encode()


@attrs.frozen(slots=True)
class NonceMaker:
    """Makes and checks nonces.

    Attributes:
        key: secret of at least 16 bytes; servers that share it take each other's nonces.
        lifetime: seconds a nonce is valid.
        features: what the cookie announces; covered by the hash, so that nobody on the
            path can take a feature away (RFC 8489 §9.2.1).
        covers: what the challenge says besides: PASSWORD-ALGORITHMS, which clients send
            back, must be that of the challenge (RFC 8489 §9.2.4). Another configuration's
            nonces are stale, so that its clients learn of the change.

    """

    key: bytes = attrs.field(repr=False)
    lifetime: float
    features: SecurityFeature
    covers: bytes = b""
    _prefix: bytes = attrs.field(init=False, repr=False)
    _feature_bits: bytes = attrs.field(init=False, repr=False)

    @_prefix.default
    def _prefix_of_features(self) -> bytes:
        return nonce_prefix(self.features)

    @_feature_bits.default
    def _bits_of_features(self) -> bytes:
        return int(self.features).to_bytes(3, "big")

    def make(self, five_tuple: FiveTuple, wall_time: float) -> bytes:
        """Return a nonce for that client at that Unix time."""
        # Wall time, so that the servers of a cluster agree on a nonce's age.
        made = int(wall_time).to_bytes(_TIME_SIZE, "big")
        return self._prefix + base64.b64encode(made + self._tag(made, five_tuple))

    def is_valid(self, nonce: bytes, five_tuple: FiveTuple, wall_time: float) -> bool:
        """Whether `make` gave that nonce to that client no more than `lifetime` ago."""
        if not nonce.startswith(self._prefix):
            return False
        try:
            body = base64.b64decode(nonce[len(self._prefix) :], validate=True)
        except binascii.Error:
            return False
        made, tag = body[:_TIME_SIZE], body[_TIME_SIZE:]
        if not hmac.compare_digest(tag, self._tag(made, five_tuple)):
            return False
        age = wall_time - int.from_bytes(made, "big")
        # One second of grace below zero: servers of a cluster differ a little.
        return -1 <= age <= self.lifetime

    def _tag(self, made: bytes, five_tuple: FiveTuple) -> bytes:
        text = made + self._feature_bits + _bound_to(five_tuple) + self.covers
        return hmac.digest(self.key, text, "sha256")[:_TAG_SIZE]
