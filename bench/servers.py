"""The servers under measurement: how each is configured and started, pinned to one core.

A further server is one more class with the members of `Server`, and one line in `table()`.
Every server relays from the address it listens on over ports 49152-65535, knows one long-term user,
lets the load's addresses be peers, and has one thread that moves packets.
"""

import contextlib
import os
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

from bench import load
from bench.build import build_bare_relay
from bench.cells import Cell
from bench.load import LoadError, Target
from bench.networks import SERVER_CORE, Network
from bench.process import family

NAME = "bench"
PASSWORD = "bench"
REPOSITORY = Path(__file__).resolve().parent.parent

_ONE_QUESTION = ("--outstanding", "1", "--warmup", "0", "--seconds", "0.05")
_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 10.0

_COTURN = """\
listening-ip={address}
listening-port={port}
relay-ip={address}
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
threads = {threads}
[listen]
udp = ["{address}:{port}"]
tcp = []
tls = []
dtls = []
[relay]
addresses = ["{address}"]
{shared}
[[auth.users]]
name = "{name}"
password = "{password}"
[peers]
allow = ["{peers}"]
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

    def command(self, directory: Path, network: Network, port: int) -> list[str]:
        """Write its configuration into the directory and return its command line."""

    def takes(self, cell: Cell) -> bool:
        """Tell whether it can serve this load."""

    def version(self) -> str:
        """Return the version it tells."""


@attrs.frozen
class Coturn:
    """coturn's turnserver, by default the one of the system.

    Attributes:
        settings: further lines of its configuration; `{port}` in them stands for a port of their
            own.
    """

    name: str = "coturn"
    program: str = "turnserver"
    settings: tuple[str, ...] = ()

    def command(self, directory: Path, network: Network, port: int) -> list[str]:
        """Write turnserver.conf; no DTLS, TCP or CLI, and a user database of its own."""
        text = _COTURN.format(
            address=network.server_address,
            port=port,
            directory=directory,
            name=NAME,
            password=PASSWORD,
        )
        further = "".join(f"{line}\n".format(port=_free_port(port)) for line in self.settings)
        path = directory / "turnserver.conf"
        path.write_text(text + further)
        return [self.program, "-c", str(path)]

    def takes(self, cell: Cell) -> bool:
        """It takes everything."""
        del cell
        return True

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
    shared: bool = False
    threads: int = 1

    def command(self, directory: Path, network: Network, port: int) -> list[str]:
        """Write turnd.toml; everything not about the load keeps its default."""
        path = directory / "turnd.toml"
        path.write_text(
            _TURND.format(
                address=network.server_address,
                port=port,
                peers=network.load_network,
                datapath=self.datapath,
                threads=self.threads,
                shared="shared = true" if self.shared else "",
                name=NAME,
                password=PASSWORD,
            )
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

    def takes(self, cell: Cell) -> bool:
        """It takes everything."""
        del cell
        return True

    def version(self) -> str:
        """Return the commit of its work tree, marked if files differ from it."""
        git = ["git", "-C", str(self.repository)]
        commit = _output([*git, "rev-parse", "--short", "HEAD"]).strip()
        changed = _output([*git, "status", "--porcelain", "--", "turnd", "stun"]).strip()
        return f"{commit}{' with changes' if changed else ''}"


@attrs.frozen
class BareRelay:
    """The system calls of a relay and nothing else (bare_relay.c): the ceiling of the sockets.

    Attributes:
        mode: `plain` (recvfrom, sendto), `mmsg` (recvmmsg, sendmmsg) or `gso` (with UDP_GRO and
            UDP_SEGMENT as well).
        shared: one relayed address for all allocations.
    """

    name: str
    mode: str
    shared: bool = False

    def command(self, directory: Path, network: Network, port: int) -> list[str]:
        """Compile it if need be.

        Raises:
            BuildError: it does not compile.
        """
        del directory
        address = network.server_address
        line = [str(build_bare_relay()), self.mode, address, str(port), address]
        return [*line, "shared"] if self.shared else line

    def takes(self, cell: Cell) -> bool:
        """It relays ChannelData and answers Binding; the rest it does not do as a server would."""
        return cell.mode == "binding" or (
            cell.mode == "traffic" and "indication" not in cell.options
        )

    def version(self) -> str:
        """It is of this bench, and has none."""
        return "(bench/bare_relay.c)"


def table(*, coturn_path: Path | None = None, repository: Path = REPOSITORY) -> dict[str, Server]:
    """Return the servers by name; a coturn from elsewhere comes beside the system's.

    Args:
        coturn_path: the `turnserver` program of another coturn, 4.17 or later for the best of it.
        repository: the work tree turnd runs from.
    """
    servers: list[Server] = [
        Coturn(),
        Turnd("turnd-portable", "portable", repository),
        Turnd("turnd-native", "native", repository),
        Turnd("turnd-native-2", "native", repository, threads=2),
        Turnd("turnd-native-shared", "native", repository, shared=True),
        BareRelay("bare-plain", "plain"),
        BareRelay("bare-mmsg", "mmsg"),
        BareRelay("bare-gso", "gso"),
        BareRelay("bare-gso-shared", "gso", shared=True),
    ]
    if coturn_path is not None:
        best = ("multiplex-peer", "udp-gso", "multiplex-peer-port={port}")
        servers += [
            Coturn("coturn-other", str(coturn_path)),
            Coturn("coturn-other-multiplex", str(coturn_path), best),
        ]
    return {server.name: server for server in servers}


@contextlib.contextmanager
def running(server: Server, network: Network, program: Path) -> Iterator[Target]:
    """Start the server on a free port, wait until it answers, and end it after the body.

    Args:
        server: which.
        network: where.
        program: the load generator, which asks whether it answers.

    Raises:
        ServerError: it is not installed, ended at once or did not answer within 20 s.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place)
        port = _free_port()
        line = server.command(directory, network, port)
        if shutil.which(line[0]) is None:
            raise ServerError(f"{server.name}: {line[0]} is not installed")
        line = ["taskset", "-c", str(SERVER_CORE), *network.server_prefix, *line]
        log = directory / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(line, stdout=output, stderr=output, cwd=directory)
            try:
                question = load.command(
                    program, "binding", _ONE_QUESTION, network, Target(port, ())
                )
                _wait_until_it_answers(server, process, question, log)
                yield Target(port, family(process.pid))
            finally:
                _end(process)


def _wait_until_it_answers(
    server: Server, process: subprocess.Popen[bytes], question: list[str], log: Path
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if load.run(question, timeout=_START_TIMEOUT).done > 0:
                return
        except LoadError as error:
            raise ServerError(f"{server.name} could not be asked: {error}") from None
    told = log.read_text(errors="replace").strip()[-2000:]
    raise ServerError(f"{server.name} did not start: {told or 'it wrote nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port(after: int = 0) -> int:
    # Below both the system's own choice of ports and the relays', so that neither takes it, and not
    # the first one free: coturn shares a port with whoever has it, another bench's coturn too. What
    # is free here is free in a namespace of the bench's own.
    first = after + 1 if after else 20000 + os.getpid() % 9000
    for port in range(first, 30000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError(f"no free port between {first} and 30000")


def _output(line: list[str]) -> str:
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
