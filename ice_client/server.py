"""The STUN and TURN servers that an agent is told to use, as browsers write them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ice_client.errors import IceError
from ice_client.turn import (
    Credentials,
    LongTermCredentials,
    OAuthCredentials,
    TlsOptions,
    Transport,
)
from stun.uri import StunUri, UriError

MAX_URLS = 32
"""Of one `IceServer`."""


class ServerError(IceError):
    """An ICE server's description that can't be used; the message names the part."""


def _uris(values: str | StunUri | Sequence[str | StunUri]) -> tuple[StunUri, ...]:
    if isinstance(values, str | StunUri):
        values = (values,)
    if not 1 <= len(values) <= MAX_URLS:
        raise ServerError(f"an ICE server has 1 to {MAX_URLS} URLs, not {len(values)}")
    try:
        uris = tuple(StunUri.parse(each) if isinstance(each, str) else each for each in values)
        for uri in uris:
            Transport.of_uri(uri)
    except (UriError, ValueError) as error:
        raise ServerError(str(error)) from error
    return uris


@attrs.frozen(slots=True)
class IceServer:
    """One or more URIs of a service, with what it wants to see of its users.

    Attributes:
        uris: `stun:`, `stuns:`, `turn:` and `turns:` URIs; text is parsed.
        credentials: for `turn:` and `turns:`.
        tls: how to believe the certificates of `turns:`.

    Raises:
        ServerError: text is no such URI.

    """

    uris: tuple[StunUri, ...] = attrs.field(converter=_uris)
    credentials: Credentials | None = None
    tls: TlsOptions = attrs.field(factory=TlsOptions)

    @classmethod
    def from_json(cls, value: str | Mapping[str, Any], tls: TlsOptions | None = None) -> IceServer:
        """Read an RTCIceServer: ``{"urls": …, "username": …, "credential": …}``.

        `credential` is a password, or with ``"credentialType": "oauth"`` an object with
        `macKey` and `accessToken` in base64 (RFC 7635; the user name is the key's id).

        Raises:
            ServerError: it is none.

        """
        if isinstance(value, str):
            value = _object(value)
        urls = value.get("urls", value.get("url"))
        is_text = isinstance(urls, str)
        if not is_text and not (
            isinstance(urls, Sequence) and all(isinstance(each, str) for each in urls)
        ):
            raise ServerError("urls is neither text nor a list of text")
        return cls(urls, _credentials(value), tls or TlsOptions())


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServerError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ServerError("an RTCIceServer is a JSON object")
    return value


def _credentials(value: Mapping[str, Any]) -> Credentials | None:
    username, credential = value.get("username"), value.get("credential")
    if username is None and credential is None:
        return None
    if not isinstance(username, str):
        raise ServerError("username is not text")
    if value.get("credentialType", "password") == "oauth" or isinstance(credential, Mapping):
        if not isinstance(credential, Mapping):
            raise ServerError("an OAuth credential is an object")
        token, key = (_octets(credential, name) for name in ("accessToken", "macKey"))
        return OAuthCredentials(username, token, key)
    if not isinstance(credential, str):
        raise ServerError("credential is not text")
    return LongTermCredentials(username, credential)


def _octets(credential: Mapping[str, Any], name: str) -> bytes:
    text = credential.get(name)
    if not isinstance(text, str):
        raise ServerError(f"{name} is not text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServerError(f"{name} is not base64") from error
