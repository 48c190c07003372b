"""What servers offer beyond a plain allocation, asked of real ones."""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from ice_client.turn import (
    AllocateOptions,
    AuthenticationError,
    Exchange,
    ForbiddenError,
    OAuthCredentials,
    QuotaReachedError,
    RedirectedError,
    StageEnded,
    TraceEvent,
    Transport,
    TurnServer,
    open_relay,
)
from stun import Address, Family, Method
from stun import attributes as a
from stun.oauth_token import Token, seal_token
from stun.values import SHA256
from tests.ice_client.turn.servers import (
    LINKS,
    SERVERS,
    Running,
    coturn,
    turnd,
)
from tests.ice_client.turn.test_relay import exchange
from tests.interop.server_under_test import Section

Start = Callable[[Path], AbstractAsyncContextManager[Running]]


def configured(changes: dict[str, Section], options: list[str]) -> dict[str, Start]:
    """Return how to run each server with an option on."""
    return {
        "turnd": lambda folder: turnd(folder, changes),
        "coturn": lambda folder: coturn(folder, options),
    }


def codes(events: list[TraceEvent], method: Method) -> list[int]:
    """Return what requests of a method were answered with, 0 for success."""
    answers = [each for each in events if isinstance(each, Exchange) and each.method == method]
    errors = [each.response.get(a.ERROR_CODE) if each.response else None for each in answers]
    return [error.code if error else 0 for error in errors]


@pytest.mark.parametrize("kind", SERVERS)
async def test_an_observer_sees_each_stage_and_request(kind: str, tmp_path: Path) -> None:
    events: list[TraceEvent] = []
    async with (
        SERVERS[kind](tmp_path) as running,
        open_relay(running.at(Transport.TLS), observer=events.append) as relay,
    ):
        await relay.bind_channel(relay.relayed_address)
        await relay.refresh()
    seen = [e.stage.value if isinstance(e, StageEnded) else Method(e.method).name for e in events]
    assert seen == [
        "connect",
        "tls-handshake",
        "ALLOCATE",
        "ALLOCATE",
        "CHANNEL_BIND",
        "REFRESH",
        "REFRESH",
    ]
    assert codes(events, Method.ALLOCATE) == [401, 0]
    assert all(e.error is None and e.started_at <= e.ended_at for e in events)
    tls = next(e.tls for e in events if isinstance(e, StageEnded) and e.tls)
    assert tls.version in {"TLSv1.2", "TLSv1.3"}
    assert tls.alpn == "stun.turn"
    assert tls.certificate


NONCES = configured({"auth": {"nonce_lifetime": 1}}, ["stale-nonce=1"])


@pytest.mark.parametrize("kind", NONCES)
async def test_a_stale_nonce_is_replaced_unnoticed(kind: str, tmp_path: Path) -> None:
    events: list[TraceEvent] = []
    async with NONCES[kind](tmp_path) as running:
        with trio.fail_after(20):
            async with open_relay(running.at(), observer=events.append) as relay:
                while 438 not in codes(events, Method.REFRESH):
                    await relay.refresh()
                    await trio.sleep(0.1)  # the pace; the server's clock decides
    assert codes(events, Method.REFRESH)[-1] == 0


async def test_turnd_is_spoken_to_with_sha_256(tmp_path: Path) -> None:
    events: list[TraceEvent] = []
    async with turnd(tmp_path) as running, open_relay(running.at(), observer=events.append):
        pass
    last = [e for e in events if isinstance(e, Exchange) and e.method == Method.ALLOCATE][-1]
    assert last.response is not None
    assert last.response.has(a.MESSAGE_INTEGRITY_SHA256)
    first = next(e for e in events if isinstance(e, Exchange))
    assert first.response is not None
    offered = first.response.get(a.PASSWORD_ALGORITHMS)
    assert offered is not None
    assert offered[0] == SHA256


QUOTAS = configured({"quota": {"allocations_per_user": 1}}, ["user-quota=1"])


