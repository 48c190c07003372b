"""The command line of `ice-check`: options in, a check run, reports out.

Exit codes: 0 everything asked for works, 1 something fails, 2 wrong usage.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console

from ice_client.check.check import CheckOptions, run_check, version, watch_nothing
from ice_client.check.command_connect import connect_command
from ice_client.check.command_gather import gather, nat
from ice_client.check.command_load import load
from ice_client.check.command_turncat import turncat
from ice_client.check.matrix import ask_homeserver
from ice_client.check.options import (
    TOKEN_VARIABLE,
    XMPP_PASSWORD_VARIABLE,
    TargetOptions,
    name_server,
    parse_address,
    run,
    run_until_interrupted,
    target_options,
    targets_from,
)
from ice_client.check.probe_nat import LIFETIMES
from ice_client.check.probe_quality import QualityOptions, rates_up_to
from ice_client.check.progress import LiveMatrix
from ice_client.check.redact import redact
from ice_client.check.report_data import json_schema, to_json, to_junit
from ice_client.check.report_html import to_html
from ice_client.check.report_text import print_report, to_markdown
from ice_client.check.results import Report
from ice_client.check.row_builder import Watcher
from ice_client.check.target import Target, TargetError
from ice_client.check.verdicts import TABLE
from ice_client.check.watch import WatchMetrics, serving, watch
from ice_client.check.xmpp import ask_xmpp_server
from ice_client.turn import Transport


class DefaultToCheck(click.Group):
    """A group whose command may be left out: `ice-check TARGET` is `ice-check check TARGET`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `check` in front where the first word is neither a command nor the group's own."""
        own = {"--help", "-h", "--version", *self.commands}
        if args and args[0] not in own:
            args = ["check", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultToCheck,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command it checks: ice-check turn:turn.example.org -u USER -p PASSWORD",
)
@click.version_option(version(), prog_name="ice-check")
def main() -> None:
    """Say whether STUN and TURN servers work from here, how well, and if not, why."""


main.add_command(gather)
main.add_command(connect_command)
main.add_command(nat)
main.add_command(load)
main.add_command(turncat)


@attrs.frozen(slots=True, kw_only=True)
class Outputs:
    """Which reports to write, and where; a file name of `-` is standard output."""

    json: bool
    paste: bool
    junit: str | None
    html: str | None

    @property
    def table(self) -> bool:
        """Whether standard output is for people."""
        return not (self.json or self.paste or "-" in {self.junit, self.html})


_TRANSPORTS = click.Choice([each.value for each in Transport])


