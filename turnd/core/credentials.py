"""Who a client may be: the shape of a credential and of the places it is looked up."""

from __future__ import annotations

import enum
from typing import Protocol

import attrs


@attrs.frozen(slots=True)
class Credential:
    """What it takes to check a request's integrity.

    Attributes:
        username: the USERNAME the client shows.
        owner: whom quotas count by: the user behind a time-limited username, else `username`;
            empty for nobody in particular, whom no quota of a user concerns.
        key_md5: 16-byte long-term key, or an OAuth token's mac_key; None when not known.
        key_sha256: 32-byte long-term key, or an OAuth token's mac_key; None when not known.
        expires_at: wall-clock seconds (Unix time) after which it is void, or None.
        maximum_lifetime: seconds an allocation may live by it at most (RFC 7635 tokens), or None.
        alternatives: tried in order when this one's keys do not match: time-limited
            credentials have as many passwords as there are shared secrets in rotation.

    """

    username: str
    owner: str
    key_md5: bytes | None = attrs.field(repr=False)
    key_sha256: bytes | None = attrs.field(repr=False)
    expires_at: float | None = None
    maximum_lifetime: int | None = None
    alternatives: tuple[Credential, ...] = ()


class NotYet(enum.Enum):
    """The one value that says a store has to be asked first."""

    PENDING = "pending"


class CredentialSource(Protocol):
    """Looks credentials up without waiting; what needs I/O is loaded by `load` beforehand."""

    def find(self, realm: str, username: str, wall_time: float) -> Credential | NotYet | None:
        """Return the credential of `username` in `realm`; None if there is none or it expired.

        Args:
            realm: one of the server's realms.
            username: prepared with OpaqueString.
            wall_time: Unix time, seconds.

        """

    def find_by_userhash(
        self, realm: str, userhash: bytes, wall_time: float
    ) -> Credential | NotYet | None:
        """Return the credential whose USERHASH (32 bytes) that is (RFC 8489 §9.2.4)."""

    def open_token(self, kid: str, token: bytes, wall_time: float) -> Credential | None:
        """Decrypt an RFC 7635 ACCESS-TOKEN made with the key `kid`; None if it is not valid."""

    async def load(self, realm: str, username: str | None, userhash: bytes | None) -> None:
        """Ask the store, so that the next `find` (or `find_by_userhash`) knows.

        Raises nothing: a store that fails is logged, and the next `find` returns None.
        """
