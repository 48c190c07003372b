"""The command `python -m bench`."""

import resource
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import msgspec

from bench import machine, summary
from bench.build import HERE, BuildError, build_load_generator
from bench.cells import cells as all_cells
from bench.load import LoadError
from bench.runner import Plan, Sample, run
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
) -> None:
    """Measure TURN servers side by side and print a Markdown table."""
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
    click.echo(summary.markdown(samples, cells, [server.name for server in servers]))
    others = summary.disturbed(samples)
    click.echo(
        f"{head}\nOther processes took of the cores during a sample: median {others.median:.0%}, "
        f"at most {others.high:.0%}."
    )
    _save(output, head, samples)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _head(servers: list[Server], plan: Plan) -> str:
    versions = ", ".join(f"{server.name} {server.version()}" for server in servers)
    return (
        f"{machine.describe()}; {versions}; rounds: {plan.rounds}, {plan.seconds:g} s each; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


def _save(output: Path | None, head: str, samples: list[Sample]) -> None:
    path = output or HERE / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # NaN has no place in JSON: msgspec writes null.
    document = {"about": head, "samples": [attrs.asdict(s, recurse=False) for s in samples]}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    click.echo(f"Samples: {path}", err=True)


if __name__ == "__main__":
    main()
