"""`turnd credentials`: mint time-limited credentials from the server's shared secret."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from turnd.commands.common import SECRET_VARIABLE, config_option, fail, read_config
from turnd.commands.demo import ice_servers_json
from turnd.config import Config
from turnd.store.rest_credentials import mint
from turnd.store.user_database import UserDatabase, UserDatabaseError


@click.command()
@click.argument("user", default="")
@click.option("--ttl", default=24 * 3600, show_default=True, help="Seconds they are good for.")
@click.option("--host", help="Print an RTCConfiguration for the server of that name.")
@click.option("--realm", help="The realm whose secret to use; the default realm if left out.")
@config_option
def credentials(
    user: str,
    ttl: int,
    host: str | None,
    realm: str | None,
    config_file: str | None,
) -> None:
    """Mint time-limited credentials for USER (or nobody in particular).

    The shared secret is TURND_SECRET, else the configuration's first, else the newest of the
    user database.
    """
    if ttl <= 0:
        fail("--ttl is a number of seconds above 0", 2)
    config = read_config(config_file)
    name = realm or config.server.realm
    chosen = os.environ.get(SECRET_VARIABLE) or _configured(config, name) or _stored(config, name)
    if not chosen:
        fail(
            f"realm {name!r} has no secret: set auth.secrets or TURND_SECRET, "
            "or use: turnd secret add",
            2,
        )
    username, password = mint(chosen, user, ttl, time.time(), config.auth.rest_separator)
    if host:
        click.echo(json.dumps(ice_servers_json(config, host, username, password), indent=2))
    else:
        click.echo(f"username: {username}\npassword: {password}")


def _configured(config: Config, realm: str) -> str | None:
    secrets = {config.server.realm: config.auth.secrets} | {
        each.name: each.secrets for each in config.realms
    }
    return next(iter(secrets.get(realm, ())), None)


def _stored(config: Config, realm: str) -> str | None:
    path = Path(config.auth.user_database)
    # Opening would make the file: to mint is no reason to.
    if not config.auth.user_database or not path.is_file():
        return None
    try:
        with UserDatabase(path) as database:
            entries = database.secrets()
    except UserDatabaseError as error:
        fail(str(error))
    return next((entry.value for entry in entries if entry.realm == realm), None)
