"""Where targets come from: JSON, turnd.toml, turnserver.conf, a Matrix homeserver, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h11
import pytest
import trio

from ice_client.check import matrix
from ice_client.check.matrix import ask_homeserver
from ice_client.check.sources import from_configuration, from_ice_servers, parse_uri
from ice_client.check.target import Target, TargetError, doors, ways
from ice_client.turn import Transport


def uris(targets: list[Target]) -> list[list[str]]:
    return [[str(uri) for uri in each.uris] for each in targets]


def test_ice_servers_in_each_of_their_forms() -> None:
    one = {"urls": "turn:a.example", "username": "u", "credential": "p"}
    for value in ({"iceServers": [one]}, [one], one, {**one, "urls": ["turn:a.example"]}):
        (target,) = from_ice_servers(json.dumps(value))
        assert uris([target]) == [["turn:a.example"]]
        assert (target.username, target.password) == ("u", "p")
        assert "'p'" not in repr(target)
    two = [{"urls": ["stun:s.example"]}, one]
    assert uris(from_ice_servers(json.dumps(two))) == [["stun:s.example"], ["turn:a.example"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        "[1]",
        "{}",
        '{"urls": 5}',
        '{"urls": []}',
        '{"urls": "http://a"}',
        '{"urls": "turn:a", "username": 5}',
    ],
)
def test_what_is_no_ice_server_is_said_to_be_none(text: str) -> None:
    with pytest.raises(TargetError):
        from_ice_servers(text)


TURND = """
[server]
realm = "example.org"
[listen]
udp = ["0.0.0.0:3478", "[::1]:3478"]
tcp = []
tls = ["192.0.2.1:443"]
dtls = []
[relay]
external = ["203.0.113.5/10.0.0.5"]
[auth]
secrets = ["north"]
"""

COTURN = """
# comment
listening-port=3479
listening-ip=192.0.2.1
listening-ip=2001:db8::1
realm=example.org
user=alice:wonder
cert=/etc/cert.pem
no-dtls
no-udp=off
"""


def test_turnd_toml(tmp_path: Path) -> None:
    file = tmp_path / "turnd.toml"
    file.write_text(TURND)
    (target,) = from_configuration(file, None)
    assert uris([target]) == [
        [
            "turn:203.0.113.5:3478?transport=udp",
            "turn:[::1]:3478?transport=udp",
            "turns:192.0.2.1:443?transport=tcp",
        ]
    ]
    assert (target.secret, target.realm) == ("north", "example.org")
    (named,) = from_configuration(file, "turn.example.org")
    assert str(named.uris[0]) == "turn:turn.example.org:3478?transport=udp"


def test_turnserver_conf(tmp_path: Path) -> None:
    file = tmp_path / "turnserver.conf"
    file.write_text(COTURN)
    (target,) = from_configuration(file, None)
    assert uris([target]) == [
        [
            "turn:192.0.2.1:3479?transport=udp",
            "turn:[2001:db8::1]:3479?transport=udp",
            "turn:192.0.2.1:3479?transport=tcp",
            "turn:[2001:db8::1]:3479?transport=tcp",
            "turns:192.0.2.1:5349?transport=tcp",
            "turns:[2001:db8::1]:5349?transport=tcp",
        ]
    ]
    assert (target.username, target.password, target.realm) == ("alice", "wonder", "example.org")


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("static-auth-secret=ab#cd", "ab#cd"),
        ('static-auth-secret="ab cd"', "ab cd"),
        ("static-auth-secret ab", "ab"),
        ("static-auth-secret = ab==", "ab=="),
        ("#static-auth-secret=ab", None),
    ],
)
def test_turnserver_conf_is_read_as_coturn_reads_it(
    tmp_path: Path, line: str, secret: str | None
) -> None:
    file = tmp_path / "turnserver.conf"
    file.write_text(f"listening-port 3479\n{line}\n")
    (target,) = from_configuration(file, None)
    assert target.secret == secret
    assert target.uris[0].port == 3479


def test_key_instead_of_a_password_is_no_credential(tmp_path: Path) -> None:
    file = tmp_path / "turnserver.conf"
    file.write_text("user=alice:0x" + "ab" * 16 + "\n")
    (target,) = from_configuration(file, None)
    assert target.credentials(0.0) is None


def test_file_that_is_broken_is_named(tmp_path: Path) -> None:
    file = tmp_path / "turnd.toml"
    file.write_text("[listen\n")
    with pytest.raises(TargetError, match=r"turnd\.toml"):
        from_configuration(file, None)


def test_doors_are_those_named_and_those_that_tell_something() -> None:
    def shown(*texts: str, transports: tuple[Transport, ...] = ()) -> list[tuple[str, int, bool]]:
        target = Target(uris=tuple(map(parse_uri, texts)))
        return [(d.transport.value, d.port, d.expected) for d in doors(target, transports)]

    assert shown("turn:a") == [
        ("udp", 3478, True),
        ("tcp", 3478, False),
        ("tls", 5349, False),
        ("dtls", 5349, False),
    ]
    assert shown("turn:a:80") == [("udp", 80, True), ("tcp", 80, False)]
    assert shown("turn:a?transport=tcp") == [("tcp", 3478, True)]
    assert shown("turns:a:443") == [("tls", 443, True)]
    assert shown("stun:a") == [("udp", 3478, True)]
    assert shown("turn:a", "turn:a?transport=tcp")[:2] == [("udp", 3478, True), ("tcp", 3478, True)]
    every = tuple(Transport)
    assert shown("turn:a", transports=every) == [
        ("udp", 3478, True),
        ("tcp", 3478, True),
        ("tls", 5349, True),
        ("dtls", 5349, True),
    ]
    with pytest.raises(TargetError):
        shown("turn:a?transport=sctp")


def test_ways_are_doors_at_every_address_once() -> None:
    target = Target(uris=(parse_uri("turn:a?transport=udp"), parse_uri("turn:b?transport=udp")))
    addresses = {"a": ["192.0.2.1", "2001:db8::1"], "b": ["192.0.2.1"]}
    rows = ways(doors(target), addresses)
    assert [(row.address, row.family) for row in rows] == [
        ("192.0.2.1", "ipv4"),
        ("2001:db8::1", "ipv6"),
    ]


async def homeserver(answers: dict[str, tuple[int, Any]], seen: list[h11.Request]) -> Any:
    """Return a handler of connections to an HTTP server with these answers by path."""

    async def serve(stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(4096)))
            elif isinstance(event, h11.Request):
                seen.append(event)
                status, value = answers.get(event.target.decode(), (404, {}))
                body = json.dumps(value).encode()
                head = h11.Response(
                    status_code=status,
                    headers=[("Content-Length", str(len(body))), ("Connection", "close")],
                )
                for each in (head, h11.Data(data=body), h11.EndOfMessage()):
                    await stream.send_all(connection.send(each) or b"")
            else:
                await stream.aclose()
                return

    return serve


TURN_SERVER = "/_matrix/client/v3/voip/turnServer"


async def ask_fake(answers: dict[str, tuple[int, Any]], seen: list[h11.Request]) -> list[Target]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, await homeserver(answers, seen), [listener])
        port = listener.socket.getsockname()[1]
        try:
            return await ask_homeserver(f"http://127.0.0.1:{port}", "token-1")
        finally:
            nursery.cancel_scope.cancel()


async def test_well_known_file_cannot_have_the_token_sent_in_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def fetch(url: str, access_token: str | None) -> dict[str, Any]:
        asked.append(url)
        assert access_token is None
        return {"m.homeserver": {"base_url": "http://matrix.example.org"}}

    monkeypatch.setattr(matrix, "_fetch", fetch)
    with pytest.raises(TargetError, match="not https"):
        await ask_homeserver("example.org", "token-1")
    assert asked == ["https://example.org/.well-known/matrix/client"]


@pytest.mark.parametrize(
    ("server", "token"),
    [("example.org:port", "t"), ("http://[::1", "t"), ("http://127.0.0.1:9", "secret\n")],
)
async def test_matrix_server_and_token_that_cannot_be_are_said_to_be(
    server: str, token: str
) -> None:
    with pytest.raises(TargetError) as caught:
        await ask_homeserver(server, token)
    assert "secret" not in str(caught.value)


async def test_matrix_homeserver_says_what_its_users_get() -> None:
    answer = {"uris": ["turn:t.example"], "username": "1:u", "password": "p", "ttl": 86400}
    seen: list[h11.Request] = []
    (target,) = await ask_fake({TURN_SERVER: (200, answer)}, seen)
    assert uris([target]) == [["turn:t.example"]]
    assert (target.username, target.password, target.software) == ("1:u", "p", "Matrix")
    assert dict(seen[0].headers)[b"authorization"] == b"Bearer token-1"


@pytest.mark.parametrize(
    "answer", [(401, {"errcode": "M_UNKNOWN_TOKEN"}), (200, {}), (200, []), (302, {})]
)
async def test_matrix_homeserver_without_a_turn_server(answer: tuple[int, Any]) -> None:
    with pytest.raises((TargetError, ExceptionGroup)) as caught:
        await ask_fake({TURN_SERVER: answer}, [])
    error: BaseException = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TargetError)
