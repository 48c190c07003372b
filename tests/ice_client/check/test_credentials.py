"""Credentials that are refused, each for its own reason, by real servers where they can be led."""

from __future__ import annotations

import time
from pathlib import Path

from ice_client.check import verdicts as v
from ice_client.check.results import CredentialState, Report
from ice_client.check.target import expiry_of, mint
from stun import Address, Message, Method
from stun import attributes as a
from stun.credentials import long_term_key_md5
from tests.ice_client.check.fake_server import bound, challenge, error, fake_server
from tests.ice_client.check.kit import check, provokes
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import PASSWORD, REALM, SECRET, USER, running_server

HOST = ["127.0.0.1"]
DAY = 86_400.0


def _clock(offset: float) -> dict[str, object]:
    """Have ice-check's clock differ from the server's by `offset` seconds."""
    return {"wall_clock": lambda: time.time() + offset}


@provokes(v.WRONG_PASSWORD)
async def test_wrong_password_at_turnd(tmp_path: Path) -> Report:
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}", username=USER, password="x")


@provokes(v.WRONG_PASSWORD)
async def test_unknown_user_at_coturn(tmp_path: Path) -> Report:
    options = ["lt-cred-mech", f"user={USER}:{PASSWORD}"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}", username="nobody", password="x")


@provokes(v.WRONG_SECRET)
async def test_wrong_secret_at_turnd(tmp_path: Path) -> Report:
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}", secret="another-secret")


@provokes(v.WRONG_SECRET)
async def test_wrong_secret_at_coturn(tmp_path: Path) -> Report:
    options = ["use-auth-secret", f"static-auth-secret={SECRET}"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}", secret="another-secret")


async def test_right_secret_at_both(tmp_path: Path) -> None:
    for name in ("turnd", "coturn"):
        folder = tmp_path / name
        folder.mkdir()
        options = ["use-auth-secret", f"static-auth-secret={SECRET}"]
        running = (
            running_server(folder, hosts=HOST)
            if name == "turnd"
            else running_coturn(folder, options, hosts=HOST)
        )
        async with running as server:
            report = await check(f"turn:127.0.0.1:{server.plain_port}", secret=SECRET)
        assert report.findings == ()
        (credentials,) = report.credentials
        assert credentials.state is CredentialState.ACCEPTED
        assert credentials.realm == REALM
        assert (credentials.open_relay, credentials.expired_accepted) == (False, False)


@provokes(v.CREDENTIAL_EXPIRED)
async def test_expired_credential_at_turnd(tmp_path: Path) -> Report:
    old = mint(SECRET, "alice", int(time.time()) - 600)
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}", username=old.username, password=old.password
        )


@provokes(v.CREDENTIAL_EXPIRED)
async def test_expired_credential_at_coturn(tmp_path: Path) -> Report:
    old = mint(SECRET, "alice", int(time.time()) - 600)
    options = ["use-auth-secret", f"static-auth-secret={SECRET}"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}", username=old.username, password=old.password
        )


@provokes(v.WRONG_SECRET)
async def test_time_limited_name_with_a_password_of_another_secret(tmp_path: Path) -> Report:
    other = mint("another-secret", "alice", int(time.time()) + 600)
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}", username=other.username, password=other.password
        )


@provokes(v.CLOCK_SKEW)
async def test_clock_two_days_behind_the_servers_at_turnd(tmp_path: Path) -> Report:
    async with running_server(tmp_path, hosts=HOST) as server:
        report = await check(
            f"turn:127.0.0.1:{server.plain_port}", secret=SECRET, changes=_clock(-2 * DAY)
        )
    (credentials,) = report.credentials
    # A day was not enough, ten were: the difference of the clocks lies in between.
    assert "24 hours" in credentials.detail
    assert "10 days" in credentials.detail
    return report


@provokes(v.CLOCK_SKEW)
async def test_clock_two_days_behind_the_servers_at_coturn(tmp_path: Path) -> Report:
    options = ["use-auth-secret", f"static-auth-secret={SECRET}"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}", secret=SECRET, changes=_clock(-2 * DAY)
        )


@provokes(v.EXPIRED_ACCEPTED)
async def test_clock_ahead_of_the_servers(tmp_path: Path) -> Report:
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}", secret=SECRET, changes=_clock(2 * 3600.0)
        )


@provokes(v.WRONG_REALM)
async def test_users_made_for_another_realm(tmp_path: Path) -> Report:
    key = long_term_key_md5(USER, "old.example.org", PASSWORD).hex()
    options = ["lt-cred-mech", f"user={USER}:0x{key}"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}",
            username=USER,
            password=PASSWORD,
            realm="old.example.org",
        )


@provokes(v.CREDENTIALS_NEEDED)
async def test_no_credentials_where_some_are_needed(tmp_path: Path) -> Report:
    async with running_server(tmp_path, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}")


@provokes(v.OPEN_RELAY)
async def test_coturn_without_authentication(tmp_path: Path) -> Report:
    async with running_coturn(tmp_path, ["no-auth"], hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}")


@provokes(v.STALE_NONCE_LOOP)
async def test_every_nonce_is_stale() -> Report:
    def script(request: Message, client: Address) -> Message:
        if request.method == Method.BINDING:
            return bound(request, client)
        return challenge(request, 438 if request.has(a.USERNAME) else 401)

    async with fake_server(script) as server:
        return await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username=USER, password=PASSWORD
        )


@provokes(v.BAD_CHALLENGE)
async def test_challenge_without_realm() -> Report:
    def script(request: Message, client: Address) -> Message:
        return bound(request, client) if request.method == Method.BINDING else error(request, 401)

    async with fake_server(script) as server:
        return await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username=USER, password=PASSWORD
        )


def test_expiry_is_found_where_servers_look_for_it() -> None:
    cases = {
        "1767225600": 1767225600,
        "1767225600:alice": 1767225600,
        "alice:1767225600": 1767225600,
        "alice": None,
        "4242": None,
        "a:b": None,
    }
    assert {name: expiry_of(name) for name in cases} == cases


def test_minted_credentials_are_those_of_the_draft() -> None:
    # HMAC-SHA1 of "1767225600:alice" under the key "north", made with openssl(1).
    credentials = mint("north", "alice", 1767225600)
    assert credentials.username == "1767225600:alice"
    assert credentials.password == "qnVCfmDqv+5N7tpxKH0liO/huIU="
    assert mint("north", "", 1767225600).username == "1767225600"
