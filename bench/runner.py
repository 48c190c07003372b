"""Runs the rounds: every cell on every server, each on a server started for it alone.

Servers take turns inside a cell and the order turns from round to round, so that a slow minute of
the machine falls on all of them. A sample during which other processes ran on the two cores is
taken again, a few times; the least disturbed one counts, whatever its figures are.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from bench import load, process
from bench.cells import IDLE, Cell, Figures
from bench.load import LOAD_CORE, Report, Target
from bench.servers import SERVER_CORE, Server, running

# Setting up flows and, at a fixed rate, waiting for the last packets, beside what is measured.
_SLACK_SECONDS = 60.0

# The share of a core that others may take of a sample before it counts as disturbed.
QUIET = 0.1


@attrs.frozen
class Plan:
    """What is run.

    Attributes:
        rounds: how often every cell runs on every server.
        seconds: how long each load is measured; `warmup` seconds run before it unmeasured.
        idle_allocations: how many allocations the memory is divided by.
        attempts: how often a disturbed sample is taken, at most.
    """

    rounds: int
    seconds: float
    warmup: float
    idle_allocations: int
    attempts: int


@attrs.frozen
class Sample:
    """One cell, one server, one round.

    Attributes:
        figures: one for each row of the cell.
        report: what the generator printed.
        disturbance: the share of the server's core or of the load's, whichever is worse, that went
            to other processes or was stolen by the host while the load ran; 0 to 1.
    """

    cell: str
    server: str
    round: int
    figures: Figures
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
                sample = _least_disturbed(plan, cell, server, number, program, direct)
                samples.append(sample)
                tell(_line(sample, plan.rounds))
    return samples


def _line(sample: Sample, rounds: int) -> str:
    figures = " ".join("-" if value is None else f"{value:,.1f}" for value in sample.figures)
    return (
        f"{sample.round + 1}/{rounds} {sample.cell:18} {sample.server:16} {figures}"
        f"  (others: {sample.disturbance:.0%})"
    )


def _times(plan: Plan) -> list[str]:
    return ["--seconds", str(plan.seconds), "--warmup", str(plan.warmup)]


def _direct(plan: Plan, cell: Cell, program: Path) -> Report:
    line = load.command(program, "direct", [*cell.options, *_times(plan)])
    timeout = plan.seconds + plan.warmup + _SLACK_SECONDS
    taken: list[tuple[float, Report]] = []
    while len(taken) < plan.attempts and all(share > QUIET for share, _ in taken):
        before = _others_on_load_core()
        report = load.run(line, timeout=timeout)
        others = _others_on_load_core() - before
        taken.append((disturbance(others, plan.seconds + plan.warmup), report))
    return min(taken, key=lambda attempt: attempt[0])[1]


def _least_disturbed(
    plan: Plan, cell: Cell, server: Server, number: int, program: Path, direct: Report | None
) -> Sample:
    best = _measure(plan, cell, server, number, program, direct)
    for _ in range(1, plan.attempts):
        if best.disturbance <= QUIET:
            break
        again = _measure(plan, cell, server, number, program, direct)
        best = min(best, again, key=lambda sample: sample.disturbance)
    return best


def _measure(
    plan: Plan, cell: Cell, server: Server, number: int, program: Path, direct: Report | None
) -> Sample:
    with running(server) as target:
        if cell is IDLE:
            report, figures = _idle(plan, target, program)
            # A disturbance makes memory no larger.
            return Sample(cell.key, server.name, number, figures, report, disturbance=0.0)
        before = _spent(target)
        line = load.command(program, cell.mode, [*cell.options, *_times(plan)], target)
        report = load.run(line, timeout=plan.seconds + plan.warmup + _SLACK_SECONDS)
        after = _spent(target)
    return Sample(
        cell=cell.key,
        server=server.name,
        round=number,
        figures=cell.figures(report, direct),
        report=report,
        disturbance=max(
            disturbance(end - begin, plan.seconds + plan.warmup)
            for begin, end in zip(before, after, strict=True)
        ),
    )


def _spent(target: Target) -> tuple[float, float]:
    """Return the seconds that others took of the server's core and of the load's since boot."""
    core = process.core_time(SERVER_CORE)
    return core.busy + core.stolen - process.cpu_seconds(target.pids), _others_on_load_core()


def _others_on_load_core() -> float:
    """Return the seconds since boot that were not spent by loads which ended."""
    core, ended = process.core_time(LOAD_CORE), os.times()
    return core.busy + core.stolen - ended.children_user - ended.children_system


def disturbance(others_seconds: float, wall_seconds: float) -> float:
    """Return the share of a core's time that others took, not below 0 (ticks are 10 ms)."""
    return max(0.0, others_seconds) / wall_seconds if wall_seconds > 0 else 0.0


def _idle(plan: Plan, target: Target, program: Path) -> tuple[Report, Figures]:
    count = plan.idle_allocations
    before = process.resident_bytes(target.pids)
    line = load.command(program, "idle", ["--allocations", str(count)], target)
    with load.hold(line) as report:
        after = process.resident_bytes(target.pids)
    return report, ((after - before) / count,)
