"""`turnd credentials`: mint time-limited credentials from the server's shared secret."""

from __future__ import annotations

import json
import time

import click

from turnd.commands.common import SECRET_VARIABLE, config_option, fail, read_config
from turnd.commands.demo import ice_servers_json
from turnd.store.rest_credentials import mint


@click.command()
@click.argument("user", default="")
@click.option("--ttl", default=24 * 3600, show_default=True, help="Seconds they are good for.")
@click.option("--host", help="Print an RTCConfiguration for the server of that name.")
@click.option("--realm", help="The realm whose secret to use; the default realm if left out.")
@click.option("--secret", envvar=SECRET_VARIABLE, hidden=True, help="The shared secret.")
@config_option
def credentials(
    user: str,
    ttl: int,
    host: str | None,
    realm: str | None,
    secret: str | None,
    config_file: str | None,
) -> None:
    """Mint time-limited credentials for USER (or nobody in particular).

    The shared secret is the configuration's first, or TURND_SECRET.
    """
    if ttl <= 0:
        fail("--ttl is a number of seconds above 0", 2)
    config = read_config(config_file)
    name = realm or config.server.realm
    secrets = {config.server.realm: config.auth.secrets} | {
        each.name: each.secrets for each in config.realms if each.secrets
    }
    chosen = secret or next(iter(secrets.get(name, ())), None)
    if not chosen:
        fail(f"realm {name!r} has no secret: set auth.secrets, or TURND_SECRET", 2)
    username, password = mint(chosen, user, ttl, time.time(), config.auth.rest_separator)
    if host:
        click.echo(json.dumps(ice_servers_json(config, host, username, password), indent=2))
    else:
        click.echo(f"username: {username}\npassword: {password}")
