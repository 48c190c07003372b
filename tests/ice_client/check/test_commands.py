"""ice-check as its users run it, a process of its own; and its other commands against turnd."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import attrs
import jsonschema
import pytest
import trio
from click.testing import CliRunner

from ice_client.check.check import CheckOptions, run_check
from ice_client.check.cli import main
from ice_client.check.load import LoadOptions, run_load
from ice_client.check.report_data import json_schema
from ice_client.check.results import Report
from ice_client.check.sources import parse_uri
from ice_client.check.target import Target
from ice_client.check.turncat import TcpTunnel, open_udp_tunnel
from ice_client.check.watch import WatchMetrics, serving, watch
from ice_client.turn import LongTermCredentials, Transport, TurnServer
from stun import Address
from tests.ice_client.check.sample import SAMPLE
from tests.interop.server_under_test import PASSWORD, SECRET, USER, free_port, running_server
from tests.interop.tools import REPOSITORY
from tests.natlab import FULL_CONE, Host, Nat, Topology, lab
from tests.natlab.servers import turnd_on

HOST = ["127.0.0.1"]


@attrs.frozen
class Done:
    code: int
    out: str
    err: str


async def ice_check(*arguments: str, stdin: bytes = b"", **environment: str) -> Done:
    """Run it."""
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, "-W", "error", "-m", "ice_client.check", *arguments],
            cwd=REPOSITORY,
            check=False,
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "160", **environment},
        )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_works_is_exit_code_0_and_a_table(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=HOST) as server:
        uri = f"turn:127.0.0.1:{server.plain_port}"
        done = await ice_check(uri, "-u", USER, ICE_CHECK_PASSWORD=PASSWORD)
    assert (done.code, done.err) == (0, "")
    assert "udp ipv4" in done.out
    assert "tcp ipv4" in done.out
    assert "It works: 2 of 2 ways work, 0 errors" in done.out
    assert "p99" in done.out


async def test_fails_is_exit_code_1_and_every_report_says_so(tmp_path: Path) -> None:
    junit, html = tmp_path / "junit.xml", tmp_path / "page.html"
    async with running_server(tmp_path, hosts=HOST) as server:
        uri = f"turn:127.0.0.1:{server.plain_port}?transport=udp"
        files = ("--json", "--junit", str(junit), "--html", str(html))
        done = await ice_check(uri, "--secret", "another-secret", *files)
    assert done.code == 1
    report = json.loads(done.out)
    jsonschema.Draft202012Validator(json_schema()).validate(report)
    assert [each["id"] for each in report["findings"] if each["severity"] == "error"] == [
        "ICE-E031"
    ]
    assert int(ET.parse(junit).getroot()[0].attrib["failures"]) == 2
    assert "ICE-E031" in html.read_text()
    assert "another-secret" not in done.out + junit.read_text() + html.read_text()


async def test_paste_of_a_real_check_shows_no_address_and_no_secret(tmp_path: Path) -> None:
    servers = json.dumps
    async with running_server(tmp_path, hosts=HOST) as server:
        text = servers(
            {
                "urls": [f"turn:localhost:{server.plain_port}?transport=udp"],
                "username": "u-n-known",
                "credential": "s-e-cret",
            }
        )
        done = await ice_check("-", "--paste", "--no-quality", stdin=text.encode())
    assert done.code == 1
    assert "**ICE-E030**" in done.out
    assert "loopback-ipv4-1" in done.out
    assert not re.search(r"\d+\.\d+\.\d+\.\d+|u-n-known|s-e-cret", done.out)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["http://example.org"],
        ["turn:a", "-p", "p"],
        ["turn:a", "--prometheus", "127.0.0.1:0"],
        ["turn:a", "--name-server", "nowhere"],
        ["--matrix", "example.org"],
        ["[]"],
        ["turn:a?transport=sctp", "-u", "u"],
        ["explain", "ICE-E999"],
        ["nat"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments or ["check"])
    assert done.exit_code == 2, done
    assert "Error:" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("turn.example.org", "did you mean turn:turn.example.org?"),
        ("turn.example.org:3479", "did you mean turn:turn.example.org:3479?"),
        ("./ice-servers.json", "there is no file of that name"),
    ],
)
def test_what_is_no_uri_may_be_nearly_one(text: str, says: str) -> None:
    done = CliRunner().invoke(main, [text])
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


async def test_configuration_of_the_server_is_a_target(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=HOST) as server:
        done = await ice_check("-c", str(tmp_path / "turnd.toml"), "-t", "tcp", "--no-quality")
    assert done.code == 0, done
    assert f"127.0.0.1:{server.plain_port}" in done.out
    assert SECRET not in done.out


def test_explain_and_schema() -> None:
    for name in ("ice-e014", "E014"):
        explained = CliRunner().invoke(main, ["explain", name])
        assert "A plain port is given as a TLS port" in explained.stdout
    schema = CliRunner().invoke(main, ["schema"])
    assert json.loads(schema.stdout) == json.loads(json.dumps(json_schema()))


async def test_gather_shows_reflexive_and_relayed_candidates(tmp_path: Path) -> None:
    topology = Topology(
        hosts=(Host("server", addresses=2), Host("here", on="home")),
        boxes=(Nat("home", FULL_CONE),),
    )
    with lab(topology) as net:
        uri = f"turn:{net['server'].address}"
        command = [sys.executable, "-m", "ice_client.check", "gather", uri]
        async with turnd_on(net["server"], tmp_path):
            with trio.fail_after(60):
                done = await trio.run_process(
                    net["here"].command(*command, "-u", USER, "-p", PASSWORD),
                    cwd=REPOSITORY,
                    capture_stdout=True,
                )
        found = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) \d+ typ (\w+)", done.stdout.decode())
        assert {kind: address for address, kind in found} == {
            "host": net["here"].address,
            "srflx": net.outside_address("home"),
            "relay": net["server"].address,
        }


async def test_nat_says_what_it_means(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=HOST) as server:
        done = await ice_check("nat", f"stun:127.0.0.1:{server.plain_port}")
        silent = await ice_check("nat", f"stun:127.0.0.1:{free_port(HOST)}")
    assert done.code == 0
    assert "No NAT; whether a firewall filters" in done.out
    assert silent.code == 1
    assert "TCP or TLS" in silent.out


def turn(port: int, transport: Transport = Transport.UDP) -> TurnServer:
    return TurnServer("127.0.0.1", port, transport, LongTermCredentials(USER, PASSWORD))


async def test_load_counts_what_arrives(tmp_path: Path) -> None:
    options = LoadOptions(calls=5, seconds=0.5, packets_per_second=50, size_bytes=200)
    async with running_server(tmp_path, hosts=HOST) as server:
        result = await run_load(turn(server.plain_port), options)
    assert result.calls == 5
    assert result.failures == {}
    assert (result.sent, result.received, result.loss) == (250, 250, 0.0)
    assert None not in (*result.setup, *result.latency)
    assert result.bits_per_second == 250 * 200 * 8 / 0.5


async def test_load_that_does_not_fit_says_why_and_exits_with_1(tmp_path: Path) -> None:
    changes = {"quota": {"allocations_per_user": 4}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        done = await ice_check(
            *("load", f"turn:127.0.0.1:{server.plain_port}", "-u", USER, "-p", PASSWORD),
            *("--calls", "4", "--seconds", "0.2"),
        )
    assert done.code == 1
    assert "486" in done.out
    assert re.search(r"[0-2] of 4 calls set up", done.out), done.out


async def test_turncat_carries_datagrams_of_each_source_apart(tmp_path: Path) -> None:
    log: list[str] = []
    async with running_server(tmp_path, hosts=HOST) as server, trio.open_nursery() as nursery:
        with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as peer:
            await peer.bind(("127.0.0.1", 0))
            listen = Address.parse("127.0.0.1", 0)
            there = Address.from_sockaddr(peer.getsockname())
            tunnel = await open_udp_tunnel(turn(server.plain_port), listen, there, log.append)
            where = tunnel.local_address
            nursery.start_soon(tunnel.run)
            seen = {}
            for name in (b"one", b"two"):
                with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as local, trio.fail_after(20):
                    await local.connect(where.sockaddr)
                    await local.send(name)
                    data, source = await peer.recvfrom(100)
                    await peer.sendto(data.upper(), source)
                    assert await local.recv(100) == name.upper()
                    seen[name] = source
            assert seen[b"one"] != seen[b"two"]
            assert len(log) == 2
            nursery.cancel_scope.cancel()
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as again:
        await again.bind(where.sockaddr)  # nothing was left open


async def test_turncat_carries_tcp(tmp_path: Path) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async with stream:
            while data := await stream.receive_some(65536):
                await stream.send_all(data)

    async with running_server(tmp_path, hosts=HOST) as server, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo, [listener])
        peer = Address.from_sockaddr(listener.socket.getsockname())
        log: list[str] = []
        tunnel = TcpTunnel(turn(server.plain_port, Transport.TCP), peer, log.append)
        where = await nursery.start(tunnel.run, Address.parse("127.0.0.1", 0))
        blob = bytes(range(256)) * 4000
        for _ in range(2):
            with trio.fail_after(20):
                local = await trio.open_tcp_stream(where.host, where.port)
                async with local, trio.open_nursery() as sending:
                    sending.start_soon(local.send_all, blob)
                    received = b""
                    while len(received) < len(blob):
                        received += await local.receive_some(65536)
                    assert received == blob
        nursery.cancel_scope.cancel()
    assert len(log) == 2


async def test_turncat_listens_where_it_says_until_ctrl_c(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=HOST) as server:
        command = [sys.executable, "-m", "ice_client.check", "turncat"]
        command += [f"turn:127.0.0.1:{server.plain_port}", "-u", USER, "-p", PASSWORD]
        process = await trio.lowlevel.open_process(
            [*command, "--peer", "127.0.0.1:9"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        with trio.fail_after(30):
            said = bytes(await process.stderr.receive_some(200)).decode()
        process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            assert await process.wait() == 0
        assert await process.stderr.receive_some(200) == b""
        await process.stderr.aclose()
    assert re.match(r"listening on 127\.0\.0\.1:\d+ \(UDP\), to 127\.0\.0\.1:9\n", said)


async def test_watch_checks_again_and_serves_the_last_result(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reports = [attrs.evolve(SAMPLE, works=True, findings=()), SAMPLE]
    shown: list[tuple[float, bool]] = []
    metrics = WatchMetrics()

    async def once() -> Report:
        return reports[min(len(shown), 1)]

    def show(report: Report) -> None:
        shown.append((trio.current_time(), report.works))

    start = trio.current_time()
    with trio.move_on_after(25):
        await watch(once, 10.0, metrics, show)
    assert [(round(t - start), works) for t, works in shown] == [
        (0, True),
        (10, False),
        (20, False),
    ]
    value = metrics.registry.get_sample_value
    assert value("ice_check_works") == 0
    assert value("ice_check_finding", {"id": "ICE-E054", "severity": "error"}) == 1
    labels = {"transport": "udp", "family": "ipv4", "address": "198.51.100.7:3478"}
    assert value("ice_check_stage_seconds", {**labels, "stage": "binding"}) == 0.012
    assert value("ice_check_way_works", labels) == 1
    metrics.update(reports[0])
    assert value("ice_check_finding", {"id": "ICE-E054", "severity": "error"}) is None


async def test_metrics_are_served_over_http() -> None:
    metrics = WatchMetrics()
    metrics.update(SAMPLE)
    with serving(metrics, Address.parse("127.0.0.1", 0)) as where:
        stream = await trio.open_tcp_stream(where.host, where.port)
        async with stream:
            await stream.send_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := await stream.receive_some(65536):
                answer += chunk
    assert b"200 OK" in answer
    assert b"ice_check_works 0.0" in answer


async def test_servers_with_credentials_of_their_own_are_in_one_report(tmp_path: Path) -> None:
    async with running_server(tmp_path, hosts=HOST) as server:
        uri = parse_uri(f"turn:127.0.0.1:{server.plain_port}?transport=udp")
        good = Target(uris=(uri,), username=USER, password=PASSWORD)
        bad = Target(uris=(uri,), username=USER, password="wrong")
        options = CheckOptions(quality=None, nat=False)
        report = await run_check([good, bad], options)
    assert [row.works for row in report.rows] == [True, False]
    assert [each.state.value for each in report.credentials] == ["accepted", "refused"]
