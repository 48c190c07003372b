"""`turnd doctor`: ice-check against the server's own configuration.

The one door between the server and `ice_client`; nothing else in turnd may go through it
(tests/test_imports.py). It opens only when the command runs: a server that starts does not
load a client and its reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from stun import Family
from stun.uri import StunUri
from turnd.commands.common import config_option, fail, read_config
from turnd.config import Config
from turnd.config.values import Endpoint
from turnd.network import has_ipv6
from turnd.store.rest_credentials import mint

if TYPE_CHECKING:
    from ice_client.check.target import Target

_LIFETIME = 3600
"""Seconds the credential is good for that a shared secret is tried with."""
_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


@click.command()
@config_option
@click.option("--host", help="Name or address clients reach the server by.")
@click.option("-u", "--username", help="Instead of the credentials in the configuration.")
@click.option(
    "-p", "--password", help="Of that user; or ICE_CHECK_PASSWORD.", envvar="ICE_CHECK_PASSWORD"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--paste", is_flag=True, help="Print Markdown, addresses and secrets hidden.")
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    *,
    config_file: str | None,
    host: str | None,
    username: str | None,
    password: str | None,
    as_json: bool,
    paste: bool,
) -> None:
    """Check the running server from here, and say what to change in its configuration.

    Exit codes as of ice-check: 0 it works, 1 something fails, 2 wrong usage.
    """
    from ice_client.check.check import CheckOptions
    from ice_client.check.cli import Outputs, run_with_progress, write_outputs

    config = read_config(config_file)
    target = target_of(config, host, username, password)
    report = run_with_progress([target], CheckOptions(own_server=True))
    outputs = Outputs(json=as_json, paste=paste, junit=None, html=None)
    write_outputs(report, outputs, [*target.secrets, *config.auth.secrets])
    ctx.exit(0 if report.works else 1)


def target_of(
    config: Config, host: str | None, username: str | None, password: str | None
) -> Target:
    """Return what ice-check is to check: every listener, with credentials of the configuration.

    Ends the program where nothing is listened on. Users and secrets of a database are not
    looked into: its passwords are keys, which no client can log in with.
    """
    from ice_client.check.target import Target

    uris = tuple(dict.fromkeys(_uris(config, host)))
    if not uris:
        fail("the configuration has no listener that clients could be told of", 2)
    if username is None:
        username, password = _credentials(config)
    return Target(uris=uris, username=username, password=password, realm=config.server.realm)


def _uris(config: Config, host: str | None) -> Iterator[StunUri]:
    listen = config.listen
    kinds = [("turn", "udp", listen.udp), ("turn", "tcp", listen.tcp)]
    if config.tls.certificate:
        # Without one the server makes its own, which is for nobody outside.
        kinds += [("turns", "tcp", listen.tls), ("turns", "udp", listen.dtls)]
    for scheme, transport, endpoints in kinds:
        for endpoint in endpoints:
            if endpoint.is_wildcard and endpoint.address.family is Family.IPV6 and not has_ipv6():
                continue  # the defaults name it; the server leaves it out as well
            reached = host or _reached_at(config, endpoint)
            yield StunUri(scheme, reached, endpoint.address.port, transport)


def _reached_at(config: Config, endpoint: Endpoint) -> str:
    """Return the address clients use: of a wildcard the outside one, or loopback."""
    if not endpoint.is_wildcard:
        return endpoint.address.host
    family = endpoint.address.family
    for external in config.relay.external:
        if external.public.family is family:
            return external.public.host
    return _LOOPBACK[family]


def _credentials(config: Config) -> tuple[str | None, str | None]:
    for user in config.auth.users:
        if user.password and not user.realm:
            return user.name, str(user.password)
    for secret in config.auth.secrets:
        separator = config.auth.rest_separator
        return mint(str(secret), "doctor", _LIFETIME, time.time(), separator)
    return None, None
