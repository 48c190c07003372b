"""What a client proves who it is with (RFC 8489 §9.2, RFC 7635)."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class LongTermCredentials:
    """A user name and a password, long-term or time-limited (RFC 8489 §9.2)."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen(slots=True)
class OAuthCredentials:
    """An access token that an authorization server has given out (RFC 7635 §4).

    Attributes:
        kid: the key id, sent as USERNAME.
        access_token: the sealed token, which only the TURN server can read.
        mac_key: the session key, which the token holds as well.

    """

    kid: str
    access_token: bytes = attrs.field(repr=False)
    mac_key: bytes = attrs.field(repr=False)


Credentials = LongTermCredentials | OAuthCredentials
