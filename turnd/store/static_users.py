"""Users of the configuration file: a name, and a password or stored keys."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from stun.credentials import long_term_key_md5, long_term_key_sha256, userhash
from stun.opaque_string import opaque_string
from turnd.core.credentials import Credential


@attrs.frozen(slots=True)
class StaticUser:
    """One user.

    Attributes:
        realm: where the name is good.
        credential: name and keys.

    """

    realm: str
    credential: Credential

    @classmethod
    def of_password(cls, realm: str, name: str, password: str) -> StaticUser:
        """Make a user with a password in clear; raises `PreparationError` for odd strings."""
        return cls(realm, password_credential(realm, name, password))

    @classmethod
    def of_keys(
        cls, realm: str, name: str, key_md5: bytes | None, key_sha256: bytes | None
    ) -> StaticUser:
        """Make a user with stored keys; raises `PreparationError` for an odd name."""
        name = opaque_string(name)
        return cls(realm, Credential(name, name, key_md5, key_sha256))


def password_credential(realm: str, name: str, password: str) -> Credential:
    """Make the credential of a name and a password; raises `PreparationError`."""
    name, password = opaque_string(name), opaque_string(password)
    return Credential(
        name,
        name,
        long_term_key_md5(name, realm, password),
        long_term_key_sha256(name, realm, password),
    )


class StaticUsers:
    """Users by realm and name, and by USERHASH."""

    def __init__(self, users: Iterable[StaticUser]) -> None:
        self._by_name: dict[tuple[str, str], Credential] = {}
        self._by_hash: dict[tuple[str, bytes], Credential] = {}
        for user in users:
            name = user.credential.username
            self._by_name[user.realm, name] = user.credential
            self._by_hash[user.realm, userhash(name, user.realm)] = user.credential

    def find(self, realm: str, username: str) -> Credential | None:
        """Return the credential of that user of that realm."""
        return self._by_name.get((realm, username))

    def find_by_userhash(self, realm: str, digest: bytes) -> Credential | None:
        """Return the credential of that realm whose USERHASH that is."""
        # The hash covers a realm, but not the one that the request's REALM names: by the hash
        # alone, a user of one realm would get in, and be counted, in every other.
        return self._by_hash.get((realm, digest))
