"""All the places a credential can come from, in their order, as one `CredentialSource`."""

from __future__ import annotations

import attrs

from turnd.core.credentials import Credential, NotYet
from turnd.store.oauth import OauthTokens
from turnd.store.rest_credentials import RestCredentials
from turnd.store.sqlite_users import SqliteUsers
from turnd.store.static_users import StaticUsers


@attrs.frozen(slots=True)
class CombinedSource:
    """Static users, then time-limited names, then the user database.

    A name that is time-limited by its form and valid is not looked for in the database:
    that would let anybody who holds a shared secret make it work.

    Attributes:
        static: users of the configuration.
        rest: secrets of the configuration.
        sqlite: the user database, if there is one.
        oauth: token keys.

    """

    static: StaticUsers
    rest: RestCredentials
    sqlite: SqliteUsers | None
    oauth: OauthTokens

    def find(self, realm: str, username: str, wall_time: float) -> Credential | NotYet | None:
        """See `CredentialSource.find`."""
        found = self.static.find(realm, username)
        if found is not None:
            return found
        found = self._rest().find(realm, username, wall_time)
        if found is not None or self.sqlite is None:
            return found
        return self.sqlite.find(realm, username)

    def find_by_userhash(
        self, realm: str, userhash: bytes, wall_time: float
    ) -> Credential | NotYet | None:
        """See `CredentialSource.find_by_userhash`; time-limited names are not to be hashed."""
        found = self.static.find_by_userhash(realm, userhash)
        if found is not None or self.sqlite is None:
            return found
        return self.sqlite.find(realm, userhash)

    def open_token(self, kid: str, token: bytes, wall_time: float) -> Credential | None:
        """See `CredentialSource.open_token`."""
        return self.oauth.open(kid, token, wall_time)

    async def load(self, realm: str, username: str | None, userhash: bytes | None) -> None:
        """See `CredentialSource.load`."""
        name = username if username is not None else userhash
        if self.sqlite is not None and name is not None:
            await self.sqlite.load(realm, name)

    def _rest(self) -> RestCredentials:
        if self.sqlite is None or not self.sqlite.secrets:
            return self.rest
        secrets = {realm: tuple(values) for realm, values in self.rest.secrets.items()}
        for realm, values in self.sqlite.secrets.items():
            secrets[realm] = secrets.get(realm, ()) + values
        return RestCredentials(secrets, self.rest.separator)