@pytest.mark.parametrize("kind", QUOTAS)
async def test_a_quota_is_a_quota_error(kind: str, tmp_path: Path) -> None:
    async with QUOTAS[kind](tmp_path) as running, open_relay(running.at()):
        with trio.fail_after(20), pytest.raises(QuotaReachedError) as caught:
            async with open_relay(running.at()):
                pytest.fail("allocated")
        assert caught.value.code == 486


DENYING = configured(
    {"peers": {"allow": ["127.0.0.1"], "deny": ["192.0.2.0/24"]}},
    ["denied-peer-ip=192.0.2.0-192.0.2.255"],
)


@pytest.mark.parametrize("kind", DENYING)
async def test_a_peer_that_is_denied_is_forbidden_and_others_are_not(
    kind: str, tmp_path: Path
) -> None:
    denied, allowed = Address.parse("192.0.2.5", 9), Address.parse("127.0.0.1", 9)
    async with DENYING[kind](tmp_path) as running:
        with trio.fail_after(20):
            async with open_relay(running.at()) as relay:
                with pytest.raises(ForbiddenError):
                    await relay.permit(denied, allowed)
                await relay.permit(allowed)
                with pytest.raises(ForbiddenError):
                    await relay.send_to(b"x", denied)


@pytest.mark.parametrize("kind", SERVERS)
async def test_an_ipv6_relay_is_had_over_ipv4(kind: str, tmp_path: Path) -> None:
    options = AllocateOptions(family=Family.IPV6)
    async with SERVERS[kind](tmp_path) as running:
        server = running.at()
        with trio.fail_after(20):
            async with (
                open_relay(server, options=options) as alice,
                open_relay(server, options=options) as bob,
            ):
                assert alice.relayed_address.family is Family.IPV6
                await exchange(alice, bob)


async def test_one_allocation_has_an_address_of_both_families(tmp_path: Path) -> None:
    options = AllocateOptions(both_families=True)
    async with turnd(tmp_path) as running:
        with trio.fail_after(20):
            async with open_relay(running.at(), options=options) as relay:
                families = [each.family for each in relay.relayed_addresses]
                assert sorted(families) == [Family.IPV4, Family.IPV6]
                for family in Family:
                    only = AllocateOptions(family=family)
                    async with open_relay(running.at(), options=only) as other:
                        own = next(e for e in relay.relayed_addresses if e.family is family)
                        await relay.permit(other.relayed_address)
                        await other.permit(own)
                        await relay.send_to(b"out", other.relayed_address)
                        assert await other.receive_from() == (b"out", own)
                        await other.send_to(b"back", own)
                        assert await relay.receive_from() == (b"back", other.relayed_address)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_reserved_port_is_the_next_of_an_even_one(kind: str, tmp_path: Path) -> None:
    async with SERVERS[kind](tmp_path) as running:
        with trio.fail_after(20):
            async with open_relay(
                running.at(), options=AllocateOptions(even_port=True, reserve_next=True)
            ) as first:
                token = first.allocation.reservation_token
                assert token is not None
                assert first.relayed_address.port % 2 == 0
                options = AllocateOptions(reservation_token=token)
                async with open_relay(running.at(), options=options) as second:
                    assert second.relayed_address.port == first.relayed_address.port + 1


MOBILE = configured({"mobility": {"enabled": True}}, ["mobility"])


@pytest.mark.parametrize("kind", MOBILE)
async def test_a_relay_moves_to_another_port_and_goes_on(kind: str, tmp_path: Path) -> None:
    options = AllocateOptions(mobility=True)
    async with MOBILE[kind](tmp_path) as running:
        with trio.fail_after(20):
            async with (
                open_relay(running.at(), options=options) as alice,
                open_relay(running.at()) as bob,
            ):
                await exchange(alice, bob)
                before, relayed = alice.local_address, alice.relayed_address
                links: set[int] = set()
                for _ in range(3):
                    await alice.move()
                    await trio.testing.wait_all_tasks_blocked()
                    links.add(len(alice._session._tasks._scopes))
                    assert alice.local_address != before
                    assert alice.relayed_address == relayed
                    await exchange(alice, bob)
                assert len(links) == 1  # a link that was left keeps no task


