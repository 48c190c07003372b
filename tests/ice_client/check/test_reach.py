"""Names, addresses, ports and transports that are wrong: each is called by its name."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
import trio

from ice_client.check import verdicts as v
from ice_client.check.results import Report
from tests.ice_client.check.fake_server import fake_server, relaying
from tests.ice_client.check.kit import check, provokes
from tests.ice_client.check.name_server import name_server
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import PASSWORD, USER, free_port, running_server

NAME = "turn.example.org"

Changes = dict[str, dict[str, Any]]


@contextlib.contextmanager
def silent_udp(port: int) -> Iterator[None]:
    """Hold a UDP port without ever answering, as a firewall that drops does."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))
        yield


@contextlib.asynccontextmanager
async def tcp_that_says(first: bytes) -> AsyncIterator[int]:
    """Listen on TCP, and answer whatever comes with the same bytes."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.receive_some(4096)
                await stream.send_all(first)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_turnd_in_good_health_has_nothing_wrong(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        uris = [
            f"turn:{host}:{server.plain_port}?transport={transport}"
            for host in ("127.0.0.1", "[::1]")
            for transport in ("udp", "tcp")
        ]
        report = await check(*uris, username=USER, password=PASSWORD)
    assert report.findings == ()
    assert report.works
    assert len(report.rows) == 4
    for row in report.rows:
        assert row.works
        names = [stage.name.value for stage in row.stages]
        expected = ["connect", "binding", "allocate", "permission", "echo", "direct", "refresh"]
        assert names == expected
        assert all(stage.seconds is not None for stage in row.stages)


@pytest.mark.parametrize("name", ["turnd", "coturn"])
async def test_whole_matrix_works(name: str, tmp_path: Path) -> None:
    running = (
        running_server(tmp_path)
        if name == "turnd"
        else running_coturn(tmp_path, ["lt-cred-mech", f"user={USER}:{PASSWORD}"])
    )
    async with running as server:
        uris = [
            f"{scheme}:{host}:{port}?transport={transport}"
            for host in ("127.0.0.1", "[::1]")
            for scheme, port in (("turn", server.plain_port), ("turns", server.secure_port))
            for transport in ("udp", "tcp")
        ]
        report = await check(*uris, username=USER, password=PASSWORD)
    works = {(row.transport.value, row.family) for row in report.rows if row.works}
    assert works == {(t, f) for t in ("udp", "tcp", "tls", "dtls") for f in ("ipv4", "ipv6")}
    # The tests' own certificates are for nobody: that is all there is to say.
    assert {each.id for each in report.findings} <= {"ICE-E022", "ICE-E023", "ICE-E024"}


@provokes(v.NO_ADDRESS)
async def test_name_without_record() -> Report:
    async with name_server({}) as resolver:
        return await check(f"turn:{NAME}", changes={"name_server": resolver})


@provokes(v.RESOLVER_FAILED)
async def test_resolver_that_fails() -> Report:
    async with name_server({}, dns.rcode.SERVFAIL) as resolver:
        return await check(f"turn:{NAME}", changes={"name_server": resolver})


@provokes(v.NO_IPV6)
async def test_name_without_ipv6(tmp_path: Path) -> Report:
    zone = {(NAME, "A"): ["127.0.0.1"]}
    async with running_server(tmp_path) as server, name_server(zone) as resolver:
        return await check(
            f"turn:{NAME}:{server.plain_port}?transport=udp",
            changes={"name_server": resolver},
            username=USER,
            password=PASSWORD,
        )


@provokes(v.FAMILY_BROKEN)
async def test_family_that_is_published_and_not_served(tmp_path: Path) -> Report:
    zone = {(NAME, "A"): ["127.0.0.1"], (NAME, "AAAA"): ["::1"]}
    async with (
        running_server(tmp_path, hosts=["127.0.0.1"]) as server,
        name_server(zone) as resolver,
    ):
        return await check(
            f"turn:{NAME}:{server.plain_port}?transport=udp",
            f"turn:{NAME}:{server.plain_port}?transport=tcp",
            changes={"name_server": resolver},
            username=USER,
            password=PASSWORD,
        )


async def test_srv_records_are_used_where_the_name_has_no_address(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=["127.0.0.1"]) as server:
        zone = {
            (NAME, "TXT"): ["nothing"],
            (f"_turn._udp.{NAME}", "SRV"): [f"0 0 {server.plain_port} a.{NAME}."],
            (f"a.{NAME}", "A"): ["127.0.0.1"],
            (f"a.{NAME}", "AAAA"): [],
        }
        async with name_server(zone) as resolver:
            report = await check(
                f"turn:{NAME}",
                changes={"name_server": resolver},
                username=USER,
                password=PASSWORD,
            )
    assert [row.label for row in report.rows] == [f"udp ipv4 127.0.0.1:{server.plain_port}"]
    assert report.rows[0].works


@provokes(v.UDP_BLOCKED)
async def test_udp_that_vanishes_while_tcp_works(tmp_path: Path) -> Report:
    changes: Changes = {"listen": {"udp": []}}
    async with running_server(tmp_path, changes, hosts=["127.0.0.1"]) as server:
        with silent_udp(server.plain_port):
            return await check(
                f"turn:127.0.0.1:{server.plain_port}", username=USER, password=PASSWORD
            )


@provokes(v.NOTHING_ANSWERS)
async def test_port_where_everything_vanishes() -> Report:
    port = free_port(["127.0.0.1"])
    with silent_udp(port):
        return await check(f"stun:127.0.0.1:{port}")


@provokes(v.REFUSED)
async def test_port_where_nobody_listens() -> Report:
    return await check(f"turn:127.0.0.1:{free_port(['127.0.0.1'])}", username=USER)


@provokes(v.NOT_STUN)
async def test_web_server_in_the_servers_place() -> Report:
    async with tcp_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        return await check(f"turn:127.0.0.1:{port}?transport=tcp", username=USER)


@provokes(v.PLAIN_AS_TLS)
async def test_plain_port_given_as_tls(tmp_path: Path) -> Report:
    changes = {"listen": {"detect_tls": False}}
    async with running_server(tmp_path, changes) as server:
        return await check(f"turns:127.0.0.1:{server.plain_port}", username=USER)


@provokes(v.TLS_AS_PLAIN)
async def test_tls_port_given_as_plain(tmp_path: Path) -> Report:
    changes = {"listen": {"detect_tls": False}}
    async with running_server(tmp_path, changes) as server:
        return await check(f"turn:127.0.0.1:{server.secure_port}?transport=tcp", username=USER)


@provokes(v.TLS_FAILED)
async def test_tls_that_ends_in_an_alert() -> Report:
    handshake_failure = bytes.fromhex("15030300020228")
    async with tcp_that_says(handshake_failure) as port:
        return await check(f"turns:127.0.0.1:{port}", username=USER)


@provokes(v.TRANSPORT_MISSING)
async def test_transport_that_is_offered_and_not_served(tmp_path: Path) -> Report:
    changes: Changes = {"listen": {"tcp": []}}
    async with running_server(tmp_path, changes, hosts=["127.0.0.1"]) as server:
        port = server.plain_port
        return await check(
            f"turn:127.0.0.1:{port}?transport=udp",
            f"turn:127.0.0.1:{port}?transport=tcp",
            username=USER,
            password=PASSWORD,
        )


async def test_stun_server_is_only_asked_for_a_binding() -> None:
    async with fake_server(relaying()) as server:
        report = await check(f"stun:127.0.0.1:{server.port}")
    assert report.works
    assert [stage.name.value for stage in report.rows[0].stages] == ["connect", "binding"]
    assert report.rows[0].software == "scripted"
    assert {request.method for request in server.requests} == {1}


@provokes(v.NO_ADDRESS)
async def test_to_try_nothing_is_not_to_work() -> Report:
    report = await check("turn:127.0.0.1:9", changes={"families": frozenset({"ipv6"})})
    assert report.rows == ()
    return report
