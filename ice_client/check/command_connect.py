"""`ice-check connect`: whether two machines reach each other, and over which way."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
import trio
from rich.console import Console

from ice_client import Candidate, IceServer, open_ice_agent
from ice_client.check.connect import (
    LARGEST_DESCRIPTION,
    Connected,
    connect,
    describe,
    ice_servers,
    pack,
    unpack,
)
from ice_client.check.options import TargetOptions, run, target_options, targets_from
from ice_client.check.report_text import milliseconds


@click.command("connect")
@click.option("--join", metavar="TEXT", help="The text that the other machine printed.")
@target_options
def connect_command(*, target: TargetOptions, join: str | None) -> None:
    """Connect two machines by ICE, and say over which way.

    Run it on the one machine, and copy the text it prints to the other: ice-check connect
    --join TEXT. That one prints a text for the first. TARGETs are STUN and TURN servers to use.
    """
    servers = ice_servers(targets_from(target), time.time())
    run(_session, servers, join)


async def _session(servers: Sequence[IceServer], join: str | None) -> None:
    other = None if join is None else unpack(join)
    async with open_ice_agent(servers, controlling=other is None) as agent:
        text = pack(await describe(agent))
        for failure in agent.server_failures:
            click.echo(f"{failure.uri}: {failure.reason}", err=True)
        if other is None:
            click.echo(f"On the other machine run:\n\nice-check connect --join {text}\n")
            click.echo("and paste here what it prints:")
            other = unpack(await _read_line())
        else:
            click.echo(f"Paste this where the other text came from:\n\n{text}\n")
        _show(await connect(agent, other))


async def _read_line() -> str:
    # A thread, as standard input may be a terminal; left behind on Ctrl-C.
    return await trio.to_thread.run_sync(
        sys.stdin.readline, LARGEST_DESCRIPTION, abandon_on_cancel=True
    )


def _show(result: Connected) -> None:
    console = Console(highlight=False)
    local, remote = result.pair.local, result.pair.remote
    console.print(f"Connected after {milliseconds(result.seconds)}", style="bold green")
    console.print(f"  here   {_candidate(local)}", markup=False)
    console.print(f"  there  {_candidate(remote)}", markup=False)
    trips = result.round_trips
    console.print(
        f"  round trips: median {milliseconds(trips.p50)}, p95 {milliseconds(trips.p95)}, "
        f"jitter {milliseconds(trips.jitter)}, {trips.loss:.0%} of {trips.sent} lost"
    )


def _candidate(candidate: Candidate) -> str:
    return f"{candidate.type.value} {candidate.transport.value} {candidate.address}"
