"""`[auth]`, its tables of users and token keys, and `[[realms]]`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from turnd.config.values import Base64Key, FilePath, Md5Key, Secret, Sha256Key

Limit = Annotated[int, Meta(ge=0)]
RealmName = Annotated[str, Meta(min_length=1, max_length=127)]

TOKEN_KEY_SIZES = {"A256GCM": 32, "A128GCM": 16}
"""Key bytes of each algorithm a token may be encrypted with (RFC 7635 §4.1)."""


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[auth.users]]`: a static user, by `password` or by stored keys.

    Attributes:
        name: the USERNAME, at most 508 bytes (RFC 8489 §14.3).
        password: in clear; empty when keys are given.
        key: MD5 long-term key; empty when there is none.
        key_sha256: SHA-256 long-term key; empty when there is none.
        realm: ``""`` is the default realm.

    """

    name: Annotated[str, Meta(min_length=1, max_length=508)]
    password: Secret = Secret()
    key: Md5Key = Md5Key()
    key_sha256: Sha256Key = Sha256Key()
    realm: Annotated[str, Meta(max_length=127)] = ""


class OauthKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[auth.oauth_keys]]`: a key shared with an authorization server (RFC 7635).

    Attributes:
        kid: the key's name; the USERNAME of requests that use it.
        key: 32 bytes for A256GCM, 16 for A128GCM, in base64.
        algorithm: of the tokens it encrypts.
        valid_from: Unix time from which it is used; 0 is always.
        lifetime: seconds after `valid_from` until it is void; 0 is never.

    """

    kid: Annotated[str, Meta(min_length=1, max_length=508)]
    key: Base64Key
    algorithm: Literal["A256GCM", "A128GCM"] = "A256GCM"
    valid_from: Limit = 0
    lifetime: Limit = 0


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth]`: who may allocate.

    Attributes:
        mechanism: ``"none"`` relays for anyone.
        secrets: shared secrets of time-limited REST credentials in the default realm, all
            of them valid, so that one can be replaced in turns.
        rest_separator: between expiry and user in a time-limited username.
        user_database: SQLite file with users and secrets; ``""`` for none.
        nonce_lifetime: until a nonce is stale (438).
        nonce_secret: makes nonces valid on every server that has it; ``""`` is random.
        password_algorithms: offered, in order of preference (RFC 8489 §9.2).
        authenticate_binding: ask Binding requests for credentials too.
        oauth_server_name: in THIRD-PARTY-AUTHORIZATION; ``""`` is the realm.
        users: static users.
        oauth_keys: RFC 7635 is on while there is one.

    """

    mechanism: Literal["long-term", "none"] = "long-term"
    secrets: tuple[Secret, ...] = ()
    rest_separator: Annotated[str, Meta(min_length=1, max_length=1)] = ":"
    user_database: FilePath = FilePath()
    nonce_lifetime: Annotated[int, Meta(ge=1, le=86400)] = 600
    nonce_secret: Secret = Secret()
    password_algorithms: tuple[Literal["SHA-256", "MD5"], ...] = ("SHA-256", "MD5")
    authenticate_binding: bool = False
    oauth_server_name: str = ""
    users: tuple[User, ...] = ()
    oauth_keys: tuple[OauthKey, ...] = ()

    @property
    def has_credentials(self) -> bool:
        """Whether anything here can authenticate a client (realms have secrets of their own)."""
        return bool(self.secrets or self.user_database or self.users or self.oauth_keys)


class Realm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[realms]]`: a realm beside `server.realm`.

    Attributes:
        name: the realm.
        origins: ORIGIN values whose clients are asked for this realm.
        secrets: shared secrets of time-limited credentials in this realm.
        allocations: at once in this realm; None for no limit beyond `quota.allocations`.
        allocations_per_user: None is `quota.allocations_per_user`.
        bandwidth_per_allocation: None is `quota.bandwidth_per_allocation`.

    """

    name: RealmName
    origins: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    allocations: Limit | None = None
    allocations_per_user: Limit | None = None
    bandwidth_per_allocation: Annotated[int, Meta(ge=0, le=2**48)] | None = None
