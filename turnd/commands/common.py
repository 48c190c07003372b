"""What several commands share: the configuration they go by, and how they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from turnd.config import CONFIG_FILE_VARIABLE, Config, ConfigError
from turnd.coturn_conf import load_any

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_VARIABLE = "TURND_PASSWORD"  # noqa: S105 - a variable's name
SECRET_VARIABLE = "TURND_SECRET"  # noqa: S105 - a variable's name


def config_environment() -> dict[str, str]:
    """Return the environment without the variables that are the commands' own."""
    own = {PASSWORD_VARIABLE, SECRET_VARIABLE}
    return {name: value for name, value in os.environ.items() if name not in own}


def config_option(function: F) -> F:
    """Add `-c FILE` to a command."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        type=click.Path(dir_okay=False),
        envvar=CONFIG_FILE_VARIABLE,
        help="The server's configuration.",
    )(function)


def read_config(config_file: str | None) -> Config:
    """Read the configuration, or end the program with exit code 2 and the reason."""
    try:
        return load_any(config_file, config_environment(), check_files=False)[0]
    except ConfigError as error:
        fail(str(error), 2)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with a message on standard error."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
