"""`ice-check turncat`: iperf, ssh or anything else through a TURN server."""

from __future__ import annotations

import time

import click
import trio

from ice_client.check.options import (
    TargetOptions,
    only_target,
    parse_address,
    run_until_interrupted,
    server_from,
    target_options,
    targets_from,
)
from ice_client.check.target import Target, TargetError
from ice_client.check.turncat import TcpTunnel, open_udp_tunnel
from stun import Address


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Local ADDRESS:PORT.")
@click.option("--peer", required=True, help="ADDRESS:PORT the tunnel leads to.")
@click.option("--tcp", is_flag=True, help="TCP (RFC 6062) instead of UDP.")
@target_options
def turncat(*, target: TargetOptions, listen: str, peer: str, tcp: bool) -> None:
    """Tunnel a local port through a TURN server to a peer, until Ctrl-C."""
    run_until_interrupted(
        _tunnel,
        only_target(targets_from(target)),
        parse_address(listen, "--listen"),
        parse_address(peer, "--peer"),
        tcp,
    )


async def _tunnel(target: Target, listen: Address, peer: Address, tcp: bool) -> None:
    server = await server_from(target, time.time(), stream=tcp)
    try:
        async with trio.open_nursery() as nursery:
            if tcp:
                tunnel = TcpTunnel(server, peer, _say)
                address = await nursery.start(tunnel.run, listen)
            else:
                udp = await open_udp_tunnel(server, listen, peer, _say)
                address = udp.local_address
                nursery.start_soon(udp.run)
            _say(f"listening on {address} ({'TCP' if tcp else 'UDP'}), to {peer}")
    except* OSError as group:
        raise TargetError(f"cannot listen on {listen}: {group.exceptions[0]}") from group


def _say(text: str) -> None:
    click.echo(text, err=True)
