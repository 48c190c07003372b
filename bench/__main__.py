"""The command `python -m bench`."""

import resource
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from bench import machine, results, summary
from bench.build import HERE, BuildError, build_load_generator
from bench.cells import cells as all_cells
from bench.load import LoadError
from bench.runner import Plan, run
from bench.servers import REPOSITORY, Server, ServerError, table

QUICK = Plan(rounds=1, seconds=1.0, warmup=0.3, idle_allocations=5000, attempts=2)
FULL = Plan(rounds=5, seconds=4.0, warmup=1.0, idle_allocations=5000, attempts=4)

_SERVERS = ("coturn", "turnd-portable")


@click.command()
@click.option("--quick", is_flag=True, help="One short round: under three minutes.")
@click.option("--rounds", type=click.IntRange(1), help="How often every cell runs.")
@click.option("--seconds", type=click.FloatRange(0.1), help="How long a load is measured.")
@click.option(
    "--cell", "wanted", multiple=True, type=click.Choice(list(all_cells())), help="Only this one."
)
@click.option(
    "--server", "names", multiple=True, default=_SERVERS, show_default=True, help="Repeatable."
)
@click.option(
    "--coturn-path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another turnserver program, measured beside the system's as coturn-other.",
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
    names: tuple[str, ...],
    coturn_path: Path | None,
    turnd_path: Path,
    output: Path | None,
    again: Path | None,
) -> None:
    """Measure TURN servers side by side and print a Markdown table."""
    if again is not None:
        try:
            _print(results.load(again))
        except results.ResultsError as error:
            raise click.ClickException(str(error)) from None
        return
    known = table(coturn_path=coturn_path, repository=turnd_path.resolve())
    if coturn_path is not None:
        names = (*names, "coturn-other")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no server {unknown[0]}; there are {', '.join(known)}")
    servers = [known[name] for name in dict.fromkeys(names)]
    cells = [cell for key, cell in all_cells().items() if not wanted or key in wanted]
    plan = QUICK if quick else FULL
    plan = attrs.evolve(plan, rounds=rounds or plan.rounds, seconds=seconds or plan.seconds)
    _raise_file_limit()
    head = _head(servers, plan)
    click.echo(head, err=True)
    try:
        program = build_load_generator()
        samples = run(plan, cells, servers, program, lambda line: click.echo(line, err=True))
    except (BuildError, ServerError, LoadError) as error:
        raise click.ClickException(str(error)) from None
    measured = results.Measured(head, samples)
    _print(measured)
    path = output or HERE / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    results.save(path, measured)
    click.echo(f"Samples: {path}", err=True)


def _print(measured: results.Measured) -> None:
    keys = {sample.cell for sample in measured.samples}
    # The first round's order of servers is the one they were asked for in.
    names = list(dict.fromkeys(sample.server for sample in measured.samples))
    cells = [cell for key, cell in all_cells().items() if key in keys]
    others = summary.disturbed(measured.samples)
    click.echo(summary.markdown(measured.samples, cells, names))
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
