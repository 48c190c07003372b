import os
import sqlite3
import stat
from pathlib import Path

import pytest

from stun.credentials import long_term_key_md5, long_term_key_sha256, userhash
from stun.opaque_string import PreparationError
from turnd.core.credentials import Credential, NotYet
from turnd.store.combined import CombinedSource
from turnd.store.oauth import OauthTokens
from turnd.store.rest_credentials import RestCredentials, mint
from turnd.store.sqlite_users import CACHE_SECONDS, CACHE_SIZE, SqliteUsers
from turnd.store.static_users import StaticUsers
from turnd.store.user_database import UserDatabase, UserDatabaseError

REALM = "example.org"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


def test_user_is_kept_as_keys_and_never_as_a_password(path: Path) -> None:
    with UserDatabase(path) as database:
        assert database.put_user(REALM, "alice", "hunter2")
        found = database.find(REALM, "alice")
    assert found == Credential(
        "alice",
        "alice",
        long_term_key_md5("alice", REALM, "hunter2"),
        long_term_key_sha256("alice", REALM, "hunter2"),
    )
    assert b"hunter2" not in b"".join(each.read_bytes() for each in path.parent.iterdir())


def test_file_is_its_owners_alone(path: Path) -> None:
    UserDatabase(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_that_root_makes_is_its_folders_owners(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _file, user, group: given.append((user, group)))
    for _ in range(2):  # one that is there is left alone
        UserDatabase(path).close()
    folder = path.parent.stat()
    assert given == [(folder.st_uid, folder.st_gid)]


def test_users_are_listed_changed_and_removed(path: Path) -> None:
    with UserDatabase(path) as database:
        database.put_user(REALM, "bob", "one")
        database.put_user(REALM, "alice", "one")
        assert not database.put_user(REALM, "alice", "two")
        assert [entry.name for entry in database.users()] == ["alice", "bob"]
        found = database.find_by_userhash(REALM, userhash("alice", REALM))
        assert found is not None
        assert found.key_md5 == long_term_key_md5("alice", REALM, "two")
        assert database.remove_user(REALM, "alice")
        assert not database.remove_user(REALM, "alice")
        assert database.find(REALM, "alice") is None


def test_secrets_are_listed_by_their_beginning(path: Path) -> None:
    with UserDatabase(path) as database:
        assert database.add_secret(REALM, "abcdefgh")
        assert not database.add_secret(REALM, "abcdefgh")
        (entry,) = database.secrets()
        assert entry.hint == "abcd…"
        assert "efgh" not in repr(entry)
        assert not database.remove_secret(REALM, "abcd")
        assert database.remove_secret(REALM, "abcdefgh")
        assert database.secrets() == []


def test_odd_names_are_refused(path: Path) -> None:
    with UserDatabase(path) as database, pytest.raises(PreparationError):
        database.put_user(REALM, "tab\there", "password")


def test_what_is_there_is_opened_again(path: Path) -> None:
    with UserDatabase(path) as database:
        database.put_user(REALM, "alice", "one")
    with UserDatabase(path) as database:
        assert database.find(REALM, "alice") is not None


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE turnusers_lt (name TEXT)")
    connection.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"not a database at all" * 100), "not a database"),
        (foreign, "another program's tables"),
        (newer, "version 99"),
        (lambda path: path.mkdir(), "unable to open"),
    ],
)
def test_file_of_another_kind_is_refused_by_name(path: Path, make: object, says: str) -> None:
    make(path)  # type: ignore[operator]
    with pytest.raises(UserDatabaseError, match=says) as caught:
        UserDatabase(path)
    assert str(path) in str(caught.value)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def source(users: SqliteUsers) -> CombinedSource:
    return CombinedSource(StaticUsers([]), RestCredentials({}), users, OauthTokens([], ""))


async def test_user_is_found_once_loaded_and_asked_for_again_after_a_while(path: Path) -> None:
    clock = Clock()
    with UserDatabase(path) as database:
        database.put_user(REALM, "alice", "one")
        users = SqliteUsers(database, clock)
        combined = source(users)
        assert combined.find(REALM, "alice", 0) is NotYet.PENDING
        await combined.load(REALM, "alice", None)
        found = combined.find(REALM, "alice", 0)
        assert isinstance(found, Credential)
        database.put_user(REALM, "alice", "two")
        assert combined.find(REALM, "alice", 0) == found
        clock.now = CACHE_SECONDS
        assert combined.find(REALM, "alice", 0) is NotYet.PENDING
        await combined.load(REALM, "alice", None)
        changed = combined.find(REALM, "alice", 0)
        assert isinstance(changed, Credential)
        assert changed.key_md5 == long_term_key_md5("alice", REALM, "two")


async def test_user_who_is_not_there_is_not_asked_for_twice(path: Path) -> None:
    with UserDatabase(path) as database:
        combined = source(SqliteUsers(database, Clock()))
        await combined.load(REALM, "nobody", None)
        assert combined.find(REALM, "nobody", 0) is None


async def test_userhash_is_looked_up_too(path: Path) -> None:
    digest = userhash("alice", REALM)
    with UserDatabase(path) as database:
        database.put_user(REALM, "alice", "one")
        combined = source(SqliteUsers(database, Clock()))
        assert combined.find_by_userhash(REALM, digest, 0) is NotYet.PENDING
        await combined.load(REALM, None, digest)
        assert isinstance(combined.find_by_userhash(REALM, digest, 0), Credential)


async def test_cache_is_bounded(path: Path) -> None:
    with UserDatabase(path) as database:
        users = SqliteUsers(database, Clock())
        for number in range(CACHE_SIZE):
            users._cache[REALM, str(number)] = (1.0, None)
        await users.load(REALM, "one more")
        assert users.find(REALM, "one more") is None
        assert users.find(REALM, "0") is NotYet.PENDING
        assert len(users._cache) == CACHE_SIZE


async def test_user_read_again_is_not_the_next_to_be_dropped(path: Path) -> None:
    with UserDatabase(path) as database:
        users = SqliteUsers(database, Clock())
        for number in range(CACHE_SIZE):
            users._cache[REALM, str(number)] = (1.0, None)
        await users.load(REALM, "0")
        await users.load(REALM, "one more")
        assert users.find(REALM, "0") is None
        assert users.find(REALM, "1") is NotYet.PENDING


async def test_secret_of_the_database_makes_credentials(path: Path) -> None:
    with UserDatabase(path) as database:
        users = SqliteUsers(database, Clock())
        combined = source(users)
        database.add_secret(REALM, "secret of the database")
        await users.load_secrets()
        username, password = mint("secret of the database", "alice", 60, 1000)
        found = combined.find(REALM, username, 1000)
        assert isinstance(found, Credential)
        assert found.key_md5 == long_term_key_md5(username, REALM, password)


async def test_database_that_breaks_turns_nobody_away_and_raises_nothing(path: Path) -> None:
    clock = Clock()
    database = UserDatabase(path)
    database.put_user(REALM, "alice", "one")
    combined = source(SqliteUsers(database, clock))
    await combined.load(REALM, "alice", None)
    found = combined.find(REALM, "alice", 0)
    database.close()
    clock.now = CACHE_SECONDS
    for name in ("alice", "bob"):
        await combined.load(REALM, name, None)
    assert combined.find(REALM, "alice", 0) == found  # what was known stays
    assert combined.find(REALM, "bob", 0) is NotYet.PENDING  # dropped, and sent again
