"""Third-party authorization: access tokens instead of passwords (RFC 7635)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from stun import DecodeError
from stun.oauth_token import open_token
from turnd.core.credentials import Credential

DELAY = 5.0
"""RFC 7635 §4.1.1: seconds that clocks may differ and a message may take."""


MD5_KEY_SIZE = 16


@attrs.frozen(slots=True)
class TokenKey:
    """A key shared with an authorization server.

    Attributes:
        kid: its name, which clients show as USERNAME.
        key: 16 or 32 bytes.
        valid_from: Unix time; 0 for always.
        lifetime: seconds from then on; 0 for ever.

    """

    kid: str
    key: bytes = attrs.field(repr=False)
    valid_from: int = 0
    lifetime: int = 0

    def is_valid(self, wall_time: float) -> bool:
        """Whether the key is in force at that Unix time."""
        if wall_time < self.valid_from:
            return False
        return not self.lifetime or wall_time < self.valid_from + self.lifetime


class OauthTokens:
    """Opens access tokens.

    Args:
        keys: shared with authorization servers.
        server_name: this server's name there.

    """

    def __init__(self, keys: Iterable[TokenKey], server_name: str) -> None:
        self._keys = {key.kid: key for key in keys}
        self._server_name = server_name

    def open(self, kid: str, data: bytes, wall_time: float) -> Credential | None:
        """Return the credential that a token stands for; None if it is not, or no longer, valid."""
        key = self._keys.get(kid)
        if key is None or not key.is_valid(wall_time):
            return None
        try:
            token = open_token(data, key.key, self._server_name)
        except DecodeError:
            return None
        # RFC 7635 §4.1.1: timestamp + lifetime + delay bounds the token's life.
        remaining = token.timestamp + token.lifetime + DELAY - wall_time
        if remaining <= 0 or token.timestamp - DELAY > wall_time:
            return None
        # A token names the key it was made with, not whom it was made for, and the next one
        # may be made with another key: nobody in particular owns what it opens.
        credential = Credential(
            kid,
            "",
            token.mac_key,
            token.mac_key,
            expires_at=token.timestamp + token.lifetime,
            maximum_lifetime=max(int(remaining), 1),
        )
        # coturn, server and clients, signs with the first bytes of the mac_key alone: as
        # many as a long-term key of MD5 has.
        short = token.mac_key[:MD5_KEY_SIZE]
        coturn = attrs.evolve(credential, key_md5=short, key_sha256=short)
        return attrs.evolve(credential, alternatives=(coturn,))
