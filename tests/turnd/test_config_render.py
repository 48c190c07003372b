"""The configuration as TOML, and the documented file against the structs."""

import re
import tomllib
from pathlib import Path

import pytest

from turnd.config import (
    Config,
    all_keys,
    differences,
    dotted,
    keys_of,
    load_config,
    print_config,
    render_toml,
)
from turnd.config.environment import PREFIX, variable_names
from turnd.config.schema import Kind, sections

DOCUMENTED = Path(__file__).parents[2] / "conf" / "turnd.toml"
DEFAULT_LINE = re.compile(r"^#(?=[a-z_0-9]+ = )", re.MULTILINE)
EXAMPLE_LINE = re.compile(r"^#     (?=\[\[|[a-z_0-9]+ = )", re.MULTILINE)

FULL = """
[server]
realm = "exämple \\"quoted\\" \\\\ \\u0007"
[listen]
udp = ["192.0.2.1:3478", "[2001:db8::1]:3478"]
idle_timeout = 0.5
proxy_protocol = ["10.0.0.0/8"]
[nat_discovery]
alternate_address = "192.0.2.2"
[relay]
addresses = ["192.0.2.1", "192.0.2.2"]
external = ["203.0.113.5/192.0.2.1"]
[auth]
secrets = ["hunter2", "hunter3"]
nonce_secret = "hunter4"
[[auth.users]]
name = "a"
password = "hunter5"
[[auth.users]]
name = "b"
key = "0123456789abcdef0123456789ABCDEF"
realm = "example.org"
[[auth.oauth_keys]]
kid = "k"
key = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMjIyMjI="
[[realms]]
name = "example.org"
origins = ["https://example.org"]
secrets = ["hunter6"]
allocations = 0
[metrics]
listen = ""
"""


@pytest.fixture
def full(tmp_path: Path) -> Config:
    (tmp_path / "full.toml").write_text(FULL)
    return load_config(tmp_path / "full.toml")


def reload(tmp_path: Path, text: str) -> Config:
    (tmp_path / "again.toml").write_text(text)
    return load_config(tmp_path / "again.toml")


@pytest.mark.parametrize("only_changes", [False, True])
def test_what_is_written_loads_as_the_same(
    tmp_path: Path, full: Config, only_changes: bool
) -> None:
    text = render_toml(full, reveal=True, only_changes=only_changes)
    assert reload(tmp_path, text) == full


def test_the_built_in_configuration_survives_the_round_trip(tmp_path: Path) -> None:
    assert reload(tmp_path, render_toml(Config(), reveal=True)) == Config()
    assert render_toml(Config(), reveal=True, only_changes=True) == ""


def test_printing_shows_every_key_and_no_secret(full: Config) -> None:
    text = print_config(full)
    assert "hunter" not in text
    assert "aHVudGVy" not in text
    assert "0123456789" not in text
    tree = tomllib.loads(text)
    assert tree["auth"]["secrets"] == ["***", "***"]
    assert tree["auth"]["users"][0]["password"] == "***"
    assert tree["tls"]["private_key_password"] == ""
    for path, key in all_keys().items():
        if key.kind is not Kind.TABLES:
            assert path[1] in tree[path[0]], dotted(path)


def test_differences_are_dotted_keys(full: Config) -> None:
    assert differences(full, full) == ()
    other = load_config(None, overrides={"server.threads": 3, "auth.secrets": ["x"]})
    assert differences(Config(), other) == ("server.threads", "auth.secrets")


def test_every_key_is_in_the_documented_file_with_its_default() -> None:
    tree = tomllib.loads(DEFAULT_LINE.sub("", DOCUMENTED.read_text()))
    for path, key in all_keys().items():
        if key.kind is Kind.TABLES:
            continue
        assert path[1] in tree[path[0]], f"{dotted(path)} is not in {DOCUMENTED}"
    assert set(tree) == set(sections())


def test_the_documented_file_loads_as_it_is() -> None:
    assert load_config(DOCUMENTED) == Config()


def test_uncommenting_every_default_changes_nothing(tmp_path: Path) -> None:
    assert reload(tmp_path, DEFAULT_LINE.sub("", DOCUMENTED.read_text())) == Config()


def test_every_key_of_the_tables_is_in_an_example() -> None:
    text = DOCUMENTED.read_text()
    for path, key in all_keys().items():
        if key.table is None:
            continue
        header = f"#     [[{dotted(path)}]]"
        examples = "".join(
            part.split("\n#\n")[0].split("\n\n")[0] for part in text.split(header)[1:]
        )
        assert examples, f"{header} is not in {DOCUMENTED}"
        for name in keys_of(key.table):
            assert f"\n#     {name} = " in examples, f"{dotted(path)}.{name} is in no example"


def test_the_examples_of_the_documented_file_load(tmp_path: Path) -> None:
    lines = DOCUMENTED.read_text().splitlines()
    examples = [EXAMPLE_LINE.sub("", line) for line in lines if EXAMPLE_LINE.match(line)]
    text = "\n".join(line for line in examples if not line.startswith("external"))
    config = reload(tmp_path, text)
    assert [user.name for user in config.auth.users] == ["alice", "bob"]
    assert len(config.auth.oauth_keys) == len(config.realms) == 1


def test_no_key_is_called_like_the_file_variable_of_another() -> None:
    names = variable_names()
    assert not [name for name in names if name.endswith("_FILE") and name[:-5] in names]
    assert all(name.startswith(PREFIX) for name in names)
