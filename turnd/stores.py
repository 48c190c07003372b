"""From the configuration to the places credentials come from."""

from __future__ import annotations

from pathlib import Path

from turnd.config import Config, User
from turnd.store.combined import CombinedSource
from turnd.store.oauth import OauthTokens, TokenKey
from turnd.store.rest_credentials import RestCredentials
from turnd.store.sqlite_users import SqliteUsers
from turnd.store.static_users import StaticUser, StaticUsers
from turnd.store.user_database import UserDatabase


def open_source(config: Config, sqlite: SqliteUsers | None) -> CombinedSource:
    """Put the configured places together; `sqlite` is from `open_database`."""
    auth = config.auth
    secrets = {config.server.realm: tuple(auth.secrets)}
    for realm in config.realms:
        secrets[realm.name] = secrets.get(realm.name, ()) + tuple(realm.secrets)
    keys = (TokenKey(key.kid, key.key.key, key.valid_from, key.lifetime) for key in auth.oauth_keys)
    return CombinedSource(
        StaticUsers(_static_user(config, user) for user in auth.users),
        RestCredentials(secrets, auth.rest_separator),
        sqlite,
        OauthTokens(keys, auth.oauth_server_name or config.server.realm),
    )


def open_database(config: Config) -> SqliteUsers | None:
    """Open the user database; None where none is configured.

    Raises:
        UserDatabaseError: it can't be used.

    """
    path = config.auth.user_database
    return SqliteUsers(UserDatabase(Path(path))) if path else None


def _static_user(config: Config, user: User) -> StaticUser:
    realm = user.realm or config.server.realm
    if user.password:
        return StaticUser.of_password(realm, user.name, user.password)
    return StaticUser.of_keys(realm, user.name, user.key.key, user.key_sha256.key)
