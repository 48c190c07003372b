"""`ice-check load`: how a server bears N calls."""

from __future__ import annotations

import time

import click
from rich.console import Console

from ice_client.check.load import MOST_CALLS, LoadOptions, LoadResult, run_load
from ice_client.check.options import (
    TargetOptions,
    only_target,
    run,
    server_from,
    target_options,
    targets_from,
)
from ice_client.check.report_text import milliseconds, rate
from ice_client.check.target import Target

TOLERATED_LOSS = 0.01
"""Above it the exit code is 1."""


@click.command()
@click.option("--calls", type=click.IntRange(1, MOST_CALLS), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10, show_default=True)
@click.option(
    "--rate",
    "pps",
    type=click.FloatRange(1, 5000),
    default=50,
    show_default=True,
    help="Packets a second of each end of a call.",
)
@click.option(
    "--size",
    type=click.IntRange(16, 1400),
    default=160,
    show_default=True,
    help="Bytes of each packet.",
)
@target_options
def load(*, target: TargetOptions, calls: int, seconds: float, pps: float, size: int) -> None:
    """Put the traffic of N calls through a server that is yours, and say how it fared.

    Each call is two allocations sending to each other. The defaults are a voice call's
    traffic; video is about --rate 100 --size 1100.
    """
    options = LoadOptions(calls=calls, seconds=seconds, packets_per_second=pps, size_bytes=size)
    result = run(_run, only_target(targets_from(target)), options)
    _show(result, calls)
    if result.calls < calls or result.loss > TOLERATED_LOSS:
        raise click.exceptions.Exit(1)


async def _run(target: Target, options: LoadOptions) -> LoadResult:
    return await run_load(await server_from(target, time.time()), options)


def _show(result: LoadResult, asked: int) -> None:
    console = Console(highlight=False)
    median, slow = map(milliseconds, result.setup)
    console.print(f"{result.calls} of {asked} calls set up, median {median}, p95 {slow}")
    for reason, number in result.failures.items():
        console.print(f"  {number} failed: {reason}", markup=False, style="red")
    p50, p95, p99 = map(milliseconds, result.latency)
    console.print(
        f"{result.received} of {result.sent} packets arrived, {result.loss:.2%} lost, "
        f"{rate(result.bits_per_second)}"
    )
    console.print(f"one way through the relay: median {p50}, p95 {p95}, p99 {p99}")
