"""The command line without a running server."""

import json
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stun.credentials import long_term_key_md5
from turnd.cli import main
from turnd.store.rest_credentials import password_of
from turnd.store.user_database import UserDatabase

TOML = """
[server]
realm = "example.org"
[auth]
secrets = ["a secret that is long enough"]
user_database = "users.db"
"""
COTURN = """
listening-port=3478
realm=example.org
use-auth-secret
static-auth-secret=a secret that is long enough
made-up-option=1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "turnd.toml"
    path.write_text(TOML)
    return path


def turnd(*arguments: object, stdin: str | None = None, **environ: str) -> Result:
    names = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, names, input=stdin, env=environ)


def test_help_names_every_command() -> None:
    result = turnd("--help")
    assert result.exit_code == 0
    for command in ("run", "user", "secret", "credentials", "convert", "completion"):
        assert command in result.stdout


def test_version_is_told() -> None:
    assert turnd("--version").stdout.startswith("turnd, version ")


def test_good_configuration_is_called_good(config: Path) -> None:
    result = turnd("-c", config, "--check-config")
    assert (result.exit_code, result.stdout) == (0, "The configuration is good.\n")


def test_printed_configuration_hides_secrets(config: Path) -> None:
    result = turnd("--print-config", "-c", config)
    assert result.exit_code == 0
    assert 'realm = "example.org"' in result.stdout
    assert "long enough" not in result.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[relay]\nports = "5-3"\n', 'turnd.toml:2: relay.ports: "5-3" is not a range'),
        ("[sever]\n", "server"),
        ("[server\n", "turnd.toml:1"),
        ("[server]\nrealm = 5\n", "turnd.toml:2: server.realm"),
        (
            '[[auth.users]]\nname = "a\\tb"\npassword = "p"\n',
            "turnd.toml: auth.users: not an OpaqueString",
        ),
    ],
)
def test_bad_configuration_names_file_line_and_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "turnd.toml"
    path.write_text(text)
    result = turnd("run", "-c", path)
    assert result.exit_code == 2
    assert says in result.stderr


def test_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    result = turnd("-c", tmp_path / "nowhere.toml")
    assert result.exit_code == 2
    assert "nowhere.toml" in result.stderr


def test_flags_stand_above_the_environment_and_that_above_the_file(config: Path) -> None:
    def realm(*flags: str, **environ: str) -> str:
        printed = turnd("--print-config", "-c", config, *flags, **environ).stdout
        (line,) = [line for line in printed.splitlines() if line.startswith("realm = ")]
        return line

    assert realm() == 'realm = "example.org"'
    assert realm(TURND_SERVER__REALM="env.example") == 'realm = "env.example"'
    assert (
        realm("--realm", "flag.example", TURND_SERVER__REALM="env.example")
        == 'realm = "flag.example"'
    )


def test_coturn_configuration_works_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text(COTURN)
    result = turnd("-c", path, "--check-config")
    assert result.exit_code == 0
    assert "turnserver.conf:6: warning: made-up-option" in result.stderr
    strict = turnd("-c", path, "--check-config", "--strict")
    assert strict.exit_code == 2
    assert "made-up-option" in strict.stderr


def test_converted_configuration_is_what_the_original_means(tmp_path: Path) -> None:
    original, converted = tmp_path / "turnserver.conf", tmp_path / "turnd.toml"
    original.write_text(COTURN)
    converted.touch(0o644)
    assert turnd("convert", original, "-o", converted).exit_code == 0
    assert stat.S_IMODE(converted.stat().st_mode) == 0o600
    assert turnd("convert", original).stdout == converted.read_text()
    printed = [turnd("--print-config", "-c", path).stdout for path in (original, converted)]
    assert printed[0] == printed[1]


def test_user_is_added_changed_listed_and_removed(config: Path) -> None:
    assert turnd("user", "add", "alice", "-c", config, stdin="hunter2\n").exit_code == 0
    again = turnd("user", "add", "alice", "-c", config, stdin="hunter2\n")
    assert again.exit_code == 1
    assert "turnd user passwd" in again.stderr
    changed = turnd("user", "passwd", "alice", "-c", config, TURND_PASSWORD="hunter3")
    assert changed.exit_code == 0
    with UserDatabase(config.with_name("users.db")) as database:
        found = database.find("example.org", "alice")
    assert found is not None
    assert found.key_md5 == long_term_key_md5("alice", "example.org", "hunter3")
    listed = turnd("user", "list", "-c", config).stdout
    assert listed.startswith("example.org\talice\t")
    assert turnd("user", "remove", "alice", "-c", config).exit_code == 0
    assert turnd("user", "remove", "alice", "-c", config).exit_code == 1
    assert turnd("user", "list", "-c", config).stdout == ""


@pytest.mark.parametrize(
    "command",
    [("user", "list"), ("user", "remove", "a"), ("user", "passwd", "a"), ("secret", "list")],
)
def test_only_adding_makes_a_database(config: Path, command: tuple[str, ...]) -> None:
    result = turnd(*command, "-c", config, TURND_PASSWORD="p")
    assert result.exit_code == 1
    assert "users.db: there is no such file" in result.stderr
    assert not config.with_name("users.db").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("user", "add", "a", "--password", "p"),
        ("secret", "add", "--value", "s"),
        ("credentials", "--secret", "s"),
    ],
)
def test_no_secret_has_a_flag(config: Path, command: tuple[str, ...]) -> None:
    result = turnd(*command, "-c", config)
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_user_of_another_spelling_is_the_same_user(config: Path) -> None:
    composed, decomposed = "\u00e9ve", "e\u0301ve"
    assert turnd("user", "add", composed, "-c", config, stdin="one\n").exit_code == 0
    assert turnd("user", "add", decomposed, "-c", config, stdin="two\n").exit_code == 1
    assert turnd("user", "passwd", decomposed, "-c", config, stdin="two\n").exit_code == 0
    assert turnd("user", "remove", decomposed, "-c", config).exit_code == 0
    assert turnd("user", "list", "-c", config).stdout == ""


def test_user_without_password_or_database_is_a_usage_error(tmp_path: Path, config: Path) -> None:
    assert turnd("user", "add", "alice", "-c", config, stdin="").exit_code == 2
    bare = tmp_path / "bare.toml"
    bare.write_text("")
    result = turnd("user", "list", "-c", bare)
    assert result.exit_code == 2
    assert "auth.user_database" in result.stderr


def test_user_with_an_odd_name_is_refused(config: Path) -> None:
    result = turnd("user", "add", "a\tb", "-c", config, stdin="p\n")
    assert result.exit_code == 1
    assert "OpaqueString" in result.stderr


def test_secret_is_made_listed_and_removed(config: Path) -> None:
    made = turnd("secret", "add", "-c", config).stdout.strip()
    assert len(bytes.fromhex(made)) == 32
    listed = turnd("secret", "list", "-c", config).stdout
    assert made[:4] in listed
    assert made not in listed
    given = turnd("secret", "add", "-c", config, TURND_SECRET="given secret")
    assert given.stdout == "Added a secret to realm example.org.\n"
    assert turnd("secret", "add", "-c", config, TURND_SECRET="given secret").exit_code == 1
    assert turnd("secret", "remove", made[:4] + "…", "-c", config).exit_code == 0
    assert turnd("secret", "remove", "nothing", "-c", config).exit_code == 1
    assert len(bytes.fromhex(turnd("secret", "generate").stdout)) == 32


def test_credentials_are_minted_from_the_configured_secret(config: Path) -> None:
    result = turnd("credentials", "alice", "--ttl", "60", "-c", config)
    fields = dict(line.split(": ") for line in result.stdout.splitlines())
    expiry, _, user = fields["username"].partition(":")
    assert user == "alice"
    assert abs(int(expiry) - time.time() - 60) < 5
    assert fields["password"] == password_of("a secret that is long enough", fields["username"])


def test_secret_that_others_begin_with_can_be_removed(config: Path) -> None:
    for value in ("shared", "shared and longer"):
        assert turnd("secret", "add", "-c", config, TURND_SECRET=value).exit_code == 0
    assert turnd("secret", "remove", "sha", "-c", config).exit_code == 1
    assert turnd("secret", "remove", "…", "-c", config).exit_code == 2
    assert turnd("secret", "remove", "shared", "-c", config).exit_code == 0
    with UserDatabase(config.with_name("users.db")) as database:
        assert [entry.value for entry in database.secrets()] == ["shared and longer"]


def test_credentials_are_minted_from_the_user_database_too(tmp_path: Path) -> None:
    path = tmp_path / "turnd.toml"
    path.write_text('[server]\nrealm = "example.org"\n[auth]\nuser_database = "users.db"\n')
    assert turnd("credentials", "alice", "-c", path).exit_code == 2
    assert not path.with_name("users.db").exists()
    secret = turnd("secret", "add", "-c", path).stdout.strip()
    result = turnd("credentials", "alice", "-c", path)
    fields = dict(line.split(": ") for line in result.stdout.splitlines())
    assert fields["password"] == password_of(secret, fields["username"])


def test_credentials_come_as_ice_servers_too(config: Path) -> None:
    result = turnd("credentials", "-c", config, "--host", "turn.example.org")
    stun_server, turn_server = json.loads(result.stdout)["iceServers"]
    assert stun_server["urls"] == ["stun:turn.example.org:3478"]
    # Without a certificate of its own, no browser would take turns:.
    assert turn_server["urls"] == [
        "turn:turn.example.org:3478?transport=udp",
        "turn:turn.example.org:3478?transport=tcp",
    ]


@pytest.mark.parametrize("arguments", [("--ttl", "0"), ("--realm", "nowhere")])
def test_credentials_that_cannot_be_minted_are_a_usage_error(
    config: Path, arguments: tuple[str, str]
) -> None:
    assert turnd("credentials", "-c", config, *arguments).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    result = turnd("completion", shell)
    assert result.exit_code == 0
    assert "_TURND_COMPLETE" in result.stdout