OAUTH_KEY = secrets.token_bytes(32)


def oauth_credentials(server_name: str, mac_key: bytes) -> OAuthCredentials:
    token = Token(mac_key, time.time(), 600)
    sealed = seal_token(token, OAUTH_KEY, secrets.token_bytes(12), server_name)
    return OAuthCredentials("kid-1", sealed, mac_key)


async def test_an_access_token_opens_a_relay(tmp_path: Path) -> None:
    key = {"kid": "kid-1", "key": base64.b64encode(OAUTH_KEY).decode()}
    changes: dict[str, Section] = {
        "auth": {"oauth_keys": [key], "oauth_server_name": "turn.example.org"}
    }
    credentials = oauth_credentials("turn.example.org", secrets.token_bytes(32))
    async with turnd(tmp_path, changes) as running:
        server = attrs.evolve(running.at(), credentials=credentials)
        with trio.fail_after(20):
            async with open_relay(server) as alice, open_relay(server) as bob:
                await exchange(alice, bob)
                await alice.refresh()
            forged = attrs.evolve(credentials, mac_key=secrets.token_bytes(32))
            with pytest.raises(AuthenticationError):
                async with open_relay(attrs.evolve(server, credentials=forged)):
                    pytest.fail("allocated")


@contextlib.asynccontextmanager
async def sending_on(folder: Path, kind: str, target: Running) -> AsyncIterator[Running]:
    """Run a server that sends its clients on to another."""
    plain = f"127.0.0.1:{target.server.plain_port}"
    secure = f"127.0.0.1:{target.server.secure_port}"
    changes: dict[str, Section] = {
        "redirect": {"alternate_servers": [plain], "tls_alternate_servers": [secure]}
    }
    options = [f"alternate-server={plain}", f"tls-alternate-server={secure}"]
    folder.mkdir()
    async with configured(changes, options)[kind](folder) as running:
        yield running


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_redirection_is_followed(kind: str, tmp_path: Path) -> None:
    async with turnd(tmp_path) as target, sending_on(tmp_path / "first", kind, target) as first:
        for transport in Transport:
            at_first = running_tls(first, transport, target)
            with trio.fail_after(20):
                async with open_relay(at_first) as relay:
                    assert relay.server_address == target.at(transport).address
                    assert relay.server.address == target.at(transport).address
                with pytest.raises(RedirectedError):
                    async with open_relay(at_first, follow_redirects=False):
                        pytest.fail("allocated")


def running_tls(first: Running, transport: Transport, target: Running) -> TurnServer:
    """Return the first server, its certificate and the target's both trusted."""
    server = first.at(transport)
    both = first.certificates.ca.parent / "both.pem"
    both.write_bytes(first.certificates.ca.read_bytes() + target.certificates.ca.read_bytes())
    return attrs.evolve(server, tls=attrs.evolve(server.tls, ca_file=both))


async def test_cancellation_leaves_no_allocation_on_the_server(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        for transport, host in LINKS:
            with trio.move_on_after(20) as scope:
                async with open_relay(running.at(transport, host)) as relay:
                    await relay.permit(relay.relayed_address)
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught
        await running.closed_all(opened=len(LINKS))


async def test_cancellation_while_allocating_leaves_no_allocation(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        with trio.move_on_after(20) as scope:

            def watch(event: TraceEvent) -> None:
                if isinstance(event, Exchange):
                    scope.cancel()  # the signed Allocate is being sent

            async with open_relay(running.at(), observer=watch):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        await running.closed_all(opened=1)


async def test_an_exception_of_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        with pytest.raises(LookupError, match="mine"):
            async with open_relay(running.at()):
                raise LookupError("mine")
