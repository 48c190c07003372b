"""Debian's coturn in turnd's place: the reference for `against_coturn.py`."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import trio
import trustme

from tests.interop.server_under_test import (
    LOOPBACK,
    REALM,
    START_TIMEOUT,
    STOP_TIMEOUT,
    ServerUnderTest,
    free_port,
)
from tests.interop.tools import tool

SCHEMA = Path("/usr/share/coturn/schema.sql")


@contextlib.asynccontextmanager
async def running_coturn(
    folder: Path,
    options: Sequence[str],
    hosts: Sequence[str] = LOOPBACK,
    *,
    alternate_host: str = "",
    oauth_keys: Sequence[dict[str, str]] = (),
) -> AsyncIterator[ServerUnderTest]:
    """Run coturn for the length of the block; then it must end on SIGTERM.

    Args:
        folder: where its files go.
        options: lines of its configuration, credentials among them: it knows only one kind
            at a time, so there is no default.
        hosts: the addresses to listen on and to relay from.
        alternate_host: its second address for RFC 5780; the second port is the next one.
        oauth_keys: rows with kid, key (base64) and algorithm.

    Raises:
        AssertionError: it does not start, or does not end.

    """
    listening = [*hosts, *filter(None, [alternate_host])]
    plain, secure = free_port(listening, span=2), free_port(listening, span=2)
    # What turnd says in its log coturn does not: there are no events here.
    server = ServerUnderTest(hosts, plain, secure, metrics_port=0)
    _write_certificate(folder)
    _write_database(folder / "coturn.sqlite", oauth_keys)
    lines = [
        *(f"listening-ip={host}" for host in listening),
        *(f"relay-ip={host}" for host in hosts),
        f"listening-port={plain}",
        f"tls-listening-port={secure}",
        f"realm={REALM}",
        "allow-loopback-peers",
        "no-cli",
        f"cert={folder / 'certificate.pem'}",
        f"pkey={folder / 'key.pem'}",
        f"userdb={folder / 'coturn.sqlite'}",
        f"pidfile={folder / 'coturn.pid'}",
        "log-file=stdout",
        *options,
    ]
    (folder / "turnserver.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder / "coturn.log"
    with log.open("wb") as stream:
        process = await trio.lowlevel.open_process(
            [tool("turnserver"), "-c", str(folder / "turnserver.conf")],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        await _wait_until_ready(server, process)
        yield server
        process.terminate()
        with trio.move_on_after(STOP_TIMEOUT):
            await process.wait()
        assert process.returncode == -signal.SIGTERM, f"exit {process.returncode}"
    except BaseException as error:
        error.add_note("coturn's log ended with:\n" + log.read_text(errors="replace")[-4000:])
        raise
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


def _write_certificate(folder: Path) -> None:
    issued = trustme.CA().issue_cert("turn.example.org")
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))


def _write_database(file: Path, oauth_keys: Sequence[dict[str, str]]) -> None:
    """Make its SQLite database, the only place where it looks for keys of RFC 7635."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.executescript(SCHEMA.read_text(encoding="utf-8"))
        database.executemany(
            "insert into oauth_key (kid, ikm_key, as_rs_alg, realm)"
            " values (:kid, :key, :algorithm, '')",
            oauth_keys,
        )


async def _wait_until_ready(server: ServerUnderTest, process: trio.Process) -> None:
    """Return once every port answers: coturn does not say when it is ready."""
    ready = False
    async with trio.open_nursery() as nursery:

        async def give_up_with_the_process() -> None:
            await process.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up_with_the_process)
        with trio.move_on_after(START_TIMEOUT):
            for host in server.hosts:
                await _answers_binding(host, server.plain_port)
                await _accepts(host, server.plain_port)
                await _accepts(host, server.secure_port)
            ready = True
        nursery.cancel_scope.cancel()
    assert ready, f"not ready, exit code {process.returncode}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _answers_binding(host: str, port: int) -> None:
    """Send Binding requests until one is answered (RFC 8489 §5)."""
    request = bytes.fromhex("000100002112a442") + secrets.token_bytes(12)
    with trio.socket.socket(_family(host), socket.SOCK_DGRAM) as sock:
        await sock.connect((host, port))
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                await sock.send(request)
                with trio.move_on_after(0.05):
                    if (await sock.recv(1500))[8:20] == request[8:]:
                        return
            # Refusals come back at once while nobody listens: a pace for asking again.
            await trio.sleep(0.02)


async def _accepts(host: str, port: int) -> None:
    """Connect until the port takes connections."""
    while True:
        with (
            trio.socket.socket(_family(host), socket.SOCK_STREAM) as sock,
            contextlib.suppress(ConnectionRefusedError),
        ):
            await sock.connect((host, port))
            return
        await trio.sleep(0.02)
