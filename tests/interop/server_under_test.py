"""turnd as its users run it, a process of its own, for foreign clients to try.

A server is ready when it says so, ends on SIGTERM, and must have had nothing to complain
of: every line of its log is read, and an error in it fails the test that ran it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.interop.tools import REPOSITORY

REALM = "example.org"
USER = "user"
PASSWORD = "pass"
SECRET = "a-shared-secret-of-a-decent-length"
LOOPBACK = ("127.0.0.1", "::1")

LOWEST_PORT = 10_000
HIGHEST_PORT = 30_000
"""Below Linux's ephemeral ports, so that no client's socket gets there first."""
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
"""Seconds; generous, because they only bound failures."""

Section = Mapping[str, Any]


def free_port(hosts: Sequence[str] = LOOPBACK, span: int = 1) -> int:
    """Return the first of `span` ports in a row that are free for UDP and TCP on all hosts."""
    for _ in range(1000):
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for host in hosts:
                for number in range(port, port + span):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        family = socket.AF_INET6 if ":" in host else socket.AF_INET
                        sock = stack.enter_context(socket.socket(family, kind))
                        sock.bind((host, number))
            return port
    raise AssertionError(f"no free port on {hosts}")


def _endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.define(slots=False)
class ServerUnderTest:
    """A running server.

    Attributes:
        hosts: the addresses it listens on and relays from.
        plain_port: UDP and TCP.
        secure_port: DTLS and TLS.
        metrics_port: HTTP on 127.0.0.1.
        log: what it has said so far, one mapping a line.

    """

    hosts: Sequence[str]
    plain_port: int
    secure_port: int
    metrics_port: int
    log: list[dict[str, Any]] = attrs.field(factory=list, repr=False)
    _noise: list[str] = attrs.field(factory=list, init=False, repr=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind of event."""
        return [line for line in self.log if line["event"] == name]

    def transports(self) -> set[str]:
        """Return the transports over which allocations were made."""
        return {line["transport"] for line in self.events("allocation-opened")}

    async def wait_until_ready(self) -> None:
        """Return once the server takes clients.

        Raises:
            AssertionError: it has ended instead, or takes too long.

        """
        with trio.move_on_after(START_TIMEOUT):
            await self._ready.wait()
        assert self._ready.is_set(), f"turnd did not start:\n{self.tail()}"
        assert not self._ended.is_set(), f"turnd ended at once:\n{self.tail()}"

    async def read_log(self, stream: trio.abc.ReceiveStream) -> None:
        """Take the log in until the process closes it."""
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line.decode())
        if rest:
            self._take(rest.decode())
        self._ended.set()
        self._ready.set()

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            self._noise.append(line)
            return
        self.log.append(entry)
        if entry["event"] == "ready":
            self._ready.set()

    def complaints(self) -> list[str]:
        """Return what a server in good health never says: errors, tracebacks, warnings of Python.

        `session-failed` is how the server tells of an exception that one session caught.
        """
        return self._noise + [
            json.dumps(line)
            for line in self.log
            if line["level"] in {"error", "critical"}
            or line["event"].endswith("session-failed")
            or "exception" in line
        ]

    def tail(self) -> str:
        """Return the last lines of the log, for people to read after a failure."""
        return "\n".join([*(json.dumps(line) for line in self.log[-40:]), *self._noise])


def configuration(server: ServerUnderTest, changes: Mapping[str, Section]) -> str:
    """Return the TOML: everything on loopback is allowed, and every kind of credential.

    Args:
        server: the ports.
        changes: keys by section, beside or instead of those here.

    """
    plain = [_endpoint(host, server.plain_port) for host in server.hosts]
    secure = [_endpoint(host, server.secure_port) for host in server.hosts]
    sections: dict[str, dict[str, Any]] = {
        "server": {"realm": REALM},
        "listen": {"udp": plain, "tcp": plain, "tls": secure, "dtls": secure},
        "relay": {"addresses": list(server.hosts)},
        "auth": {"secrets": [SECRET]},
        "peers": {"allow": [*server.hosts]},
        "metrics": {"listen": f"127.0.0.1:{server.metrics_port}"},
        # A test is one client address with the appetite of many.
        "rate_limit": {"unauthenticated_per_prefix": 0},
        "log": {"level": "debug", "format": "json"},
    }
    for name, keys in changes.items():
        sections[name] = {**sections.get(name, {}), **keys}
    sections["auth"].setdefault("users", [{"name": USER, "password": PASSWORD}])
    return "\n".join(_toml_lines(sections))


def _toml_lines(sections: Mapping[str, Section]) -> list[str]:
    lines = []
    for name, section in sections.items():
        tables = {key: value for key, value in section.items() if _is_tables(value)}
        lines.append(f"[{name}]")
        # JSON's strings, numbers, booleans and arrays are TOML's as well.
        lines += [f"{k} = {json.dumps(v)}" for k, v in section.items() if k not in tables]
        for key, rows in tables.items():
            for row in rows:
                lines.append(f"[[{name}.{key}]]")
                lines += [f"{k} = {json.dumps(v)}" for k, v in row.items()]
    return lines


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


@contextlib.asynccontextmanager
async def running_server(
    folder: Path,
    changes: Mapping[str, Section] | None = None,
    hosts: Sequence[str] = LOOPBACK,
) -> AsyncIterator[ServerUnderTest]:
    """Run turnd for the length of the block; then it must end cleanly, without complaints.

    Args:
        folder: where its configuration goes.
        changes: see `configuration`.
        hosts: the addresses to listen on.

    Raises:
        AssertionError: it does not start, or ends otherwise than with exit code 0, or its log
            has errors in it.

    """
    plain, secure = free_port(hosts, span=2), free_port(hosts, span=2)
    server = ServerUnderTest(hosts, plain, secure, free_port())
    file = folder / "turnd.toml"
    file.write_text(configuration(server, changes or {}), encoding="utf-8")
    # Python's warnings, an unclosed socket for one, are complaints as well.
    command = [sys.executable, "-W", "error", "-m", "turnd", "run", "-c", str(file)]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            assert process.stderr is not None
            nursery.start_soon(server.read_log, process.stderr)
            await server.wait_until_ready()
            yield server
            process.terminate()
            with trio.move_on_after(STOP_TIMEOUT):
                await process.wait()
            assert process.returncode == 0, f"exit {process.returncode}:\n{server.tail()}"
        except BaseException as error:
            error.add_note(f"turnd's log ended with:\n{server.tail()}")
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    complaints = server.complaints()
    assert not complaints, "turnd complained:\n" + "\n".join(complaints)
