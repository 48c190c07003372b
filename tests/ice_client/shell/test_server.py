"""ICE servers are read as browsers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ice_client import IceServer, LongTermCredentials, OAuthCredentials, ServerError


@pytest.mark.parametrize(
    ("value", "uris", "credentials"),
    [
        ({"urls": "stun:stun.example.org"}, ["stun:stun.example.org"], None),
        (
            {
                "urls": ["turn:[2001:db8::1]:80?transport=tcp", "turns:t.example.org"],
                "username": "u",
                "credential": "p",
            },
            ["turn:[2001:db8::1]:80?transport=tcp", "turns:t.example.org"],
            LongTermCredentials("u", "p"),
        ),
        (
            {"url": "turn:t.example.org", "username": "u", "credential": "p"},
            ["turn:t.example.org"],
            LongTermCredentials("u", "p"),
        ),
        (
            {
                "urls": "turn:t.example.org",
                "username": "kid",
                "credentialType": "oauth",
                "credential": {"macKey": "a2V5", "accessToken": "dG9rZW4="},
            },
            ["turn:t.example.org"],
            OAuthCredentials("kid", b"token", b"key"),
        ),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_an_rtc_ice_server_is_read(
    value: dict[str, Any], uris: list[str], credentials: object, as_text: bool
) -> None:
    server = IceServer.from_json(json.dumps(value) if as_text else value)
    assert [str(each) for each in server.uris] == uris
    assert server.credentials == credentials


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"urls": []},
        {"urls": 7},
        {"urls": [7]},
        {"urls": "https://example.org"},
        {"urls": "turn:t.example.org?transport=sctp"},
        {"urls": ["stun:s.example.org"] * 33},
        {"urls": "turn:t", "username": 7, "credential": "p"},
        {"urls": "turn:t", "username": "u", "credential": 7},
        {"urls": "turn:t", "username": "u"},
        {"urls": "turn:t", "username": "u", "credential": {"macKey": "!", "accessToken": ""}},
        {"urls": "turn:t", "username": "u", "credential": {"macKey": "a2V5"}},
        {"urls": "turn:t", "username": "u", "credentialType": "oauth", "credential": "p"},
        "not JSON",
        "[]",
        "[" * 100_000,
    ],
)
def test_what_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ServerError):
        IceServer.from_json(value)


def test_secrets_are_not_shown() -> None:
    assert "p4ssword" not in repr(IceServer("turn:t", LongTermCredentials("u", "p4ssword")))
