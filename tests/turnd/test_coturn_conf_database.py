"""coturn's SQLite database, made by coturn's own schema and turnadmin."""

import contextlib
import hashlib
import sqlite3
import subprocess
from pathlib import Path

import pytest

from turnd.config import Config
from turnd.coturn_conf import CoturnConfError, convert_to_toml, load_coturn

SCHEMA = Path("/usr/share/doc/coturn/schema.sql")
TOKEN_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "turndb"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA.read_text())
    return path


def fill(database: Path, *rows: tuple[str | int, ...]) -> None:
    """Insert rows ``(table, value, …)``."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for table, *values in rows:
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.commit()


def turnadmin(database: Path, *arguments: str) -> None:
    command = ["turnadmin", *arguments, "-b", str(database)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)


def read(database: Path, text: str) -> tuple[Config, list[str]]:
    path = database.parent / "turnserver.conf"
    path.write_text(f"realm=example.org\nuserdb=turndb\n{text}\n")
    config, diagnostics = load_coturn(path, check_files=False)
    return config, [str(diagnostic) for diagnostic in diagnostics]


def test_users_that_turnadmin_adds_have_the_key_of_the_rfc(database: Path) -> None:
    turnadmin(database, "-a", "-u", "alice", "-r", "example.org", "-p", "secret")
    config, _ = read(database, "lt-cred-mech")
    # RFC 8489 §9.2.2: MD5(username ":" realm ":" password)
    key = hashlib.md5(b"alice:example.org:secret").hexdigest()
    assert [(user.name, user.key, user.realm) for user in config.auth.users] == [("alice", key, "")]
    assert config.auth.password_algorithms == ("MD5",)


def test_secrets_that_turnadmin_sets_are_taken_with_those_of_the_file(database: Path) -> None:
    turnadmin(database, "-s", "from the database", "-r", "example.org")
    turnadmin(database, "-s", "of another realm", "-r", "example.net")
    config, _ = read(database, "use-auth-secret\nstatic-auth-secret=from the file")
    assert set(config.auth.secrets) == {"from the file", "from the database"}
    assert [(realm.name, realm.secrets) for realm in config.realms] == [
        ("example.net", ("of another realm",))
    ]


def test_users_and_secrets_are_not_mixed(database: Path) -> None:
    fill(
        database,
        ("turnusers_lt", "example.org", "alice", "0" * 32),
        ("turn_secret", "example.org", "secret"),
    )
    config, said = read(database, "use-auth-secret")
    assert config.auth.users == ()
    assert any("its users are not used" in line for line in said)
    config, _ = read(database, "lt-cred-mech")
    assert config.auth.secrets == ()


def test_a_user_of_the_file_wins_over_the_database(database: Path) -> None:
    fill(database, ("turnusers_lt", "example.org", "alice", "0" * 32))
    config, _ = read(database, "lt-cred-mech\nuser=alice:secret")
    assert [user.password for user in config.auth.users] == ["secret"]


def test_realms_come_with_origins_users_and_options(database: Path) -> None:
    fill(
        database,
        ("turn_origin_to_realm", "https://call.example.net", "example.net"),
        ("turn_origin_to_realm", "https://call.example.org", "example.org"),
        ("turnusers_lt", "example.net", "bob", "1" * 32),
        ("turn_realm_option", "example.net", "max-bps", "5000"),
        ("turn_realm_option", "example.net", "user-quota", "3"),
        ("turn_realm_option", "example.org", "total-quota", "9"),
        ("turn_realm_option", "example.org", "colour", "red"),
    )
    config, said = read(database, "lt-cred-mech")
    (realm,) = config.realms
    assert realm.name == "example.net"
    assert realm.origins == ("https://call.example.net",)
    assert (realm.bandwidth_per_allocation, realm.allocations_per_user) == (5000, 3)
    assert config.quota.allocations == 9
    assert [(user.name, user.realm) for user in config.auth.users] == [("bob", "example.net")]
    assert any('"colour", which is not understood' in line for line in said)


def test_peer_ranges_of_the_default_realm_are_taken(database: Path) -> None:
    fill(
        database,
        ("allowed_peer_ip", "", "10.0.0.1"),
        ("denied_peer_ip", "example.org", "8.8.8.0-8.8.8.255"),
        ("denied_peer_ip", "example.net", "9.9.9.9"),
    )
    config, said = read(database, "static-auth-secret=s")
    assert config.peers.allow == ("10.0.0.1",)
    assert config.peers.deny == ("8.8.8.0-8.8.8.255",)
    assert any("9.9.9.9 is for realm" in line for line in said)


def test_a_wide_allow_list_in_the_database_does_not_open_loopback(database: Path) -> None:
    fill(database, ("allowed_peer_ip", "", "126.0.0.0-128.0.0.0"))
    config, _ = read(database, "static-auth-secret=s")
    assert not any(part.covers(bytes((127, 0, 0, 1))) for part in config.peers.allow)


def test_token_keys_are_taken_when_oauth_is_on(database: Path) -> None:
    fill(
        database,
        ("oauth_key", "k1", TOKEN_KEY, 1700000000, 3600, "A256GCM", ""),
        ("oauth_key", "k2", "c2hvcnQ=", 0, 0, "A256GCM", ""),
        ("oauth_key", "k3", TOKEN_KEY, 0, 0, "", ""),
    )
    config, said = read(database, "oauth\nserver-name=turn.example.org")
    assert [(k.kid, k.valid_from, k.lifetime) for k in config.auth.oauth_keys] == [
        ("k1", 1700000000, 3600),
        ("k3", 0, 0),
    ]
    assert config.auth.oauth_server_name == "turn.example.org"
    assert any('token key "k2" does not fit A256GCM' in line for line in said)
    config, _ = read(database, "lt-cred-mech")
    assert config.auth.oauth_keys == ()


def test_keys_that_are_none_are_left_out(database: Path) -> None:
    fill(database, ("turnusers_lt", "example.org", "alice", "xyz"))
    config, said = read(database, "lt-cred-mech")
    assert config.auth.users == ()
    assert any('user "alice" has no MD5 key' in line for line in said)
    assert "xyz" not in "".join(said)


@pytest.mark.parametrize("content", [b"", b"not a database, not a database, not a database"])
def test_a_file_that_is_no_coturn_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "turndb").write_bytes(content)
    path = tmp_path / "turnserver.conf"
    path.write_text("lt-cred-mech\nuserdb=turndb\n")
    with pytest.raises(CoturnConfError, match="is no coturn database that can be read"):
        load_coturn(path)


def test_the_database_is_not_written_to(database: Path) -> None:
    before = database.read_bytes()
    database.chmod(0o400)
    read(database, "lt-cred-mech")
    assert database.read_bytes() == before
    assert sorted(p.name for p in database.parent.iterdir()) == ["turndb", "turnserver.conf"]


def test_conversion_takes_the_database_along(database: Path, tmp_path: Path) -> None:
    fill(database, ("turnusers_lt", "example.org", "alice", "0" * 32))
    config, _ = read(database, "lt-cred-mech")
    text, _ = convert_to_toml(database.parent / "turnserver.conf")
    assert '[[auth.users]]\nname = "alice"\nkey = "00000000000000000000000000000000"' in text
    assert isinstance(config, Config)


def test_no_auth_leaves_the_database_closed(database: Path) -> None:
    fill(database, ("turnusers_lt", "example.org", "alice", "0" * 32))
    config, said = read(database, "no-auth")
    assert config.auth.users == ()
    assert any("not read: no-auth lets everybody in" in line for line in said)
