"""Options that the commands of `ice-check` share: what to check, and with which credentials."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import trio

from ice_client.check.probe_dns import NameServer, look_up
from ice_client.check.probe_way import server_of
from ice_client.check.sources import (
    LARGEST_FILE,
    from_configuration,
    from_ice_servers,
    parse_uri,
    read_file,
)
from ice_client.check.target import Target, TargetError, doors, ways
from ice_client.errors import IceError
from ice_client.turn import Transport, TurnServer
from stun import Address, AddressError
from stun.uri import StunUri

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PASSWORD_VARIABLE = "ICE_CHECK_PASSWORD"  # noqa: S105 - a variable's name
SECRET_VARIABLE = "ICE_CHECK_SECRET"  # noqa: S105 - a variable's name
TOKEN_VARIABLE = "ICE_CHECK_ACCESS_TOKEN"  # noqa: S105 - a variable's name
XMPP_PASSWORD_VARIABLE = "ICE_CHECK_XMPP_PASSWORD"  # noqa: S105 - a variable's name


@attrs.frozen(slots=True, kw_only=True)
class TargetOptions:
    """What the command line says of the target, as it came."""

    targets: tuple[str, ...]
    username: str | None
    password: str | None = attrs.field(repr=False)
    secret: str | None = attrs.field(repr=False)
    realm: str | None
    config_file: str | None
    host: str | None


def target_options(function: F) -> F:
    """Add TARGET and its options to a command, which gets them as `target: TargetOptions`."""

    @functools.wraps(function)
    def command(**options: Any) -> Any:
        names = [each.name for each in attrs.fields(TargetOptions)]
        target = TargetOptions(**{name: options.pop(name) for name in names})
        return function(target=target, **options)

    decorators = (
        click.argument("targets", metavar="[TARGET]...", nargs=-1),
        click.option("-u", "--username", help="TURN user name; with --secret, the name in it."),
        click.option(
            "-p",
            "--password",
            envvar=PASSWORD_VARIABLE,
            help=f"Its password; or {PASSWORD_VARIABLE}, which no process list shows.",
        ),
        click.option(
            "--secret",
            envvar=SECRET_VARIABLE,
            help=f"Shared secret to make time-limited credentials from; or {SECRET_VARIABLE}.",
        ),
        click.option("--realm", help="The realm that the server is expected to have."),
        click.option(
            "-c",
            "--config",
            "config_file",
            type=click.Path(exists=True, dir_okay=False),
            help="Check the server of this turnd.toml or turnserver.conf.",
        ),
        click.option("--host", help="With --config: name or address clients reach it by."),
    )
    decorated: Any = command
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated  # type: ignore[no-any-return]


def targets_from(options: TargetOptions) -> list[Target]:
    """Return what is to be checked.

    Raises:
        click.UsageError: nothing is, or it makes no sense.

    """
    try:
        return _targets(options)
    except TargetError as error:
        raise click.UsageError(str(error)) from error


def _targets(options: TargetOptions) -> list[Target]:
    if options.password is not None and options.username is None and options.secret is None:
        raise TargetError("a password needs a user name: -u")
    targets: list[Target] = []
    uris: list[StunUri] = []
    for text in options.targets:
        if text == "-":
            targets += from_ice_servers(sys.stdin.read(LARGEST_FILE))
        elif text.lstrip().startswith(("{", "[")):
            targets += from_ice_servers(text)
        elif _looks_like_a_file(text):
            targets += from_ice_servers(read_file(Path(text)))
        else:
            uris.append(_uri(text))
    if options.config_file is not None:
        targets += from_configuration(Path(options.config_file), options.host)
    targets = [_with_options(each, options) for each in targets]
    if uris:
        targets.insert(0, _with_options(Target(uris=tuple(uris)), options))
    return targets


def _uri(text: str) -> StunUri:
    try:
        return parse_uri(text)
    except TargetError as error:
        if "/" in text:
            raise TargetError(f"{error}, and there is no file of that name") from error
        try:
            meant = parse_uri(f"turn:{text}")
        except TargetError:
            raise error from None
        raise TargetError(f"{error}; did you mean {meant}?") from error


def _looks_like_a_file(text: str) -> bool:
    return not text.startswith(("stun:", "stuns:", "turn:", "turns:")) and Path(text).is_file()


def _with_options(target: Target, options: TargetOptions) -> Target:
    """Let what the command line says stand above what a file says."""
    if options.secret is not None:
        target = attrs.evolve(
            target, secret=options.secret, username=options.username, password=None
        )
    elif options.username is not None:
        target = attrs.evolve(
            target, username=options.username, password=options.password, secret=None
        )
    return attrs.evolve(target, realm=options.realm or target.realm)


def name_server(text: str | None) -> NameServer | None:
    """Read ADDRESS or ADDRESS:PORT of a name server.

    Raises:
        click.UsageError: it is none.

    """
    if text is None:
        return None
    address = parse_address(text, "name server", 53)
    return NameServer(address.host, address.port)


def parse_address(text: str, what: str, default_port: int = 0) -> Address:
    """Read ADDRESS:PORT.

    Raises:
        click.UsageError: it is none.

    """
    try:
        return Address.parse_endpoint(text, default_port)
    except AddressError as error:
        raise click.UsageError(f"{what}: {error}") from error


def run(function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run on trio; an expected failure ends with its message.

    Args:
        function: what to run.
        arguments: of it.

    Raises:
        click.UsageError: the target cannot be used.
        click.ClickException: what was tried does not work (exit code 1).
        click.Abort: Ctrl-C.

    """
    try:
        return trio.run(function, *arguments)
    except BaseException as raised:
        # Nurseries wrap what goes through them; it is the error inside that is known here.
        error = first_of(raised)
        if isinstance(error, TargetError):
            raise click.UsageError(str(error)) from error
        if isinstance(error, IceError):
            raise click.ClickException(explain(error)) from error
        if isinstance(error, KeyboardInterrupt):
            raise click.Abort from None
        raise


def run_until_interrupted(function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run what has no end of its own: Ctrl-C is how it ends, and no failure. See `run`."""
    with contextlib.suppress(click.Abort):
        run(function, *arguments)


def first_of(error: BaseException) -> BaseException:
    """Return the first error inside of a group of them, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> str:
    """Say what an error is, in a line."""
    return str(error) or type(error).__name__


def only_target(targets: Sequence[Target]) -> Target:
    """Return the one target of a command that takes no more.

    Raises:
        click.UsageError: there is none, or there are several.

    """
    if len(targets) != 1:
        raise click.UsageError("give one server" if not targets else "give one server only")
    return targets[0]


async def server_from(target: Target, wall_time: float, *, stream: bool = False) -> TurnServer:
    """Return the target's first TURN server by its address, for commands that use but one.

    Args:
        target: what was given.
        wall_time: seconds since the epoch.
        stream: reach it by TCP or TLS, whatever the URI says.

    Raises:
        TargetError: there is none, or its name has no address.

    """
    _, addresses = await look_up(target.uris)
    rows = ways([door for door in doors(target) if door.relays and door.expected], addresses)
    if not rows:
        raise TargetError(f"{target} names no TURN server that has an address")
    way = next((each for each in rows if each.transport.is_stream), rows[0]) if stream else rows[0]
    if stream and not way.transport.is_stream:
        way = attrs.evolve(
            way, transport=Transport.TLS if way.transport.is_secure else Transport.TCP
        )
    return server_of(way, target.credentials(wall_time))
