"""turnd as its users start it: a process, a configuration file, signals."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
REALM = "example.org"
USER, PASSWORD = "user", "pass"
SECRET = "0123456789abcdef-shared"
OAUTH_KEYS = {  # turnutils_uclient has these built in
    "north": (b"01234567890123456789012345678901", "A256GCM"),
    "union": (b"1234567890123456", "A128GCM"),
    "oldempire": (b"12345678901234567890123456789012", "A256GCM"),
}
START_TIMEOUT = 30.0


def require(tool: str) -> str:
    """Find a foreign program; a missing one fails the test that needs it."""
    path = shutil.which(tool)
    assert path is not None, f"{tool} is missing; `make test` installs it"
    return path


def free_port(hosts: list[str]) -> int:
    """Find a port that is free for UDP and TCP on all hosts."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(12000)
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with socket.socket(family, kind) as probe:
                        probe.bind((host, port))
        except OSError:
            continue
        return port
    raise AssertionError("no free port")


@attrs.frozen
class ServerUnderTest:
    """A running turnd."""

    process: subprocess.Popen[bytes]
    port: int
    tls_port: int
    metrics_port: int
    log: Path

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            body: bytes = answer.read()
        return body.decode()

    def log_lines(self) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def configuration(hosts: list[str], port: int, tls_port: int, metrics_port: int) -> str:
    def endpoints(number: int) -> str:
        return json.dumps([f"[{h}]:{number}" if ":" in h else f"{h}:{number}" for h in hosts])

    keys = "".join(
        f'[[auth.oauth_keys]]\nkid = "{kid}"\nalgorithm = "{algorithm}"\n'
        f'key = "{base64.b64encode(key).decode()}"\n'
        for kid, (key, algorithm) in OAUTH_KEYS.items()
    )
    return f"""
[server]
realm = "{REALM}"
[listen]
udp = {endpoints(port)}
tcp = {endpoints(port)}
tls = {endpoints(tls_port)}
dtls = {endpoints(tls_port)}
[auth]
secrets = ["{SECRET}"]
oauth_server_name = "turn.example.org"
[[auth.users]]
name = "{USER}"
password = "{PASSWORD}"
{keys}
[relay]
addresses = {json.dumps(hosts)}
[peers]
allow = ["127.0.0.0/8", "::1/128"]
[mobility]
enabled = true
[nat_discovery]
alternate_address = "127.0.0.2"
alternate_port = {free_port(["127.0.0.1", "127.0.0.2"])}
[metrics]
listen = "127.0.0.1:{metrics_port}"
[log]
format = "json"
level = "debug"
"""


@contextmanager
def running_server(hosts: list[str], folder: Path) -> Iterator[ServerUnderTest]:
    """Start turnd on those hosts, and have it end cleanly."""
    port, tls_port = free_port([*hosts, "127.0.0.2"]), free_port(hosts)
    metrics_port = free_port(["127.0.0.1"])
    config = folder / "turnd.toml"
    config.write_text(configuration(hosts, port, tls_port, metrics_port))
    log = folder / "turnd.log"
    engine = os.environ.get("TURND_SERVER__DATAPATH")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnd", "run", "-c", str(config)],
            cwd=ROOT,
            stderr=stream,
            env=os.environ | ({"TURND_SERVER__DATAPATH": engine} if engine else {}),
        )
    try:
        server = ServerUnderTest(process, port, tls_port, metrics_port, log)
        wait_until_ready(server)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
        assert not [line for line in server.log_lines() if line["level"] == "error"]
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def wait_until_ready(server: ServerUnderTest) -> None:
    """Follow the log until the server says that it is ready."""
    import selectors
    import time

    deadline = time.monotonic() + START_TIMEOUT
    with selectors.DefaultSelector() as selector:
        pidfd = os.pidfd_open(server.process.pid)
        selector.register(pidfd, selectors.EVENT_READ)
        try:
            while '"event": "ready"' not in server.log.read_text():
                assert not selector.select(0.05), f"turnd ended:\n{server.log.read_text()}"
                assert time.monotonic() < deadline, server.log.read_text()
        finally:
            os.close(pidfd)
