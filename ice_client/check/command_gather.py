"""`ice-check gather` and `ice-check nat`: what ICE would offer here, and what the NAT does."""

from __future__ import annotations

import time

import click
import trio
from rich.console import Console

from ice_client import IceServer, format_candidate, open_ice_agent
from ice_client.check.connect import GATHERING, ice_servers
from ice_client.check.network_results import Filtering, Mapping, NatResult
from ice_client.check.options import TargetOptions, only_target, run, target_options, targets_from
from ice_client.check.probe_dns import look_up
from ice_client.check.probe_nat import LIFETIMES, probe_nat
from ice_client.check.report_text import milliseconds, nat_lines
from ice_client.check.target import Target, TargetError
from stun import Address


@click.command()
@target_options
def gather(*, target: TargetOptions) -> None:
    """Show the candidates ICE has here: host, and with a TARGET server-reflexive and relayed."""
    run(_gather, ice_servers(targets_from(target), time.time()))


async def _gather(servers: list[IceServer]) -> None:
    started = trio.current_time()
    async with open_ice_agent(servers, controlling=True) as agent:
        with trio.move_on_after(GATHERING):
            async for candidate in agent.local_candidates():
                after = milliseconds(trio.current_time() - started)
                click.echo(f"{after:>8}  a={format_candidate(candidate)}")
        for failure in agent.server_failures:
            click.echo(f"{failure.uri}: {failure.reason}", err=True)


@click.command()
@click.option("--lifetime", is_flag=True, help="How long a mapping lasts as well; takes minutes.")
@target_options
def nat(*, target: TargetOptions, lifetime: bool) -> None:
    """Tell the behaviour of the NAT here, by a STUN server with two addresses (RFC 5780)."""
    results = run(discover, only_target(targets_from(target)), lifetime)
    console = Console(highlight=False)
    for line in nat_lines(results):
        console.print(line, markup=False)
    for result in results:
        console.print(f"  {meaning(result)}", markup=False)
    if not any(each.mapped_address for each in results):
        raise click.exceptions.Exit(1)


async def discover(target: Target, lifetime: bool) -> tuple[NatResult, ...]:
    """Discover NAT behaviour by every address of the target's first server.

    Raises:
        TargetError: its name has no address.

    """
    uri = target.uris[0]
    _, addresses = await look_up([uri])
    found = addresses.get(uri.host)
    if not found:
        raise TargetError(f"{uri.host} has no address")
    results: dict[int, NatResult] = {}

    async def probe(number: int, host: str) -> None:
        server = Address.parse(host, uri.effective_port)
        results[number] = await probe_nat(server, lifetimes=LIFETIMES if lifetime else ())

    async with trio.open_nursery() as nursery:
        for number, host in enumerate(found):
            nursery.start_soon(probe, number, host)
    return tuple(results[number] for number in range(len(found)))


def meaning(result: NatResult) -> str:
    """Say what the behaviour means for calls."""
    if result.mapped_address is None:
        return "UDP does not get out to this server: calls need TURN over TCP or TLS."
    if result.mapping is None:
        return "This server cannot tell what the NAT does; ICE tries everything anyway."
    if result.mapping is Mapping.NONE:
        if result.filtering is None:
            return "No NAT; whether a firewall filters, this server cannot tell."
        if result.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return "No NAT and no filter: direct connections work with everybody."
        return "No NAT but a firewall: direct connections work where both sides send."
    if result.mapping is Mapping.ENDPOINT_INDEPENDENT:
        if result.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT:
            return "Direct connections work, but for peers behind a symmetric NAT: those relay."
        return "Direct connections work with nearly everybody."
    if result.filtering is Filtering.ENDPOINT_INDEPENDENT:
        return "Symmetric mapping, open filter: peers reach this side, which opens new ports."
    return "Symmetric NAT: calls to peers behind one too, or a port-restricted one, are relayed."
