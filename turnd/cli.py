"""The command line: `turnd run` and its options; the other commands are in `turnd.commands`.

Exit codes: 0 ended as asked, 1 failed while running, 2 wrong usage or configuration.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import structlog
import trio

from stun import StunError
from turnd import __version__
from turnd.admin.logs import LogFile, configure_logging
from turnd.app import Application, Running
from turnd.commands.common import config_environment
from turnd.commands.convert import convert
from turnd.commands.credentials import credentials
from turnd.commands.demo import Demo
from turnd.commands.doctor import doctor
from turnd.commands.shell_completion import completion
from turnd.commands.users import secret, user
from turnd.config import CONFIG_FILE_VARIABLE, Config, ConfigError, print_config
from turnd.config import warnings as config_warnings
from turnd.coturn_conf import CoturnConfError, Severity, load_any
from turnd.network import ListenError
from turnd.pidfile import PidfileError
from turnd.store.user_database import UserDatabaseError
from turnd.stores import open_source
from turnd.transports.pem import CertificateError

USAGE_ERROR = 2

log = structlog.get_logger("turnd")

F = TypeVar("F", bound=Callable[..., Any])


class DefaultToRun(click.Group):
    """A group whose command may be left out: `turnd -c FILE` is `turnd run -c FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front where the first word is an option that is not the group's."""
        own = {"--help", "-h", "--version"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultToRun,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command, options are those of `turnd run`: turnd -c /etc/turnserver.conf",
)
@click.version_option(__version__, prog_name="turnd")
def main() -> None:
    """Run and manage a STUN/TURN server."""


def _option(flag: str, key: str, text: str, *, several: bool = False) -> Callable[[F], F]:
    """Make a flag that overrides a key of the configuration."""
    name = key.replace(".", "__")
    return click.option(flag, name, multiple=several, help=f"{text} ({key})", metavar="VALUE")


@main.command()
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(dir_okay=False),
    envvar=CONFIG_FILE_VARIABLE,
    help="turnd.toml, or coturn's turnserver.conf as it is.",
)
@click.option("--strict", is_flag=True, help="Unknown lines of a turnserver.conf are errors.")
@click.option("--check-config", is_flag=True, help="Check the configuration and exit.")
@click.option("--print-config", is_flag=True, help="Print it as TOML, secrets hidden, and exit.")
@click.option("--demo", is_flag=True, help="Make credentials up and print ICE servers to try.")
@_option("--realm", "server.realm", "Realm clients are asked for")
@_option("--datapath", "server.datapath", "Engine: auto, portable, native")
@_option("--listen-udp", "listen.udp", "ADDRESS:PORT, repeatable", several=True)
@_option("--listen-tcp", "listen.tcp", "ADDRESS:PORT, repeatable", several=True)
@_option("--listen-tls", "listen.tls", "ADDRESS:PORT, repeatable", several=True)
@_option("--listen-dtls", "listen.dtls", "ADDRESS:PORT, repeatable", several=True)
@_option("--certificate", "tls.certificate", "PEM file with the certificate chain")
@_option("--private-key", "tls.private_key", "PEM file with its key")
@_option("--relay-address", "relay.addresses", "Local relay address, repeatable", several=True)
@_option("--relay-ports", "relay.ports", "Relay ports, LOW-HIGH")
@_option("--external-ip", "relay.external", "PUBLIC or PUBLIC/PRIVATE, repeatable", several=True)
@_option("--allow-peer", "peers.allow", "Peers to allow, repeatable", several=True)
@_option("--deny-peer", "peers.deny", "Peers to deny, repeatable", several=True)
@_option("--user-database", "auth.user_database", "SQLite file of users and secrets")
@_option("--log-level", "log.level", "debug, info, warning, error")
@_option("--log-format", "log.format", "auto, human, json")
@_option("--log-file", "log.file", "File to log to")
@_option("--metrics", "metrics.listen", "ADDRESS:PORT of metrics and health, empty for none")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    config_file: str | None,
    *,
    strict: bool,
    check_config: bool,
    print_config: bool,
    demo: bool,
    **flags: Any,
) -> None:
    """Run the server.

    Flags stand above the environment (TURND_SECTION__KEY), which stands above the file.
    Secrets have no flags, as everybody on the host can read a command line: give them in
    the file, or as TURND_AUTH__SECRETS or TURND_AUTH__SECRETS_FILE.
    """
    overrides = {
        name.replace("__", ".", 1): list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if value not in (None, ())
    }
    demonstration = Demo.prepare(overrides) if demo else None

    def load(tell: Callable[[str], object]) -> Config:
        return _load(config_file, overrides, tell, strict=strict)

    try:
        config = load(partial(click.echo, err=True))
    except ConfigError as error:
        _fail_config(error)
    if check_config:
        click.echo("The configuration is good.")
        return
    if print_config:
        click.echo(_print(config))
        return
    code = _serve(config, lambda: load(_log_remark), demonstration)
    ctx.exit(code)


def _print(config: Config) -> str:
    return print_config(config).rstrip()


def _log_remark(remark: str) -> None:
    log.warning("configuration-remark", detail=remark)


def _load(
    config_file: str | None,
    overrides: Mapping[str, Any],
    tell: Callable[[str], object],
    *,
    strict: bool,
) -> Config:
    config, diagnostics = load_any(config_file, config_environment(), overrides, strict=strict)
    for diagnostic in diagnostics:
        if diagnostic.severity is not Severity.INFO:
            tell(str(diagnostic))
    for warning in config_warnings(config):
        tell(f"warning: {warning}")
    try:
        # Preparing names and passwords is part of the check: on HUP, a user whom OpaqueString
        # forbids must leave the old configuration running.
        open_source(config, None)
    except StunError as error:
        raise ConfigError(config_file or "", None, "auth.users", str(error)) from error
    return config


def _fail_config(error: ConfigError) -> NoReturn:
    if isinstance(error, CoturnConfError):
        for diagnostic in error.diagnostics:
            click.echo(str(diagnostic), err=True)
    else:
        click.echo(f"error: {error}", err=True)
    sys.exit(USAGE_ERROR)


_GARBAGE_THRESHOLDS = (20_000, 20, 50)


def _serve(config: Config, reload: Callable[[], Config], demo: Demo | None) -> int:
    try:
        log_file = LogFile(Path(config.log.file) if config.log.file else None)
    except OSError as error:
        click.echo(f"error: log.file: {config.log.file}: {error.strerror}", err=True)
        return USAGE_ERROR
    configure_logging(config.log.level, config.log.format, log_file)

    def on_ready(running: Running) -> None:
        # What is here now stays: the collector need not look at it again, nor after every
        # seven hundred objects. A look at fifteen thousand allocations stops requests for long.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)
        if demo is not None:
            demo.show(running, config)

    async def serve() -> None:
        await Application(config, log_file, reload).run(on_ready)

    code = 0
    try:
        trio.run(serve)
    except* _START_ERRORS as group:
        for reason in leaves(group):
            click.echo(f"error: {reason}", err=True)
        code = 1
    return code


_START_ERRORS = (
    ListenError,
    CertificateError,
    UserDatabaseError,
    PidfileError,
    PermissionError,
)


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors of a group, whatever nurseries they came through."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


for command in (user, secret, credentials, convert, doctor, completion):
    main.add_command(command)
