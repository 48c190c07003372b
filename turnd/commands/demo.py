"""`turnd run --demo`: credentials made up on the spot, and what to paste into a browser."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import attrs
import click

from turnd.app import Running
from turnd.config import Config
from turnd.store.rest_credentials import mint

LIFETIME = 24 * 3600
"""Seconds the printed credentials are good for."""


@attrs.frozen(slots=True)
class Demo:
    """A demonstration's shared secret."""

    secret: str = attrs.field(repr=False)

    @classmethod
    def prepare(cls, overrides: dict[str, Any]) -> Demo:
        """Make a secret and have the server take it; quiet the log unless told otherwise."""
        demo = cls(secrets.token_hex(32))
        overrides["auth.secrets"] = [demo.secret]
        overrides.setdefault("log.level", "warning")
        return demo

    def show(self, running: Running, config: Config) -> None:
        """Print ICE servers that work, where the metrics are, and how to stop."""
        username, password = mint(self.secret, "demo", LIFETIME, time.time())
        host = running.primary.host
        ice_servers = ice_servers_json(config, host, username, password)
        click.echo(f"turnd is up on {host}. Paste this into new RTCPeerConnection(…):\n")
        click.echo(json.dumps(ice_servers, indent=2))
        click.echo(f"\nThe credentials are good for {LIFETIME // 3600} hours.")
        if config.listen.tls and not config.tls.certificate:
            port = config.listen.tls[0].port
            click.echo(
                f"TLS and DTLS are on port {port} with a self-signed certificate, which browsers "
                "refuse: set tls.certificate to offer turns: URLs."
            )
        if running.metrics is not None:
            click.echo(f"Metrics: http://{running.metrics}/metrics")
        click.echo("Stop with Ctrl-C.")


def ice_servers_json(config: Config, host: str, username: str, password: str) -> dict[str, Any]:
    """Return an RTCConfiguration with the STUN and TURN URLs of a server's listeners.

    Args:
        config: whose listeners; `turns:` only with a certificate of its own.
        host: name or IP address clients reach the server by.
        username: TURN user name.
        password: its password.

    """
    name = f"[{host}]" if ":" in host else host
    listen = config.listen
    urls = []
    if listen.udp:
        urls.append(f"turn:{name}:{listen.udp[0].port}?transport=udp")
    if listen.tcp:
        urls.append(f"turn:{name}:{listen.tcp[0].port}?transport=tcp")
    if listen.tls and config.tls.certificate:
        urls.append(f"turns:{name}:{listen.tls[0].port}?transport=tcp")
    servers: list[dict[str, Any]] = []
    if listen.udp:
        servers.append({"urls": [f"stun:{name}:{listen.udp[0].port}"]})
    if urls:  # without one, RTCPeerConnection takes none of it
        servers.append({"urls": urls, "username": username, "credential": password})
    return {"iceServers": servers}
