"""turnd and coturn on a host of a lab, with what NATs need: two addresses, and port 443.

A host is a machine of its own, so ports are those of the books: 3478 for UDP and TCP, 5349
for TLS and DTLS, 443 for TLS through firewalls.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import trio

from tests.interop.server_under_test import (
    PASSWORD,
    REALM,
    START_TIMEOUT,
    STOP_TIMEOUT,
    USER,
    Section,
    ServerUnderTest,
    configuration,
)
from tests.interop.tools import REPOSITORY, tool
from tests.natlab.lab import LabHost

PLAIN_PORT, SECURE_PORT, TLS_443, ALTERNATE_PORT = 3478, 5349, 443, 3479
_METRICS_PORT = 9641


@contextlib.asynccontextmanager
async def _process(
    host: LabHost, command: Sequence[str], *, stdout: int | None, stderr: int
) -> AsyncIterator[trio.Process]:
    """Run a program for the length of the block, then end it by SIGTERM."""
    process = await trio.lowlevel.open_process(
        host.command(*command),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield process
        process.terminate()
        with trio.move_on_after(STOP_TIMEOUT):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def _bracketed(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@contextlib.asynccontextmanager
async def turnd_on(
    host: LabHost, folder: Path, changes: Mapping[str, Section] | None = None
) -> AsyncIterator[ServerUnderTest]:
    """Run turnd on a host that has two IPv4 addresses, for the length of the block.

    Its credentials are those of `tests.interop.server_under_test`; its policy on peers is
    turnd's own, without exceptions for tests.

    Args:
        host: where. The first address serves and relays, the second is for RFC 5780, and
            the IPv6 address, if there is one, serves and relays as well.
        folder: where its configuration goes.
        changes: to its configuration, keys by section.

    Raises:
        AssertionError: it does not start, or ends otherwise than with exit code 0, or its log
            has errors in it.

    """
    first, second, *ipv6 = host.addresses
    server = ServerUnderTest([first, *ipv6], PLAIN_PORT, SECURE_PORT, _METRICS_PORT)
    secure = [_bracketed(each, SECURE_PORT) for each in server.hosts]
    sections: dict[str, Section] = {
        "listen": {
            "udp": [_bracketed(each, PLAIN_PORT) for each in server.hosts],
            "tcp": [_bracketed(each, PLAIN_PORT) for each in server.hosts],
            "tls": [*secure, *(_bracketed(each, TLS_443) for each in server.hosts)],
            "dtls": secure,
        },
        "peers": {"allow": []},
        "nat_discovery": {"alternate_address": second, "alternate_port": ALTERNATE_PORT},
        **(changes or {}),
    }
    file = folder / "turnd.toml"
    file.write_text(configuration(server, sections), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "turnd", "run", "-c", str(file)]
    async with trio.open_nursery() as nursery:
        try:
            async with _process(host, command, stdout=None, stderr=subprocess.PIPE) as process:
                assert process.stderr is not None
                nursery.start_soon(server.read_log, process.stderr)
                await server.wait_until_ready()
                yield server
            assert process.returncode == 0, f"exit {process.returncode}"
        except BaseException as error:
            error.add_note(f"turnd's log ended with:\n{server.tail()}")
            raise
    complaints = server.complaints()
    assert not complaints, "turnd complained:\n" + "\n".join(complaints)


@contextlib.asynccontextmanager
async def coturn_on(host: LabHost, folder: Path) -> AsyncIterator[None]:
    """Run coturn on a host that has two IPv4 addresses, for the length of the block.

    Raises:
        AssertionError: it does not answer, or does not end.

    """
    lines = [
        *(f"listening-ip={address}" for address in host.addresses),
        f"relay-ip={host.address}",
        f"listening-port={PLAIN_PORT}",
        f"alt-listening-port={ALTERNATE_PORT}",
        "no-tls",
        "no-dtls",
        "no-cli",
        f"realm={REALM}",
        "lt-cred-mech",
        f"user={USER}:{PASSWORD}",
        f"userdb={folder / 'coturn.sqlite'}",
        f"pidfile={folder / 'coturn.pid'}",
        "log-file=stdout",
    ]
    file = folder / "turnserver.conf"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder / "coturn.log"
    with log.open("wb") as stream:
        try:
            command = [tool("turnserver"), "-c", str(file)]
            output = {"stdout": stream.fileno(), "stderr": subprocess.STDOUT}
            async with _process(host, command, **output) as process:
                with trio.fail_after(START_TIMEOUT):
                    await _until_it_answers(host)
                yield
            assert process.returncode == -signal.SIGTERM, f"exit {process.returncode}"
        except BaseException as error:
            error.add_note("coturn's log ended with:\n" + log.read_text(errors="replace")[-4000:])
            raise


async def _until_it_answers(host: LabHost) -> None:
    """Send Binding requests until one is answered: coturn does not say when it is ready."""
    request = bytes.fromhex("000100002112a442") + secrets.token_bytes(12)
    with trio.socket.from_stdlib_socket(host.bound_socket()) as sock:
        while True:
            with trio.move_on_after(0.05):
                await sock.sendto(request, (host.address, PLAIN_PORT))
                if (await sock.recv(1500))[8:20] == request[8:]:
                    return
