"""coturn's own test tools against turnd: no message may be lost on loopback."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.e2e.server import (
    PASSWORD,
    SECRET,
    USER,
    ServerUnderTest,
    free_port,
    require,
)

MESSAGES, CLIENTS = 20, 2
LOGIN = ["-u", USER, "-w", PASSWORD]
V4, V6 = "127.0.0.1", "::1"
PEER, PEER6 = ["-e", V4], ["-e", V6]
UDP: list[str] = []
TCP, TLS, DTLS = ["-t"], ["-t", "-S"], ["-S"]

# Options, then the server's address; `-c` leaves RTCP's second allocations out.
RUNS: dict[str, tuple[list[str], str]] = {
    f"{name} {what}": ([*transport, *LOGIN, *options], V4)
    for name, transport in {"udp": UDP, "tcp": TCP, "tls": TLS, "dtls": DTLS}.items()
    for what, options in {
        "channels to a peer": PEER,
        "indications to a peer": [*PEER, "-s"],
        "channels between clients": ["-y"],
        "indications between clients": ["-y", "-s"],
    }.items()
}
RUNS |= {
    "ipv6 client": ([*LOGIN, "-x", *PEER6], V6),
    "ipv6 clients to each other": ([*LOGIN, "-x", "-y"], V6),
    "ipv4 client with ipv6 relay": ([*LOGIN, "-x", *PEER6], V4),
    "ipv6 client with ipv4 relay": ([*LOGIN, "-X", *PEER], V6),
    "ipv6 client over tls": ([*TLS, *LOGIN, "-X", *PEER], V6),
    "ipv6 client over dtls": ([*DTLS, *LOGIN, "-x", *PEER6], V6),
    "both families in one allocation": ([*LOGIN, "-Z", *PEER], V4),
    "tcp relay": ([*LOGIN, "-T"], V4),
    "tcp relay over tls": ([*LOGIN, "-T", "-S"], V4),
    "time-limited credentials": (["-W", SECRET, "-u", "joe", *PEER], V4),
    "oauth tokens": (["-J", *LOGIN, *PEER], V4),
    "mobility": ([*LOGIN, "-M", *PEER], V4),
    "mobility over tcp": ([*TCP, *LOGIN, "-M", *PEER], V4),
    "dont-fragment": ([*LOGIN, "-g", "-s", *PEER], V4),
    "padded channels": ([*LOGIN, "-D", *PEER], V4),
    "extra requests": ([*LOGIN, "-G", *PEER], V4),
    "large messages": ([*LOGIN, *PEER, "-l", "1400"], V4),
    "large messages over tls": ([*TLS, *LOGIN, *PEER, "-l", "1400"], V4),
}

Outcome = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def peer_port() -> Iterator[int]:
    port = free_port([V4, V6])
    process = subprocess.Popen(
        [require("turnutils_peer"), "-L", V4, "-L", V6, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def uclient(server: ServerUnderTest, peer_port: int, options: list[str], host: str) -> Outcome:
    port = server.tls_port if "-S" in options else server.port
    return subprocess.run(
        [
            *(require("turnutils_uclient"), "-p", str(port), "-r", str(peer_port), "-c"),
            *("-n", str(MESSAGES), "-m", str(CLIENTS), "-z", "5", *options, host),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture(scope="module")
def outcomes(server: ServerUnderTest, peer_port: int) -> Iterator[dict[str, Future[Outcome]]]:
    """Start all runs side by side: the tool spends most of its time waiting."""
    with ThreadPoolExecutor(10) as pool:
        yield {
            name: pool.submit(uclient, server, peer_port, options, host)
            for name, (options, host) in RUNS.items()
        }


@pytest.mark.parametrize("name", RUNS)
def test_uclient_loses_nothing(outcomes: dict[str, Future[Outcome]], name: str) -> None:
    outcome = outcomes[name].result()
    output = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, output
    totals = re.findall(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)
    expected = str(MESSAGES * CLIENTS)
    assert totals == [(expected, expected)], output
    assert "Total lost packets 0 " in output, output


def test_uclient_with_a_wrong_password_is_refused(server: ServerUnderTest, peer_port: int) -> None:
    outcome = uclient(server, peer_port, ["-u", USER, "-w", "wrong", *PEER], V4)
    output = outcome.stdout + outcome.stderr
    assert outcome.returncode != 0
    assert "Cannot complete Allocation" in output
    assert "tot_recv_msgs=40" not in output


@pytest.fixture
def quiet_server(server: ServerUnderTest, outcomes: dict[str, Future[Outcome]]) -> ServerUnderTest:
    """Wait for the runs: these tools give up on an answer after a moment, without asking again."""
    for outcome in outcomes.values():
        outcome.result()
    return server


def test_stunclient_learns_its_address_and_the_servers_other_one(
    quiet_server: ServerUnderTest,
) -> None:
    outcome = subprocess.run(
        [require("turnutils_stunclient"), "-p", str(quiet_server.port), V4],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    output = outcome.stdout + outcome.stderr
    assert re.search(r"UDP reflexive addr: 127\.0\.0\.1:\d+", output), output
    assert "Other addr: : 127.0.0.2:" in output, output


@pytest.mark.parametrize(
    ("flag", "verdict"),
    [
        ("-m", "NAT with Endpoint Independent Mapping|No NAT detected"),
        ("-f", "NAT with Endpoint Independent Filtering"),
        ("-H", "successful hairpinning"),
    ],
    ids=["mapping", "filtering", "hairpinning"],
)
def test_natdiscovery_reaches_its_verdict(
    quiet_server: ServerUnderTest, flag: str, verdict: str
) -> None:
    outcome = subprocess.run(
        [require("turnutils_natdiscovery"), flag, "-L", V4, "-p", str(quiet_server.port), V4],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = outcome.stdout + outcome.stderr
    assert re.search(verdict, output), output


def test_metrics_tell_what_was_relayed(quiet_server: ServerUnderTest) -> None:
    metrics = quiet_server.metrics()
    for transport in ("udp", "tcp", "tls", "dtls"):
        line = f'turnd_packets_total{{direction="to_peer",family="ipv4",transport="{transport}"}}'
        (value,) = [row.split()[-1] for row in metrics.splitlines() if row.startswith(line)]
        assert float(value) >= MESSAGES * CLIENTS
    assert 'turnd_handshakes_total{outcome="completed",transport="dtls"}' in metrics
