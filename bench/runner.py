"""Runs the rounds: every cell on every server, each on a server started for it alone.

Servers take turns inside a cell and the order turns from round to round, so that a slow minute of
the machine falls on all of them.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from bench import load, process
from bench.cells import IDLE, Cell
from bench.load import Report, Target
from bench.servers import SERVER_CORE, Server, running

# Setting up flows and, at a fixed rate, waiting for the last packets, beside what is measured.
_SLACK_SECONDS = 60.0


@attrs.frozen
class Plan:
    """What is run.

    Attributes:
        rounds: how often every cell runs on every server.
        seconds: how long each load is measured; `warmup` seconds run before it unmeasured.
        idle_allocations: how many allocations the memory is divided by.
    """

    rounds: int
    seconds: float
    warmup: float
    idle_allocations: int


@attrs.frozen
class Sample:
    """One cell, one server, one round.

    Attributes:
        figures: one for each row of the cell.
        report: what the generator printed.
        disturbance: the share of the server's core, 0 to 1, that went to other processes or was
            stolen by the host while the load ran.
    """

    cell: str
    server: str
    round: int
    figures: tuple[float, ...]
    report: Report
    disturbance: float


def order(servers: Sequence[Server], number: int) -> list[Server]:
    """Return the servers in the order of this round: another one first each time."""
    start = number % len(servers)
    return [*servers[start:], *servers[:start]]


def run(
    plan: Plan,
    cells: Sequence[Cell],
    servers: Sequence[Server],
    program: Path,
    tell: Callable[[str], None],
) -> list[Sample]:
    """Run everything and return all samples.

    Raises:
        ServerError: a server did not start.
        LoadError: the generator failed, most often because the server did not answer.
    """
    samples: list[Sample] = []
    for number in range(plan.rounds):
        for cell in cells:
            direct = _direct(plan, cell, program) if cell.direct else None
            for server in order(servers, number):
                sample = _measure(plan, cell, server, number, program, direct)
                samples.append(sample)
                tell(_line(sample, plan.rounds))
    return samples


def _line(sample: Sample, rounds: int) -> str:
    figures = " ".join(f"{figure:,.1f}" for figure in sample.figures)
    return (
        f"{sample.round + 1}/{rounds} {sample.cell:18} {sample.server:16} {figures}"
        f"  (others on its core: {sample.disturbance:.0%})"
    )


def _times(plan: Plan) -> list[str]:
    return ["--seconds", str(plan.seconds), "--warmup", str(plan.warmup)]


def _direct(plan: Plan, cell: Cell, program: Path) -> Report:
    line = load.command(program, "direct", [*cell.options, *_times(plan)])
    return load.run(line, timeout=plan.seconds + plan.warmup + _SLACK_SECONDS)


def _measure(
    plan: Plan, cell: Cell, server: Server, number: int, program: Path, direct: Report | None
) -> Sample:
    with running(server) as target:
        core, own = process.core_time(SERVER_CORE), process.cpu_seconds(target.pids)
        if cell is IDLE:
            report, figures = _idle(plan, target, program)
        else:
            line = load.command(program, cell.mode, [*cell.options, *_times(plan)], target)
            report = load.run(line, timeout=plan.seconds + plan.warmup + _SLACK_SECONDS)
            figures = cell.figures(report, direct)
        spent = process.core_time(SERVER_CORE).since(core)
        own = process.cpu_seconds(target.pids) - own
    wall = report.seconds + (0 if cell is IDLE else plan.warmup)
    return Sample(
        cell=cell.key,
        server=server.name,
        round=number,
        figures=figures,
        report=report,
        disturbance=disturbance(spent.busy + spent.stolen, own, wall),
    )


def disturbance(core_seconds: float, server_seconds: float, wall_seconds: float) -> float:
    """Return the share of the core's time that others took, not below 0 (ticks are 10 ms)."""
    if wall_seconds <= 0 or math.isnan(wall_seconds):
        return 0.0
    return max(0.0, core_seconds - server_seconds) / wall_seconds


def _idle(plan: Plan, target: Target, program: Path) -> tuple[Report, tuple[float, ...]]:
    count = plan.idle_allocations
    before = process.resident_bytes(target.pids)
    line = load.command(program, "idle", ["--allocations", str(count)], target)
    with load.hold(line) as report:
        after = process.resident_bytes(target.pids)
    return report, ((after - before) / count,)
