"""The command `python -m bench`."""

import resource
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from bench import machine, results, summary
from bench.build import HERE, BuildError, build_load_generator
from bench.cells import GROUPS, Cell
from bench.cells import cells as all_cells
from bench.load import LoadError
from bench.networks import NETWORKS, NetworkError
from bench.runner import Bench, Plan, Sample, run
from bench.servers import REPOSITORY, Server, ServerError, table

QUICK = Plan(rounds=1, seconds=1.0, warmup=0.3, attempts=2)
FULL = Plan(rounds=5, seconds=4.0, warmup=1.0, attempts=4)

_SERVERS = ("coturn", "turnd-portable")


@click.command()
@click.option("--quick", is_flag=True, help="One short round: under three minutes.")
@click.option("--rounds", type=click.IntRange(1), help="How often every cell runs.")
@click.option("--seconds", type=click.FloatRange(0.1), help="How long a load is measured.")
@click.option(
    "--cell", "wanted", multiple=True, type=click.Choice(list(all_cells())), help="Only this one."
)
@click.option(
    "--group",
    type=click.Choice([*GROUPS, "all"]),
    default="basic",
    show_default=True,
    help="Which cells, where --cell names none.",
)
@click.option("--network", type=click.Choice(list(NETWORKS)), default="loopback", show_default=True)
@click.option(
    "--server", "names", multiple=True, default=_SERVERS, show_default=True, help="Repeatable."
)
@click.option(
    "--coturn-path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another turnserver program, measured beside the system's as coturn-other, and with"
    " --multiplex-peer --udp-gso as coturn-other-multiplex.",
)
@click.option(
    "--turnd-path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=REPOSITORY,
    help="The work tree turnd runs from.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the samples go as JSON; bench/results/ by default.",
)
@click.option(
    "--against", default=summary.BASELINE, show_default=True, help="Whose ratios the table shows."
)
@click.option(
    "--again",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: print the table of these samples, once more.",
)
def main(
    *,
    quick: bool,
    rounds: int | None,
    seconds: float | None,
    wanted: tuple[str, ...],
    group: str,
    network: str,
    names: tuple[str, ...],
    coturn_path: Path | None,
    turnd_path: Path,
    output: Path | None,
    against: str,
    again: Path | None,
) -> None:
    """Measure TURN servers side by side and print a Markdown table."""
    if again is not None:
        try:
            _print(results.load(again), against)
        except results.ResultsError as error:
            raise click.ClickException(str(error)) from None
        return
    known = table(coturn_path=coturn_path, repository=turnd_path.resolve())
    if coturn_path is not None:
        names = (*names, "coturn-other", "coturn-other-multiplex")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no server {unknown[0]}; there are {', '.join(known)}")
    servers = [known[name] for name in dict.fromkeys(names)]
    cells = _chosen(wanted, group)
    plan = QUICK if quick else FULL
    plan = attrs.evolve(plan, rounds=rounds or plan.rounds, seconds=seconds or plan.seconds)
    _raise_file_limit()
    head = f"{_head(servers, plan)}, over {network}"
    click.echo(head, err=True)
    try:
        samples = _run(plan, network, cells, servers)
    except (BuildError, NetworkError, ServerError, LoadError) as error:
        raise click.ClickException(str(error)) from None
    measured = results.Measured(head, samples)
    _print(measured, against)
    path = output or HERE / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    results.save(path, measured)
    click.echo(f"Samples: {path}", err=True)


def _chosen(wanted: tuple[str, ...], group: str) -> list[Cell]:
    if wanted:
        return [cell for key, cell in all_cells().items() if key in wanted]
    return list(all_cells(None if group == "all" else group).values())


def _run(plan: Plan, network: str, cells: list[Cell], servers: list[Server]) -> list[Sample]:
    program = build_load_generator()
    with NETWORKS[network]() as place:
        bench = Bench(plan=plan, network=place, program=program)
        return run(bench, cells, servers, lambda line: click.echo(line, err=True))


def _print(measured: results.Measured, against: str) -> None:
    keys = {sample.cell for sample in measured.samples}
    # The first round's order of servers is the one they were asked for in.
    names = list(dict.fromkeys(sample.server for sample in measured.samples))
    cells = [cell for key, cell in all_cells().items() if key in keys]
    others = summary.disturbed(measured.samples)
    click.echo(summary.markdown(measured.samples, cells, names, against))
    click.echo(
        f"{measured.about}\nOther processes took of the cores during a sample: "
        f"median {others.median:.0%}, at most {others.high:.0%}."
    )


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _head(servers: list[Server], plan: Plan) -> str:
    versions = ", ".join(f"{server.name} {server.version()}" for server in servers)
    return (
        f"{machine.describe()}; {versions}; rounds: {plan.rounds}, {plan.seconds:g} s each; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


if __name__ == "__main__":
    main()
