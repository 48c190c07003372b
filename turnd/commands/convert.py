"""`turnd convert`: a turnserver.conf as TOML."""

from __future__ import annotations

import os
import sys

import click

from turnd.commands.common import fail
from turnd.config import ConfigError
from turnd.coturn_conf import CoturnConfError, convert_to_toml


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write there, mode 0600.")
@click.option("--strict", is_flag=True, help="Unknown lines are errors.")
def convert(file: str, output: str | None, *, strict: bool) -> None:
    """Write what coturn's FILE means as turnd.toml, secrets included; remarks go to stderr."""
    try:
        text, diagnostics = convert_to_toml(file, strict=strict)
    except CoturnConfError as error:
        for diagnostic in error.diagnostics:
            click.echo(str(diagnostic), err=True)
        sys.exit(2)
    except ConfigError as error:
        fail(str(error), 2)
    for diagnostic in diagnostics:
        click.echo(str(diagnostic), err=True)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, 0o600)  # it may have been there, for all to read
            stream.write(text)
    except OSError as error:
        fail(f"{output}: {error.strerror}")
