"""`turnd user` and `turnd secret`: the SQLite file of users and shared secrets."""

from __future__ import annotations

import datetime
import os
import secrets as random_secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from stun import StunError
from stun.opaque_string import opaque_string
from turnd.commands.common import (
    PASSWORD_VARIABLE,
    SECRET_VARIABLE,
    config_option,
    fail,
    read_config,
)
from turnd.store.user_database import UserDatabase, UserDatabaseError


@attrs.frozen(slots=True)
class Target:
    """Which file, and which realm of it."""

    path: Path
    realm: str


def _target(config_file: str | None, database: str | None, realm: str | None) -> Target:
    config = read_config(config_file)
    path = database or config.auth.user_database
    if not path:
        fail("no user database: set auth.user_database, or give --database FILE", 2)
    return Target(Path(path), realm or config.server.realm)


@contextmanager
def _open(target: Target, *, make: bool = False) -> Iterator[UserDatabase]:
    """Open the file; only who puts something in makes one, so that no typing error does."""
    if not make and not target.path.exists():
        fail(f"{target.path}: there is no such file; `add` makes it")
    try:
        with UserDatabase(target.path) as database:
            yield database
    except (UserDatabaseError, StunError) as error:
        fail(str(error))


_database_option = click.option(
    "--database", type=click.Path(dir_okay=False), help="The SQLite file (auth.user_database)."
)
_realm_option = click.option("--realm", help="The realm; the default realm if left out.")


def _read_password() -> str:
    """Read a password: TURND_PASSWORD, a pipe, a prompt. Never the command line, which all see."""
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n")
        if not password:
            fail("no password on standard input", 2)
        return password
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@click.group()
def user() -> None:
    """Manage users of the SQLite database; the server sees changes within seconds."""


@user.command("add")
@click.argument("name")
@_realm_option
@_database_option
@config_option
def add_user(
    name: str,
    realm: str | None,
    database: str | None,
    config_file: str | None,
) -> None:
    """Add the user NAME; the password comes by prompt, standard input or TURND_PASSWORD."""
    target = _target(config_file, database, realm)
    with _open(target, make=True) as opened:
        # Kept as prepared: another spelling of a name is the same user, not a new one.
        name = opaque_string(name)
        if opened.find(target.realm, name) is not None:
            fail(f"user {name!r} exists in realm {target.realm!r}; use: turnd user passwd")
        opened.put_user(target.realm, name, _read_password())
    click.echo(f"Added {name} to realm {target.realm}.")


@user.command("passwd")
@click.argument("name")
@_realm_option
@_database_option
@config_option
def change_password(
    name: str,
    realm: str | None,
    database: str | None,
    config_file: str | None,
) -> None:
    """Give the user NAME another password; calls under way go on."""
    target = _target(config_file, database, realm)
    with _open(target) as opened:
        # Kept as prepared: another spelling of a name is the same user, not a new one.
        name = opaque_string(name)
        if opened.find(target.realm, name) is None:
            fail(f"there is no user {name!r} in realm {target.realm!r}")
        opened.put_user(target.realm, name, _read_password())
    click.echo(f"Changed the password of {name} in realm {target.realm}.")


@user.command("remove")
@click.argument("name")
@_realm_option
@_database_option
@config_option
def remove_user(
    name: str, realm: str | None, database: str | None, config_file: str | None
) -> None:
    """Remove the user NAME; calls under way go on."""
    target = _target(config_file, database, realm)
    with _open(target) as opened:
        if not opened.remove_user(target.realm, opaque_string(name)):
            fail(f"there is no user {name!r} in realm {target.realm!r}")
    click.echo(f"Removed {name} from realm {target.realm}.")


@user.command("list")
@_database_option
@config_option
def list_users(database: str | None, config_file: str | None) -> None:
    """List all users."""
    with _open(_target(config_file, database, None)) as opened:
        for entry in opened.users():
            click.echo(f"{entry.realm}\t{entry.name}\t{_day(entry.created)}")


@click.group()
def secret() -> None:
    """Manage shared secrets of time-limited credentials in the SQLite database."""


@secret.command("generate")
def generate_secret() -> None:
    """Print a new random secret; nothing is stored."""
    click.echo(random_secrets.token_hex(32))


@secret.command("add")
@_realm_option
@_database_option
@config_option
def add_secret(realm: str | None, database: str | None, config_file: str | None) -> None:
    """Add a shared secret: TURND_SECRET, else a random one, which is printed this once."""
    target = _target(config_file, database, realm)
    given = os.environ.get(SECRET_VARIABLE)
    made = given or random_secrets.token_hex(32)
    with _open(target, make=True) as opened:
        if not opened.add_secret(target.realm, made):
            fail(f"realm {target.realm!r} has that secret already")
    click.echo(f"Added a secret to realm {target.realm}." if given else made)


@secret.command("remove")
@click.argument("beginning")
@_realm_option
@_database_option
@config_option
def remove_secret(
    beginning: str, realm: str | None, database: str | None, config_file: str | None
) -> None:
    """Remove the secret with that BEGINNING, as `turnd secret list` shows it."""
    start = beginning.rstrip("…")
    if not start:
        fail("say how the secret begins", 2)
    target = _target(config_file, database, realm)
    with _open(target) as opened:
        values = [each.value for each in opened.secrets() if each.realm == target.realm]
        matching = [value for value in values if value.startswith(start)]
        # A whole secret means itself, though others begin with it.
        chosen = [start] if start in values else matching
        if len(chosen) != 1:
            fail(f"{len(matching)} secrets of realm {target.realm!r} begin so; one must")
        opened.remove_secret(target.realm, chosen[0])
    click.echo(f"Removed a secret from realm {target.realm}.")


@secret.command("list")
@_database_option
@config_option
def list_secrets(database: str | None, config_file: str | None) -> None:
    """List shared secrets by their beginnings."""
    with _open(_target(config_file, database, None)) as opened:
        for entry in opened.secrets():
            click.echo(f"{entry.realm}\t{entry.hint}\t{_day(entry.created)}")


def _day(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")
