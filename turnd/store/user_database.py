"""The SQLite file of users and shared secrets, as the command line and the server use it.

Every call here blocks: the server makes them in a worker thread (`SqliteUsers`). Passwords
are not kept, only the two long-term keys made of them (RFC 8489 §9.2.2).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs

from stun.credentials import userhash
from turnd.core.credentials import Credential
from turnd.store.static_users import password_credential

VERSION = 1
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE users (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    key_md5 BLOB NOT NULL,
    key_sha256 BLOB NOT NULL,
    userhash BLOB NOT NULL,
    created INTEGER NOT NULL DEFAULT (unixepoch()),
    PRIMARY KEY (realm, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX users_by_userhash ON users (userhash);
CREATE TABLE secrets (
    realm TEXT NOT NULL,
    value TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT (unixepoch()),
    PRIMARY KEY (realm, value)
) STRICT, WITHOUT ROWID;
"""


class UserDatabaseError(Exception):
    """The user database can't be used; the message names the file and the reason."""


@attrs.frozen(slots=True)
class UserEntry:
    """A user as it is listed; times are Unix seconds."""

    realm: str
    name: str
    created: int


@attrs.frozen(slots=True)
class SecretEntry:
    """A shared secret as it is listed, by the first characters of its value."""

    realm: str
    value: str = attrs.field(repr=False)
    created: int = 0

    @property
    def hint(self) -> str:
        """Enough of the secret to know it by, and no more."""
        return self.value[:4] + "…"


def _make(path: Path) -> None:
    """Make the file, readable by its owner alone: the folder's, if root makes it for the server."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if os.geteuid() == 0:
            folder = path.absolute().parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)


class UserDatabase:
    """An open user database.

    Args:
        path: the file; made, readable by its owner alone, if it is not there. What root makes
            is the owner's of the folder: the server's user has to open it, too.

    Raises:
        UserDatabaseError: it can't be opened, or is of another kind or version.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._errors():
            if not path.exists():
                _make(path)
            # Calls come from whichever worker thread is free, never two at a time.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors():
                self._prepare()
        except UserDatabaseError:
            self._connection.close()
            raise

    def __enter__(self) -> UserDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def put_user(self, realm: str, name: str, password: str) -> bool:
        """Add a user, or give one another password; return whether the user is new.

        Raises:
            PreparationError: name or password hold what OpaqueString forbids.

        """
        credential = password_credential(realm, name, password)
        with self._errors():
            new = self.find(realm, credential.username) is None
            self._connection.execute(
                "INSERT INTO users (realm, name, key_md5, key_sha256, userhash)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (realm, name) DO UPDATE SET"
                " key_md5 = excluded.key_md5, key_sha256 = excluded.key_sha256",
                (
                    realm,
                    credential.username,
                    credential.key_md5,
                    credential.key_sha256,
                    userhash(credential.username, realm),
                ),
            )
        return new

    def remove_user(self, realm: str, name: str) -> bool:
        """Remove a user; return whether there was one."""
        with self._errors():
            cursor = self._connection.execute(
                "DELETE FROM users WHERE realm = ? AND name = ?", (realm, name)
            )
        return cursor.rowcount > 0

    def users(self) -> list[UserEntry]:
        """List all users by realm and name."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT realm, name, created FROM users ORDER BY realm, name"
            ).fetchall()
        return [UserEntry(*row) for row in rows]

    def find(self, realm: str, name: str) -> Credential | None:
        """Look a user up by name."""
        return self._find("realm = ? AND name = ?", (realm, name))

    def find_by_userhash(self, realm: str, digest: bytes) -> Credential | None:
        """Look a user up by USERHASH."""
        return self._find("realm = ? AND userhash = ?", (realm, digest))

    def add_secret(self, realm: str, value: str) -> bool:
        """Add a shared secret; return whether it is new."""
        with self._errors():
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO secrets (realm, value) VALUES (?, ?)", (realm, value)
            )
        return cursor.rowcount > 0

    def remove_secret(self, realm: str, value: str) -> bool:
        """Remove a shared secret; return whether there was one."""
        with self._errors():
            cursor = self._connection.execute(
                "DELETE FROM secrets WHERE realm = ? AND value = ?", (realm, value)
            )
        return cursor.rowcount > 0

    def secrets(self) -> list[SecretEntry]:
        """List all shared secrets, newest first."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT realm, value, created FROM secrets ORDER BY realm, created DESC, value"
            ).fetchall()
        return [SecretEntry(*row) for row in rows]

    def _find(self, condition: str, values: tuple[object, ...]) -> Credential | None:
        with self._errors():
            row = self._connection.execute(
                f"SELECT name, key_md5, key_sha256 FROM users WHERE {condition}",  # noqa: S608
                values,
            ).fetchone()
        return Credential(row[0], row[0], row[1], row[2]) if row else None

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version or tables:
            what = f"version {version}" if version else "another program's tables"
            raise UserDatabaseError(
                f"{self._path}: holds {what}, not a turnd user database of version {VERSION}"
            )
        self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserDatabaseError(f"{self._path}: {error}") from error
