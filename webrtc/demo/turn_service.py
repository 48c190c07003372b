"""The STUN and TURN servers that both ends of a call are told, with credentials for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any

import attrs

from ice_client import IceServer, TlsOptions

LIFETIME = 3600
"""Seconds that time-limited credentials are good for."""


@attrs.frozen(kw_only=True)
class TurnService:
    """Servers and how their credentials are had.

    Attributes:
        urls: of STUN and TURN servers.
        username: of a TURN user that lasts.
        password: of that user.
        secret: shared with the server (``use-auth-secret``): each call gets a user of its own.
        tls: how our end believes ``turns:`` servers.

    """

    urls: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    secret: str | None = attrs.field(default=None, repr=False)
    tls: TlsOptions = attrs.field(factory=TlsOptions)

    def check(self) -> None:
        """Look whether servers can be made of it.

        Raises:
            ServerError: a URL is none.
            ValueError: a TURN server has no credentials.

        """
        self.ice_servers(self.rtc_servers())
        if self.has_relay and self.secret is None and (not self.username or not self.password):
            raise ValueError("a TURN server needs a user and password, or a secret")

    @property
    def has_relay(self) -> bool:
        """Whether there is a TURN server among them."""
        return any(url.startswith(("turn:", "turns:")) for url in self.urls)

    def rtc_servers(self) -> list[dict[str, Any]]:
        """Return RTCIceServers for one call."""
        if not self.urls:
            return []
        server: dict[str, Any] = {"urls": list(self.urls)}
        if self.has_relay:
            server["username"], server["credential"] = self._credentials()
        return [server]

    def ice_servers(self, rtc_servers: list[dict[str, Any]]) -> list[IceServer]:
        """Return the same for our end."""
        return [IceServer.from_json(server, self.tls) for server in rtc_servers]

    def _credentials(self) -> tuple[str, str]:
        if self.secret is None:
            return self.username or "", self.password or ""
        # The TURN REST API (draft-uberti-behave-turn-rest): what nearly every server takes.
        name = f"{int(time.time()) + LIFETIME}:{secrets.token_hex(4)}"
        digest = hmac.digest(self.secret.encode(), name.encode(), hashlib.sha1)
        return name, base64.b64encode(digest).decode()
