"""The servers under measurement: how each is configured and started, pinned to one core.

A further server is one more class with a `name` and a `command()`, and one line in `table()`.
Every server relays from 127.0.0.1 over ports 49152-65535, knows one long-term user, lets peers on
loopback addresses, and has one thread that moves packets.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import attrs

from bench.load import Target
from bench.process import family

SERVER_CORE = 0
NAME = "bench"
PASSWORD = "bench"
REPOSITORY = Path(__file__).resolve().parent.parent

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 10.0
# RFC 8489 6: a Binding request with no attributes; the transaction ID is anyone's.
_BINDING_REQUEST = bytes.fromhex("000100002112a442") + b"bench is here"[:12]
_BINDING_SUCCESS = bytes.fromhex("0101")

_COTURN = """\
listening-ip=127.0.0.1
listening-port={port}
relay-ip=127.0.0.1
relay-threads=1
min-port=49152
max-port=65535
lt-cred-mech
realm=bench
user={name}:{password}
allow-loopback-peers
no-tcp
no-tls
no-dtls
no-cli
no-stdout-log
log-file={directory}/coturn.log
simple-log
pidfile={directory}/coturn.pid
userdb={directory}/turndb
"""

_TURND = """\
[server]
realm = "bench"
datapath = "{datapath}"
threads = 1
[listen]
udp = ["127.0.0.1:{port}"]
tcp = []
tls = []
dtls = []
[relay]
addresses = ["127.0.0.1"]
[[auth.users]]
name = "{name}"
password = "{password}"
[peers]
allow = ["127.0.0.0/8"]
[rate_limit]
unauthenticated_per_prefix = 0
[metrics]
listen = ""
[log]
level = "error"
"""


class ServerError(Exception):
    """A server did not start; the message holds the end of what it wrote."""


class Server(Protocol):
    """A server that can be measured."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    def command(self, directory: Path, port: int) -> list[str]:
        """Write its configuration into the directory and return its command line."""

    def version(self) -> str:
        """Return the version it tells."""


@attrs.frozen
class Coturn:
    """coturn's turnserver, by default the one of the system."""

    name: str = "coturn"
    program: str = "turnserver"

    def command(self, directory: Path, port: int) -> list[str]:
        """Write turnserver.conf; no DTLS, TCP or CLI, and a user database of its own."""
        text = _COTURN.format(port=port, directory=directory, name=NAME, password=PASSWORD)
        path = directory / "turnserver.conf"
        path.write_text(text)
        return [self.program, "-c", str(path)]

    def version(self) -> str:
        """Return the last line of `turnserver --version`, where coturn puts it."""
        told = _output([self.program, "--version"]).split()
        return told[-1] if told else "unknown"


@attrs.frozen
class Turnd:
    """turnd on one of its datapaths, from this work tree or another."""

    name: str
    datapath: str
    repository: Path = REPOSITORY

    def command(self, directory: Path, port: int) -> list[str]:
        """Write turnd.toml; everything not about the load keeps its default."""
        path = directory / "turnd.toml"
        path.write_text(
            _TURND.format(port=port, datapath=self.datapath, name=NAME, password=PASSWORD)
        )
        # Importing by PYTHONPATH and not by the current directory leaves the latter to the bench.
        return [
            "env",
            f"PYTHONPATH={self.repository}",
            sys.executable,
            "-m",
            "turnd",
            "run",
            "-c",
            str(path),
        ]

    def version(self) -> str:
        """Return the commit of its work tree, marked if files differ from it."""
        git = ["git", "-C", str(self.repository)]
        commit = _output([*git, "rev-parse", "--short", "HEAD"]).strip()
        changed = _output([*git, "status", "--porcelain", "--", "turnd", "stun"]).strip()
        return f"{commit}{' with changes' if changed else ''}"


def table(*, coturn_path: Path | None = None, repository: Path = REPOSITORY) -> dict[str, Server]:
    """Return the servers by name; a coturn from elsewhere comes beside the system's.

    Args:
        coturn_path: the `turnserver` program of another coturn.
        repository: the work tree turnd runs from.
    """
    servers: list[Server] = [
        Coturn(),
        Turnd("turnd-portable", "portable", repository),
        Turnd("turnd-native", "native", repository),
    ]
    if coturn_path is not None:
        servers.append(Coturn("coturn-other", str(coturn_path)))
    return {server.name: server for server in servers}


@contextlib.contextmanager
def running(server: Server) -> Iterator[Target]:
    """Start the server on a free port, wait until it answers, and end it after the body.

    Raises:
        ServerError: it is not installed, ended at once or did not answer within 20 s.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place)
        port = _free_port()
        line = ["taskset", "-c", str(SERVER_CORE), *server.command(directory, port)]
        if shutil.which(line[3]) is None:
            raise ServerError(f"{server.name}: {line[3]} is not installed")
        log = directory / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(line, stdout=output, stderr=output, cwd=directory)
            try:
                _wait_until_it_answers(server, process, port, log)
                yield Target(port, family(process.pid))
            finally:
                _end(process)


def _wait_until_it_answers(
    server: Server, process: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.1)
        while time.monotonic() < deadline and process.poll() is None:
            try:
                client.send(_BINDING_REQUEST)
                if client.recv(2048).startswith(_BINDING_SUCCESS):
                    return
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                time.sleep(0.05)
    told = log.read_text(errors="replace").strip()[-2000:]
    raise ServerError(f"{server.name} did not start: {told or 'it wrote nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    # Below both the system's own choice of ports and the relays', so that neither takes it.
    for port in range(20000, 30000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free port between 20000 and 30000")


def _output(line: list[str]) -> str:
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
