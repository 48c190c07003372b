"""Asks a Matrix homeserver which TURN server its users get (Client-Server API, §VoIP).

Discovery by `/.well-known/matrix/client`, then `/_matrix/client/v3/voip/turnServer` with an
access token. Redirections are not followed: the token is for this server only.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import trio

from ice_client.check.sources import from_matrix
from ice_client.check.target import Target, TargetError

TIMEOUT = 10.0
LARGEST_ANSWER = 1_000_000


async def ask_homeserver(server: str, access_token: str) -> list[Target]:
    """Return the target a homeserver gives its users.

    Args:
        server: a server name (`example.org`), or the homeserver's base URL.
        access_token: of a user there.

    Raises:
        TargetError: it cannot be reached, refuses the token, or has no TURN server.

    """
    base = server if "://" in server else await _discover(server)
    answer = await _get(f"{base.rstrip('/')}/_matrix/client/v3/voip/turnServer", access_token)
    return from_matrix(answer)


async def _discover(name: str) -> str:
    """Return the base URL; the name itself where there is no well-known file (spec: PROMPT)."""
    try:
        answer = await _get(f"https://{name}/.well-known/matrix/client", None)
        base = answer["m.homeserver"]["base_url"]
    except (TargetError, KeyError, TypeError):
        return f"https://{name}"
    if not str(base).startswith("https://"):
        # The access token goes there, and no answer of a stranger's is to have it sent in clear.
        raise TargetError(f"{name} says that its homeserver is at {base}, which is not https")
    return str(base)


async def _get(url: str, access_token: str | None) -> dict[str, Any]:
    return await trio.to_thread.run_sync(_fetch, url, access_token, abandon_on_cancel=True)


def _fetch(url: str, access_token: str | None) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TargetError(f"{url} is not a homeserver's URL: {error}") from error
    if parts.scheme not in {"https", "http"} or not host:
        raise TargetError(f"{url} is not a homeserver's URL")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=TIMEOUT)
    headers = {"Accept": "application/json"}
    if access_token is not None:
        if not (access_token.isascii() and access_token.isprintable()):
            raise TargetError("the access token holds what no access token holds: a line's end?")
        headers["Authorization"] = f"Bearer {access_token}"
    try:
        connection.request("GET", parts.path, headers=headers)
        response = connection.getresponse()
        body = response.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise TargetError(f"{url}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise TargetError(f"{url}: {response.status} {response.reason}")
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise TargetError(f"{url}: not JSON") from error
    if not isinstance(answer, dict):
        raise TargetError(f"{url}: not a JSON object")
    return answer
