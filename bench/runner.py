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
from bench.load import Report, Target
from bench.networks import LOAD_CORE, SERVER_CORE, Network
from bench.servers import Server, running

# Setting up flows and, at a fixed rate, waiting for the last packets, beside what is measured.
_SLACK_SECONDS = 180.0

# The share of a core that others may take of a sample before it counts as disturbed.
QUIET = 0.1


@attrs.frozen
class Plan:
    """What is run.

    Attributes:
        rounds: how often every cell runs on every server.
        seconds: how long each load is measured; `warmup` seconds run before it unmeasured.
        attempts: how often a disturbed sample is taken, at most.
    """

    rounds: int
    seconds: float
    warmup: float
    attempts: int


@attrs.frozen
class Bench:
    """What all samples of a run share: the plan, the network and the load generator's program."""

    plan: Plan
    network: Network
    program: Path


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
    bench: Bench, cells: Sequence[Cell], servers: Sequence[Server], tell: Callable[[str], None]
) -> list[Sample]:
    """Run every cell on every server that takes it and return all samples.

    Raises:
        ServerError: a server did not start.
        LoadError: the generator failed, most often because the server did not answer.
    """
    samples: list[Sample] = []
    for number in range(bench.plan.rounds):
        for cell in cells:
            direct = _direct(bench, cell) if cell.direct else None
            for server in order(servers, number):
                if server.takes(cell):
                    sample = _least_disturbed(bench, cell, server, number, direct)
                    samples.append(sample)
                    tell(_line(sample, bench.plan.rounds))
    return samples


def _line(sample: Sample, rounds: int) -> str:
    figures = " ".join("-" if value is None else f"{value:,.1f}" for value in sample.figures)
    return (
        f"{sample.round + 1}/{rounds} {sample.cell:18} {sample.server:16} {figures}"
        f"  (others: {sample.disturbance:.0%})"
    )


def _times(plan: Plan) -> list[str]:
    return ["--seconds", str(plan.seconds), "--warmup", str(plan.warmup)]


def _direct(bench: Bench, cell: Cell) -> Report:
    plan = bench.plan
    line = load.command(bench.program, "direct", [*cell.options, *_times(plan)], bench.network)
    timeout = plan.seconds + plan.warmup + _SLACK_SECONDS
    taken: list[tuple[float, Report]] = []
    while len(taken) < plan.attempts and all(share > QUIET for share, _ in taken):
        before = _others_on_load_core(bench.network)
        report = load.run(line, timeout=timeout)
        others = _others_on_load_core(bench.network) - before
        taken.append((disturbance(others, plan.seconds + plan.warmup), report))
    return min(taken, key=lambda attempt: attempt[0])[1]


def _least_disturbed(
    bench: Bench, cell: Cell, server: Server, number: int, direct: Report | None
) -> Sample:
    best = _measure(bench, cell, server, number, direct)
    for _ in range(1, bench.plan.attempts):
        if best.disturbance <= QUIET:
            break
        again = _measure(bench, cell, server, number, direct)
        best = min(best, again, key=lambda sample: sample.disturbance)
    return best


def _measure(
    bench: Bench, cell: Cell, server: Server, number: int, direct: Report | None
) -> Sample:
    plan, network = bench.plan, bench.network
    with running(server, network, bench.program) as target:
        if cell.mode == IDLE:
            report, figures = _idle(bench, cell, target)
            # A disturbance makes memory no larger.
            return Sample(cell.key, server.name, number, figures, report, disturbance=0.0)
        before = _spent(target, network)
        line = load.command(
            bench.program, cell.mode, [*cell.options, *_times(plan)], network, target
        )
        report = load.run(line, timeout=plan.seconds + plan.warmup + _SLACK_SECONDS)
        after = _spent(target, network)
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


def _spent(target: Target, network: Network) -> tuple[float, float]:
    """Return the seconds that others took of the server's core and of the load's since boot."""
    core = process.core_time(SERVER_CORE)
    own = process.cpu_seconds((*target.pids, *network.server_threads))
    return core.busy + core.stolen - own, _others_on_load_core(network)


def _others_on_load_core(network: Network) -> float:
    """Return the seconds since boot that were not spent by loads which ended."""
    core, ended = process.core_time(LOAD_CORE), os.times()
    own = ended.children_user + ended.children_system + process.cpu_seconds(network.load_threads)
    return core.busy + core.stolen - own


def disturbance(others_seconds: float, wall_seconds: float) -> float:
    """Return the share of a core's time that others took, not below 0 (ticks are 10 ms)."""
    return max(0.0, others_seconds) / wall_seconds if wall_seconds > 0 else 0.0


def _idle(bench: Bench, cell: Cell, target: Target) -> tuple[Report, Figures]:
    before = process.resident_bytes(target.pids)
    line = load.command(bench.program, cell.mode, cell.options, bench.network, target)
    with load.hold(line) as report:
        after = process.resident_bytes(target.pids)
    return report, ((after - before) / report.done,)
