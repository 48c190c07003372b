"""The command `python -m bench.ice`: how long agents take from start to connected.

Two agents of ours, then two of aioice's, by turns, in one process each pair, signalling in memory:
what is timed is everything from making the agents until both are connected. It runs in a network
namespace of its own with one interface and a turnd, as neither must see this machine's addresses.
"""

import asyncio
import contextlib
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aioice
import attrs
import click
import trio

from ice_client import (
    Agent,
    AgentOptions,
    IceServer,
    InterfaceFilter,
    LongTermCredentials,
    Policy,
    format_candidate,
    open_ice_agent,
)
from stun import Family

ADDRESS = "10.98.0.1"
PORT = 3478
USER = PASSWORD = "bench"
START_TIMEOUT = 30.0
CONNECT_TIMEOUT = 20.0

_TURND = f"""
[server]
realm = "bench"
[listen]
udp = ["{ADDRESS}:{PORT}"]
[relay]
addresses = ["{ADDRESS}"]
[auth]
users = [{{ name = "{USER}", password = "{PASSWORD}" }}]
[peers]
allow = ["{ADDRESS}"]
[rate_limit]
unauthenticated_per_prefix = 0
[log]
format = "json"
"""


@attrs.frozen
class Cell:
    """A way to connect.

    Attributes:
        name: what the table calls it.
        stun: whether a STUN server is asked as well.
        relay: whether relays alone are used.
    """

    name: str
    stun: bool = False
    relay: bool = False


CELLS = (Cell("host"), Cell("host and STUN server", stun=True), Cell("relay", relay=True))


async def _tell(teller: Agent, listener: Agent) -> None:
    listener.set_remote_credentials(teller.local_credentials)
    async for candidate in teller.local_candidates():
        await listener.add_remote_candidate(format_candidate(candidate))
    await listener.add_remote_candidate(None)


async def _connect_ours(cell: Cell) -> float:
    servers = []
    if cell.stun:
        servers.append(IceServer(f"stun:{ADDRESS}:{PORT}"))
    if cell.relay:
        credentials = LongTermCredentials(USER, PASSWORD)
        servers.append(IceServer(f"turn:{ADDRESS}:{PORT}?transport=udp", credentials))
    options = AgentOptions(
        servers=servers,
        policy=Policy.RELAY if cell.relay else Policy.ALL,
        interfaces=InterfaceFilter(families=[Family.IPV4]),
    )
    started = time.perf_counter()
    async with (
        open_ice_agent(controlling=True, options=options) as one,
        open_ice_agent(controlling=False, options=options) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_tell, one, other)
        nursery.start_soon(_tell, other, one)
        with trio.fail_after(CONNECT_TIMEOUT):
            await one.connected()
            await other.connected()
        taken = time.perf_counter() - started
        nursery.cancel_scope.cancel()
    return taken


async def _tell_aioice(teller: aioice.Connection, listener: aioice.Connection) -> None:
    await teller.gather_candidates()
    listener.remote_username = teller.local_username
    listener.remote_password = teller.local_password
    for candidate in teller.local_candidates:
        await listener.add_remote_candidate(candidate)
    await listener.add_remote_candidate(None)


async def _connect_aioices(cell: Cell) -> float:
    options: dict[str, Any] = {"use_ipv6": False}
    if cell.stun:
        options["stun_server"] = (ADDRESS, PORT)
    if cell.relay:
        options |= {
            "turn_server": (ADDRESS, PORT),
            "turn_username": USER,
            "turn_password": PASSWORD,
            "transport_policy": aioice.TransportPolicy.RELAY,
        }
    started = time.perf_counter()
    one, other = (aioice.Connection(ice_controlling=each, **options) for each in (True, False))
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await asyncio.gather(_tell_aioice(one, other), _tell_aioice(other, one))
        await asyncio.gather(one.connect(), other.connect())
    taken = time.perf_counter() - started
    await asyncio.gather(one.close(), other.close())
    return taken


def ours(cell: Cell) -> float:
    """Return seconds from start to connected of two agents of ours."""
    return trio.run(_connect_ours, cell)


def aioices(cell: Cell) -> float:
    """Return the same of two of aioice's."""
    return asyncio.run(_connect_aioices(cell))


AGENTS: dict[str, Callable[[Cell], float]] = {"ice_client": ours, "aioice": aioices}


@contextlib.contextmanager
def _namespace() -> Iterator[str]:
    """Make a namespace with one interface, whose far end is in another."""
    name = f"ib{secrets.token_hex(4)}"
    far = f"{name}f"
    with contextlib.ExitStack() as stack:
        for each in (name, far):
            _ip(f"netns add {each}")
            stack.callback(_ip, f"netns del {each}")
        _ip(f"-n {name} link add eth0 type veth peer name eth0 netns {far}")
        _ip(f"-n {name} addr add {ADDRESS}/24 dev eth0")
        for each in (name, far):
            _ip(f"-n {each} link set lo up")
            _ip(f"-n {each} link set eth0 up")
        while "state DOWN" in _ip(f"-n {name} -o link show type veth"):
            time.sleep(0.01)
        yield name


def _ip(arguments: str) -> str:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"ip {arguments}: {done.stderr.strip()} (this needs root)")
    return done.stdout


@contextlib.contextmanager
def _turnd() -> Iterator[None]:
    """Run turnd in this namespace."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "turnd.toml")
        file.write_text(_TURND, encoding="utf-8")
        command = [sys.executable, "-m", "turnd", "run", "-c", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                for line in process.stderr:
                    if '"ready"' in line:
                        break
                else:
                    raise click.ClickException("turnd did not start")
                # A log that nobody reads would stop it once the pipe is full.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield
            finally:
                process.terminate()
                process.wait(timeout=START_TIMEOUT)


def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    taken: dict[str, dict[str, list[float]]] = {
        cell.name: {name: [] for name in AGENTS} for cell in CELLS
    }
    with _turnd():
        for cell in CELLS:
            for connect in AGENTS.values():
                connect(cell)  # imports and caches are warm from here on
            for _ in range(rounds):
                for name, connect in AGENTS.items():
                    taken[cell.name][name].append(connect(cell))
    return taken


def _table(taken: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| connect by | agent | median ms | p95 ms | worst ms |", "|---|---|---|---|---|"]
    for cell, agents in taken.items():
        for name, seconds in agents.items():
            values = sorted(1000 * each for each in seconds)
            p95 = values[min(len(values) - 1, int(0.95 * len(values)))]
            lines.append(
                f"| {cell} | {name} | {statistics.median(values):.1f} | {p95:.1f} | "
                f"{values[-1]:.1f} |"
            )
    return "\n".join(lines)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--inside", is_flag=True, hidden=True, help="In the namespace already.")
@click.option("--json", "as_json", is_flag=True, help="Every measurement, in seconds.")
def main(rounds: int, inside: bool, as_json: bool) -> None:
    """Measure how long two agents take to connect, beside aioice."""
    if not inside:
        with _namespace() as name:
            command = ["ip", "netns", "exec", name, sys.executable, "-m", "bench.ice", "--inside"]
            command += ["--rounds", str(rounds), *(["--json"] if as_json else [])]
            sys.exit(subprocess.run(command, check=False).returncode)
    taken = _measure(rounds)
    click.echo(json.dumps(taken) if as_json else _table(taken))


if __name__ == "__main__":
    main()