@main.command()
@target_options
@click.option("--matrix", "homeserver", help="Check what this Matrix homeserver gives its users.")
@click.option(
    "--access-token",
    envvar=TOKEN_VARIABLE,
    help=f"With --matrix: of a user there; or {TOKEN_VARIABLE}.",
)
@click.option("--xmpp", "account", help="Check what the server of this user@domain gives them.")
@click.option(
    "--xmpp-password",
    envvar=XMPP_PASSWORD_VARIABLE,
    help=f"With --xmpp: theirs; or {XMPP_PASSWORD_VARIABLE}; else it is asked for.",
)
@click.option("--xmpp-host", metavar="HOST[:PORT]", help="With --xmpp: where; not as DNS says.")
@click.option(
    "-t", "--transport", "transports", type=_TRANSPORTS, multiple=True, help="Only these; repeat."
)
@click.option("-4", "only", flag_value="ipv4", help="Only the servers' IPv4 addresses.")
@click.option("-6", "only", flag_value="ipv6", help="Only the servers' IPv6 addresses.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=6.0, show_default=True)
@click.option("--name-server", "resolver", help="Ask this ADDRESS[:PORT] instead of the system's.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), help="Roots to trust.")
@click.option("--no-quality", is_flag=True, help="Leave loss, jitter and throughput out.")
@click.option(
    "--throughput",
    type=click.FloatRange(0.1, 1000),
    default=8,
    show_default=True,
    metavar="MBIT/S",
    help="Try rates up to this.",
)
@click.option("--no-nat", is_flag=True, help="Leave NAT behaviour out.")
@click.option("--mapping-lifetime", is_flag=True, help="How long NAT mappings last; minutes.")
@click.option(
    "--i-own-this-server",
    "own_server",
    is_flag=True,
    help="Also try whether it relays to loopback, private and metadata addresses.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/ice-check.schema.json).")
@click.option("--paste", is_flag=True, help="Print Markdown, addresses and secrets hidden.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--html", metavar="FILE", help="Write a page with everything in it.")
@click.option("--watch", "interval", type=click.FloatRange(1), help="Again every N seconds.")
@click.option("--prometheus", help="With --watch: serve metrics on ADDRESS:PORT.")
@click.pass_context
def check(
    ctx: click.Context,
    /,
    target: TargetOptions,
    *,
    homeserver: str | None,
    access_token: str | None,
    account: str | None,
    interval: float | None,
    prometheus: str | None,
    **flags: Any,
) -> None:
    """Check servers.

    A TARGET is a URI (turn:host, turns:host:443, stun:host), RTCIceServer JSON, a file of it,
    or - to read it from standard input.
    """
    targets = targets_from(target)
    if homeserver is not None:
        if access_token is None:
            raise click.UsageError(f"--matrix needs --access-token, or {TOKEN_VARIABLE}")
        targets += run(ask_homeserver, homeserver, access_token)
    options = _check_options(flags)
    if account is not None:
        password = _xmpp_password(account, flags["xmpp_password"])
        where = (flags["xmpp_host"], options.ca_file, options.name_server)
        targets += run(ask_xmpp_server, account, password, *where)
    if not targets:
        raise click.UsageError("give a TARGET, --config, --matrix or --xmpp (see --help)")
    if prometheus is not None and interval is None:
        raise click.UsageError("--prometheus needs --watch")
    outputs = Outputs(
        json=flags["as_json"], paste=flags["paste"], junit=flags["junit"], html=flags["html"]
    )
    if interval is not None:
        run_until_interrupted(_watch, targets, options, outputs, interval, prometheus)
        return
    report = run_with_progress(targets, options)
    write_outputs(report, outputs, [secret for each in targets for secret in each.secrets])
    ctx.exit(0 if report.works else 1)


def _xmpp_password(account: str, given: str | None) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"--xmpp needs --xmpp-password, or {XMPP_PASSWORD_VARIABLE}")
    return str(click.prompt(f"Password of {account}", hide_input=True, err=True))


def _check_options(flags: dict[str, Any]) -> CheckOptions:
    both = frozenset({"ipv4", "ipv6"})
    return CheckOptions(
        transports=tuple(Transport(each) for each in flags["transports"]),
        families=frozenset({flags["only"]}) if flags["only"] else both,
        timeout=flags["timeout"],
        name_server=name_server(flags["resolver"]),
        quality=None
        if flags["no_quality"]
        else QualityOptions(rates_bps=rates_up_to(flags["throughput"] * 1e6)),
        nat=not flags["no_nat"],
        mapping_lifetimes=LIFETIMES if flags["mapping_lifetime"] else (),
        own_server=flags["own_server"],
        ca_file=Path(flags["ca_file"]) if flags["ca_file"] else None,
    )


def run_with_progress(targets: Sequence[Target], options: CheckOptions) -> Report:
    """Run a check, showing the table grow on standard error if that is a terminal."""
    with _progress() as watcher:
        return run(run_check, targets, options, watcher)


@contextlib.contextmanager
def _progress() -> Iterator[Watcher]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield watch_nothing
        return
    with LiveMatrix(console) as live:
        yield live.watch


def write_outputs(report: Report, outputs: Outputs, secrets: Sequence[str]) -> None:
    """Write the reports that were asked for.

    Args:
        report: what was found.
        outputs: which, and where to.
        secrets: what `--paste` must hide.

    """
    if outputs.table:
        print_report(report, Console())
    if outputs.json:
        click.echo(to_json(report))
    if outputs.paste:
        click.echo(to_markdown(redact(report, secrets)))
    for file, writer in ((outputs.junit, to_junit), (outputs.html, to_html)):
        if file is not None:
            _write(file, writer, report)


def _write(file: str, writer: Callable[[Report], str], report: Report) -> None:
    if file == "-":
        click.echo(writer(report))
        return
    try:
        Path(file).write_text(writer(report), encoding="utf-8")
    except OSError as error:
        raise click.FileError(file, error.strerror or str(error)) from error


async def _watch(
    targets: Sequence[Target],
    options: CheckOptions,
    outputs: Outputs,
    interval: float,
    prometheus: str | None,
) -> None:
    metrics = WatchMetrics()
    secrets = [secret for each in targets for secret in each.secrets]

    async def once() -> Report:
        return await run_check(targets, options)

    with contextlib.ExitStack() as stack:
        if prometheus is not None:
            listen = parse_address(prometheus, "--prometheus")
            try:
                where = stack.enter_context(serving(metrics, listen))
            except OSError as error:
                raise TargetError(f"cannot listen on {listen}: {error}") from error
            click.echo(f"metrics on http://{where}/metrics", err=True)
        await watch(once, interval, metrics, lambda each: write_outputs(each, outputs, secrets))


@main.command()
@click.argument("verdict", metavar="ID")
def explain(verdict: str) -> None:
    """Say what a verdict means and what to do about it, for example ICE-E012."""
    name = verdict.upper()
    found = TABLE.get(name) or TABLE.get(f"ICE-{name}")
    if found is None:
        raise click.UsageError(f"there is no verdict {verdict}")
    click.echo(f"{found.id} ({found.severity.value}): {found.title}\n")
    click.echo(f"{found.explanation}\n\nFix: {found.fix}")


@main.command()
def schema() -> None:
    """Print the JSON Schema of --json."""
    json.dump(json_schema(), sys.stdout, indent=2)
    click.echo()
