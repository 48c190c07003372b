"""Debian's Prosody as an XMPP server of example.org, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import attrs
import trio
import trustme

from tests.interop.server_under_test import START_TIMEOUT, STOP_TIMEOUT, free_port
from tests.interop.tools import tool

DOMAIN = "example.org"
ACCOUNT = f"alice@{DOMAIN}"
PASSWORD = "wonder, land=1"


@attrs.frozen
class Prosody:
    """A running one: STARTTLS on `port`, TLS at once on `secure_port`."""

    port: int
    secure_port: int
    ca_file: Path
    log: Path


@contextlib.asynccontextmanager
async def running_prosody(
    folder: Path, modules: tuple[str, ...] = (), settings: Mapping[str, object] | None = None
) -> AsyncIterator[Prosody]:
    """Run Prosody for the length of the block.

    Args:
        folder: where its files go.
        modules: beside those for a login.
        settings: strings, numbers, booleans or lists of strings.

    """
    ca = trustme.CA()
    issued = ca.issue_cert(DOMAIN)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "xmpp.pem"))
    issued.private_key_pem.write_to_path(str(folder / "xmpp.key"))
    accounts = folder / "data" / DOMAIN.replace(".", "%2e") / "accounts"
    accounts.mkdir(parents=True)
    (accounts / "alice.dat").write_text(f'return {{ ["password"] = {json.dumps(PASSWORD)} }};\n')
    log = folder / "prosody.log"
    server = Prosody(free_port(["127.0.0.1"]), free_port(["127.0.0.1"]), folder / "ca.pem", log)
    lines = {
        "run_as_root": os.getuid() == 0,
        "data_path": str(folder / "data"),
        "pidfile": str(folder / "prosody.pid"),
        "interfaces": ["127.0.0.1"],
        "c2s_ports": [server.port],
        "c2s_direct_tls_ports": [server.secure_port],
        "modules_enabled": ["saslauth", "tls", "disco", "posix", *modules],
        "modules_disabled": ["s2s", "offline"],
        "authentication": "internal_plain",
        **(settings or {}),
    }
    text = "".join(f"{key} = {_lua(value)}\n" for key, value in lines.items())
    text += f'log = {{ debug = "{log}" }}\n'
    text += f'ssl = {{ key = "{folder}/xmpp.key", certificate = "{folder}/xmpp.pem" }}\n'
    text += f'VirtualHost "{DOMAIN}"\n'
    file = folder / "prosody.cfg.lua"
    file.write_text(text, encoding="utf-8")
    with (folder / "prosody.out").open("wb") as out:
        process = await trio.lowlevel.open_process(
            [tool("prosody"), "-F", "--config", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await _wait_until_ready(server, process)
        yield server
        process.terminate()
        with trio.fail_after(STOP_TIMEOUT):
            await process.wait()
    except BaseException as error:
        said = (folder / "prosody.out").read_text(errors="replace")
        logged = log.read_text(errors="replace") if log.exists() else ""
        error.add_note(f"Prosody ended with:\n{said[-2000:]}\n{logged[-4000:]}")
        raise
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


def _lua(value: object) -> str:
    if isinstance(value, list):
        return "{ " + "; ".join(_lua(each) for each in value) + " }"
    return json.dumps(value)


async def _wait_until_ready(server: Prosody, process: trio.Process) -> None:
    """Return once both ports take connections: it opens them when the rest is done."""
    with trio.fail_after(START_TIMEOUT):
        for port in (server.port, server.secure_port):
            while True:
                assert process.poll() is None, "Prosody ended at once"
                with contextlib.suppress(OSError):
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                await trio.sleep(0.02)
