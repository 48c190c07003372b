"""`turnd completion`: what a shell sources to complete `turnd`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from turnd.commands.common import fail


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print completion for SHELL: eval "$(turnd completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        fail(f"no completion for {shell}")
    complete = kind(ctx.find_root().command, {}, "turnd", "_TURND_COMPLETE")
    click.echo(complete.source())
