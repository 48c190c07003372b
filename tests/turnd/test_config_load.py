"""Layers of the configuration, and what an operator is told when one is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnd.config import Config, ConfigError, load_config
from turnd.config.values import Endpoint, PortRange


def write(folder: Path, text: str) -> Path:
    path = folder / "turnd.toml"
    path.write_text(text)
    return path


def failure(folder: Path, text: str, **layers: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), **layers)
    return caught.value


def test_no_file_is_the_built_in_configuration() -> None:
    assert load_config(None) == Config()


def test_an_empty_file_is_the_built_in_configuration(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == Config()


def test_values_are_parsed_once(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            """
            [listen]
            udp = ["192.0.2.1:3478", "[2001:db8::1]:3478"]
            [relay]
            ports = "50000-50099"
            external = ["203.0.113.5/10.0.0.5"]
            [peers]
            allow = ["10.0.0.0/8", "192.0.2.1-192.0.2.9", "2001:db8::7"]
            [metrics]
            listen = ""
            """,
        )
    )
    assert [(e.host, e.port) for e in config.listen.udp] == [
        ("192.0.2.1", 3478),
        ("2001:db8::1", 3478),
    ]
    assert config.relay.ports.ports == range(50000, 50100)
    assert config.relay.external[0].public.host == "203.0.113.5"
    assert str(config.relay.external[0].private) == "10.0.0.5:0"
    block, span, single = config.peers.allow
    assert block.covers(bytes((10, 255, 0, 1)))
    assert not block.covers(bytes((11, 0, 0, 0)))
    assert span.covers(bytes((192, 0, 2, 9)))
    assert not span.covers(bytes((192, 0, 2, 10)))
    assert single.first == single.last
    assert config.metrics.listen is None


def test_relative_file_names_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, '[server]\npidfile = "run/turnd.pid"\n[log]\nfile = "/var/log/turnd.log"'),
        check_files=False,
    )
    assert config.server.pidfile == str(tmp_path / "run/turnd.pid")
    assert config.log.file == "/var/log/turnd.log"


def test_environment_beats_the_file_and_the_command_line_beats_both(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\nrealm = "file"\n[relay]\nports = "1000-2000"\n')
    environ = {"TURND_SERVER__REALM": "environment", "HOME": "/root"}
    assert load_config(path).server.realm == "file"
    assert load_config(path, environ).server.realm == "environment"
    config = load_config(path, environ, {"server.realm": "flag", "relay.ports": None})
    assert config.server.realm == "flag"
    assert config.relay.ports == PortRange("1000-2000")


@pytest.mark.parametrize(
    ("name", "text", "section", "key", "value"),
    [
        ("TURND_LISTEN__UDP", "0.0.0.0:1, [::]:2", "listen", "udp", ("0.0.0.0:1", "[::]:2")),
        ("TURND_LISTEN__UDP", "[::]:2", "listen", "udp", ("[::]:2",)),
        ("TURND_LISTEN__UDP", '["[::]:2"]', "listen", "udp", ("[::]:2",)),
        ("TURND_LISTEN__UDP", "['[::]:2']", "listen", "udp", ("[::]:2",)),
        ("TURND_LISTEN__TLS", "", "listen", "tls", ()),
        ("TURND_AUTH__SECRETS", "one,two", "auth", "secrets", ("one", "two")),
        ("TURND_AUTH__SECRETS", '["a,b"]', "auth", "secrets", ("a,b",)),
        ("TURND_SERVER__REALM", "[x]", "server", "realm", "[x]"),
        ("TURND_SERVER__THREADS", " 4 ", "server", "threads", 4),
        ("TURND_LISTEN__IDLE_TIMEOUT", "2.5", "listen", "idle_timeout", 2.5),
        ("TURND_LISTEN__DETECT_TLS", "No", "listen", "detect_tls", False),
        ("TURND_MOBILITY__ENABLED", "1", "mobility", "enabled", True),
        ("TURND_METRICS__LISTEN", "", "metrics", "listen", None),
        ("TURND_METRICS__LISTEN", "[::1]:9", "metrics", "listen", Endpoint("[::1]:9")),
    ],
)
def test_a_variable_sets_a_key(name: str, text: str, section: str, key: str, value: Any) -> None:
    config = load_config(None, {name: text})
    assert getattr(getattr(config, section), key) == value


@pytest.mark.parametrize("write_array", [json.dumps, lambda users: '[{name = "a", password="b"}]'])
def test_tables_are_set_by_a_toml_or_json_array(write_array: Callable[[Any], str]) -> None:
    users = [{"name": "a", "password": "b"}]
    config = load_config(None, {"TURND_AUTH__USERS": write_array(users)})
    assert [(user.name, user.password) for user in config.auth.users] == [("a", "b")]


def test_realms_are_set_by_a_variable_without_section() -> None:
    config = load_config(None, {"TURND_REALMS": '[{name = "example.org"}]'})
    assert config.realms[0].name == "example.org"


def test_a_file_variable_reads_the_value_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret \n")
    (tmp_path / "secrets").write_text("one\n\ntwo\n")
    config = load_config(
        None,
        {
            "TURND_AUTH__NONCE_SECRET_FILE": str(tmp_path / "password"),
            "TURND_AUTH__SECRETS_FILE": str(tmp_path / "secrets"),
        },
    )
    assert config.auth.nonce_secret == "s3cret "
    assert config.auth.secrets == ("one", "two")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TURND_RELAY__PORT": "1-2"}, "did you mean TURND_RELAY__PORTS?"),
        ({"TURND_AUTH_SECRETS": "x"}, "did you mean TURND_AUTH__SECRETS?"),
        ({"TURND_AUTH__SECRET_FILE": "x"}, "did you mean TURND_AUTH__SECRETS_FILE?"),
        ({"TURND_XYZZY": "x"}, "sets no key"),
        ({"TURND_SERVER__THREADS": "many"}, 'server.threads: "many" is not an integer'),
        ({"TURND_LISTEN__IDLE_TIMEOUT": "?"}, 'listen.idle_timeout: "?" is not a number'),
        ({"TURND_MOBILITY__ENABLED": "perhaps"}, "write true or false"),
        ({"TURND_AUTH__USERS": "alice"}, "array of tables"),
        ({"TURND_RELAY__PORTS": "5-3"}, 'relay.ports: "5-3" is not a range'),
        ({"TURND_SERVER__REALM": "\udcff"}, "server.realm: holds a NUL or bytes"),
        ({"TURND_AUTH__SECRETS": "a", "TURND_AUTH__SECRETS_FILE": "b"}, "unset one"),
        ({"TURND_AUTH__SECRETS_FILE": "/nonexistent/file"}, "/nonexistent/file: can't be read"),
    ],
)
def test_a_variable_that_sets_nothing_is_an_error(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, environ)
    assert message in str(caught.value)


def test_a_bad_variable_is_named_as_the_origin() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"TURND_RELAY__PORTS": "5-3"})
    assert caught.value.file == "environment variable TURND_RELAY__PORTS"
    assert caught.value.line is None
    assert caught.value.key == "relay.ports"


def test_variables_of_kubernetes_service_links_are_not_ours() -> None:
    environ = {
        "TURND_SERVICE_HOST": "10.0.0.1",
        "TURND_SERVICE_PORT": "3478",
        "TURND_SERVICE_PORT_TURN_UDP": "3478",
        "TURND_PORT": "udp://10.0.0.1:3478",
        "TURND_PORT_3478_UDP": "udp://10.0.0.1:3478",
        "TURND_PORT_3478_UDP_ADDR": "10.0.0.1",
        "TURND_TLS_SERVICE_HOST": "10.0.0.2",
        "TURND_CONFIG": "/etc/turnd.toml",
    }
    assert load_config(None, environ) == Config()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"relay.prots": "1-2"}, 'command line: relay.prots: no such key; did you mean "relay.p'),
        ({"xyzzy": "1"}, "command line: xyzzy: no such key"),
        ({"relay.ports": "5-3"}, "command line: relay.ports:"),
        ({"server.threads": "x"}, 'command line: server.threads: "x" is not an integer'),
        ({"server.threads": -1}, "command line: server.threads: must be at least 0"),
    ],
)
def test_a_wrong_flag_is_an_error(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides=overrides)
    assert str(caught.value).startswith(message)


def test_flags_may_be_typed_or_text() -> None:
    config = load_config(
        None,
        overrides={"listen.udp": ("127.0.0.1:0",), "listen.tcp": "", "server.threads": 2},
    )
    assert config.listen.udp == (Endpoint("127.0.0.1:0"),)
    assert config.listen.tcp == ()
    assert config.server.threads == 2


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        (
            '[relay]\n\nports = "5-3"',
            3,
            "relay.ports",
            '"5-3" is not a range; write LOW-HIGH with 1 <= LOW <= HIGH <= 65535, '
            'for example "49152-65535"',
        ),
        ("[relay]\nports = 5", 2, "relay.ports", "expected a string in quotes, not an integer"),
        ('[server]\nthreads = "4"', 2, "server.threads", "expected an integer, not a string"),
        ("[server]\nthreads = -1", 2, "server.threads", "must be at least 0; the default is 0"),
        ('[server]\nrealm = ""', 2, "server.realm", "must be at least 1 characters long"),
        (
            '[server]\nrelam = "x"',
            2,
            "server.relam",
            'no such key; did you mean "server.realm"?',
        ),
        ("[server]\nports = 1", 2, "server.ports", 'no such key; did you mean "relay.ports"?'),
        ("[sevrer]\nx = 1", 1, "sevrer", 'no such section; did you mean "server"?'),
        ("server = 3", 1, "server", "expected a table, not an integer"),
        ("realms = 3", 1, "realms", "expected a list, not an integer"),
        ("[log]\nlevel = 'loud'", 2, "log.level", 'must be one of "debug", "error", "info", "w'),
        (
            "[tls]\nminimum_version = 1.2",
            2,
            "tls.minimum_version",
            'must be one of "1.2", "1.3"',
        ),
        (
            '[listen]\nudp = [\n  "0.0.0.0:1",\n  "here",\n]',
            4,
            "listen.udp[1]",
            '"here" is not ADDRESS:PORT; write for example "0.0.0.0:3478" or "[::]:3478"',
        ),
        ("[listen]\nidle_timeout = nan", 2, "listen.idle_timeout", "must be more than 0.0"),
        (
            '[[auth.users]]\nname = "a"\npassword = "b"\n[[auth.users]]\npassword = "c"',
            4,
            "auth.users[1].name",
            "is missing",
        ),
        (
            '[[auth.users]]\nname = "a"\nkey = "0xABC"',
            3,
            "auth.users[0].key",
            "not a stored key; write 32 hexadecimal digits",
        ),
        (
            '[[auth.users]]\nnane = "a"',
            2,
            "auth.users[0].nane",
            'no such key; did you mean "auth.users[0].name"?',
        ),
        ('[[realms]]\nname = ""', 2, "realms[0].name", "must be at least 1 characters long"),
        ("[server]\nrealm = \n", 2, "", "not TOML: Invalid value"),
        ("[server", 1, "", "not TOML:"),
        ('[tls]\nciphers = "\\u0000"', 2, "tls.ciphers", "holds a NUL"),
        ('[auth]\nsecrets = ["a",\n"\\u0000"]', 3, "auth.secrets[1]", "holds a NUL"),
    ],
)
def test_an_error_names_file_line_key_and_what_is_right(
    tmp_path: Path, text: str, line: int, key: str, message: str
) -> None:
    error = failure(tmp_path, text)
    assert error.file == str(tmp_path / "turnd.toml")
    assert error.line == line
    assert error.key == key
    assert error.message.startswith(message)


def test_an_error_prints_as_file_line_key_message(tmp_path: Path) -> None:
    error = failure(tmp_path, '[relay]\nports = "5-3"')
    assert str(error).startswith(f'{tmp_path}/turnd.toml:2: relay.ports: "5-3" is not a range')


@pytest.mark.parametrize(
    "text",
    [
        '[[auth.users]]\nname = "a"\nkey = "hunter2"',
        '[auth]\nsecrets = [["hunter2"]]',
        '[[auth.oauth_keys]]\nkid = "a"\nkey = "hunter2!"',
        '[[auth.users]]\nname = "a"\npassword = "hunter2"\nkey = "01"',
        '[[auth.oauth_keys]]\nkid = "a"\nkey = "hunter2="',
    ],
)
def test_an_error_repeats_no_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in str(failure(tmp_path, text))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"turnd\.toml: can't be read: No such file"):
        load_config(tmp_path / "turnd.toml")


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "turnd.toml").write_bytes(b"[server]\nrealm = '\xff'")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(tmp_path / "turnd.toml")


def test_a_section_that_is_no_table_can_not_be_hidden_by_a_variable(tmp_path: Path) -> None:
    error = failure(tmp_path, "server = 3", environ={"TURND_SERVER__REALM": "x"})
    assert (error.line, error.key) == (1, "server")


def test_secrets_do_not_show_in_a_repr() -> None:
    config = load_config(
        None,
        {
            "TURND_AUTH__SECRETS": "hunter2",
            "TURND_AUTH__NONCE_SECRET": "hunter2",
            "TURND_AUTH__USERS": '[{name="a", password="hunter2"}]',
        },
    )
    assert "hunter2" not in repr(config)
    assert config.auth.secrets == ("hunter2",)
