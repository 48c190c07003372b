"""turnd as its users start it: a process, a configuration file, signals."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60.0


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
    metrics_port: int
    log: Path

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            body: bytes = answer.read()
        return body.decode()

    def log_lines(self) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def wait_until_ready(server: ServerUnderTest) -> None:
    """Follow the log until the server says that it is ready."""
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
