"""Relays that are misconfigured: the address, the ports, the quotas, the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ice_client.check import verdicts as v
from ice_client.check.results import Outcome, Report, StageName
from ice_client.turn import LongTermCredentials, TurnServer, open_relay
from stun import Address, Message, Method
from stun import attributes as a
from tests.ice_client.check.fake_relay import fake_relay
from tests.ice_client.check.fake_server import bound, challenge, error, fake_server, is_signed
from tests.ice_client.check.kit import check, provokes
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import PASSWORD, USER, running_server

HOST = ["127.0.0.1"]
COTURN_USER = ["lt-cred-mech", f"user={USER}:{PASSWORD}"]
WHO: dict[str, Any] = {"username": USER, "password": PASSWORD}
Changes = dict[str, dict[str, Any]]


async def test_coturn_in_good_health_has_nothing_wrong(tmp_path: Path) -> None:
    async with running_coturn(tmp_path, COTURN_USER, hosts=HOST) as server:
        report = await check(f"turn:127.0.0.1:{server.plain_port}", **WHO)
    assert report.findings == ()
    assert report.works
    assert [row.works for row in report.rows] == [True, True]


@provokes(v.PRIVATE_RELAY)
async def test_relayed_address_that_is_private_at_turnd(tmp_path: Path) -> Report:
    changes: Changes = {"relay": {"external": ["10.99.0.1/127.0.0.1"]}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.PRIVATE_RELAY)
async def test_relayed_address_that_is_private_at_coturn(tmp_path: Path) -> Report:
    options = [*COTURN_USER, "external-ip=10.99.0.1/127.0.0.1"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.RELAY_PORTS_BLOCKED)
async def test_relay_ports_that_nothing_from_outside_reaches(tmp_path: Path) -> Report:
    # The relayed address is one of this machine where the server's sockets are not: what a
    # firewall makes of the port range. turnd still delivers between its own allocations.
    changes: Changes = {"relay": {"external": ["127.0.0.9/127.0.0.1"]}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        report = await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)
    assert report.rows[0].passed(StageName.ECHO)
    return report


@provokes(v.PERMISSION_REFUSED)
async def test_server_that_denies_its_own_address(tmp_path: Path) -> Report:
    options = [*COTURN_USER, "denied-peer-ip=127.0.0.0-127.255.255.255"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.QUOTA)
async def test_quota_of_the_user_reached_at_turnd(tmp_path: Path) -> Report:
    changes: Changes = {"quota": {"allocations_per_user": 1}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await _while_another_is_open(server.plain_port)


@provokes(v.QUOTA)
async def test_quota_of_the_user_reached_at_coturn(tmp_path: Path) -> Report:
    options = [*COTURN_USER, "user-quota=1"]
    async with running_coturn(tmp_path, options, hosts=HOST) as server:
        return await _while_another_is_open(server.plain_port)


@provokes(v.NO_CAPACITY)
async def test_no_relay_port_left(tmp_path: Path) -> Report:
    changes: Changes = {"relay": {"ports": "40001-40001"}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await _while_another_is_open(server.plain_port)


async def _while_another_is_open(port: int) -> Report:
    credentials = LongTermCredentials(USER, PASSWORD)
    async with open_relay(TurnServer("127.0.0.1", port, credentials=credentials)):
        return await check(f"turn:127.0.0.1:{port}?transport=udp", **WHO)


async def test_quota_of_one_allocation_leaves_the_echo_out_and_is_no_error(tmp_path: Path) -> None:
    changes: Changes = {"quota": {"allocations_per_user": 1}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        report = await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)
    assert report.works
    (row,) = report.rows
    echo = row.stage(StageName.ECHO)
    assert echo is not None
    assert echo.outcome is Outcome.SKIPPED
    assert "486" in echo.detail
    assert row.passed(StageName.DIRECT)


@provokes(v.REDIRECTED)
async def test_redirection_at_turnd(tmp_path: Path) -> Report:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with running_server(tmp_path / "a", hosts=HOST) as target:
        changes: Changes = {
            "redirect": {"alternate_servers": [f"127.0.0.1:{target.plain_port}"]},
        }
        async with running_server(tmp_path / "b", changes, hosts=HOST) as server:
            return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.REDIRECT_LOOP)
async def test_redirection_to_itself() -> Report:
    def script(request: Message, client: Address) -> Message:
        if request.method == Method.BINDING:
            return bound(request, client)
        if not is_signed(request):
            return challenge(request)
        itself = Address.parse("127.0.0.1", server.port)
        return error(request, 300, a.ALTERNATE_SERVER.of(itself))

    async with fake_server(script) as server:
        return await check(f"turn:127.0.0.1:{server.port}?transport=udp", **WHO)


@provokes(v.FAMILY_NOT_RELAYED)
async def test_server_that_does_not_relay_ipv6(tmp_path: Path) -> Report:
    changes: Changes = {"relay": {"addresses": ["127.0.0.1"]}}
    async with running_server(tmp_path, changes) as server:
        report = await check(f"turn:[::1]:{server.plain_port}?transport=udp", **WHO)
    relayed = report.rows[0].relayed_address
    assert relayed is not None
    assert relayed.startswith("127.0.0.1:")
    return report


@provokes(v.NOT_TURN)
async def test_server_that_only_does_stun(tmp_path: Path) -> Report:
    async with running_coturn(tmp_path, [*COTURN_USER, "stun-only"], hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.ALLOCATE_REFUSED)
async def test_turnd_that_relays_nothing(tmp_path: Path) -> Report:
    changes: Changes = {"relay": {"udp": False, "tcp": False}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)


@provokes(v.REFRESH_FAILED)
async def test_refresh_that_reaches_another_server() -> Report:
    def script(request: Message, _client: Address) -> Message | None:
        if request.method == Method.REFRESH and is_signed(request):
            return error(request, 437)
        return None

    async with fake_relay(script=script) as server:
        return await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username="user", password="pass"
        )


async def test_way_back_that_is_closed_is_no_closed_relay() -> None:
    async with fake_relay() as server:
        server.state.answers_peers = False
        report = await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username="user", password="pass"
        )
    assert report.works
    direct = report.rows[0].stage(StageName.DIRECT)
    assert direct is not None
    assert direct.outcome is Outcome.OK
    assert direct.detail == "there; nothing came back"
    assert direct.seconds is not None
    assert direct.seconds < 0.5


@provokes(v.RELAY_TO_RELAY_FAILS)
async def test_relays_that_do_not_reach_one_another() -> Report:
    async with fake_relay(own_peers=False) as server:
        return await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username="user", password="pass"
        )


@provokes(v.LOOPBACK_REACHABLE, v.PRIVATE_REACHABLE, v.METADATA_REACHABLE)
async def test_peers_that_no_relay_should_reach(tmp_path: Path) -> Report:
    changes: Changes = {"peers": {"allow": ["0.0.0.0/0"]}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}?transport=udp",
            changes={"own_server": True},
            **WHO,
        )


async def test_peers_are_not_asked_for_at_a_server_that_is_somebody_elses(tmp_path: Path) -> None:
    changes: Changes = {"peers": {"allow": ["0.0.0.0/0"]}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        report = await check(f"turn:127.0.0.1:{server.plain_port}?transport=udp", **WHO)
    assert report.peers == ()
    assert report.findings == ()
