"""The 401 that every stranger's Allocate gets, taken apart, so that an engine can give it."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Challenge:
    """A 401 response without its header, and without the part of its nonce that differs.

    That part is the base64 form of the Unix time (5 bytes) and of the first 10 bytes of
    HMAC-SHA256(key, time + features + the client's packed IP address + its port (2 bytes) + its
    transport's name + covers); see `turnd.core.nonce`.

    Attributes:
        before: the response's attributes, up to and including the cookie that a nonce begins with.
        after: what follows the nonce, from its padding on.
        key: of the hash.
        features: the security features, 3 bytes.
        covers: what the hash covers besides.

    """

    before: bytes
    after: bytes
    key: bytes = attrs.field(repr=False)
    features: bytes
    covers: bytes
