"""``python -m webrtc.demo``: options, and the server until Ctrl-C."""

from __future__ import annotations

import signal

import click
import trio

from ice_client import InterfaceFilter, ServerError, TlsOptions
from webrtc.demo.server import DemoSettings, serve_demo
from webrtc.demo.turn_service import TurnService


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to serve the page.")
@click.option("--port", default=8080, show_default=True, help="Port of the page; 0 for any.")
@click.option("--ice-url", multiple=True, help="stun:, turn: or turns: URL, for both ends.")
@click.option("--turn-user", help="User name of the TURN server.")
@click.option("--turn-password", help="Password of the TURN server.")
@click.option("--turn-secret", help="Instead of both: the secret that makes time-limited ones.")
@click.option("--turn-insecure", is_flag=True, help="Believe any certificate of a turns: server.")
@click.option("--network", multiple=True, help="Use only addresses of these networks (CIDR).")
@click.option("--loopback", is_flag=True, help="Use the loopback interface for media as well.")
def main(
    host: str,
    port: int,
    ice_url: tuple[str, ...],
    turn_user: str | None,
    turn_password: str | None,
    turn_secret: str | None,
    turn_insecure: bool,
    network: tuple[str, ...],
    loopback: bool,
) -> None:
    """Serve a page on which a browser calls this program.

    A relay in between needs a TURN server: say --ice-url and its credentials.
    """
    try:
        service = TurnService(
            urls=ice_url,
            username=turn_user,
            password=turn_password,
            secret=turn_secret,
            tls=TlsOptions(verify=not turn_insecure),
        )
        service.check()
        interfaces = InterfaceFilter(networks=network, loopback=loopback)
    except (ServerError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    settings = DemoSettings(turn=service, interfaces=interfaces)

    failure: OSError | None = None
    try:
        trio.run(_serve, host, port, settings)
    except* OSError as errors:
        failure = next(each for each in errors.exceptions if isinstance(each, OSError))
    if failure is not None:
        raise click.ClickException(f"{host}:{port}: {failure.strerror or failure}")


async def _serve(host: str, port: int, settings: DemoSettings) -> None:
    def tell(url: str) -> None:
        click.echo(f"Open {url} in a browser; Ctrl-C ends it.")

    # Not as an exception in whichever task runs: one of a call's would end that call alone.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_demo, host, port, settings, tell)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
