"""Tries a relay: allocate, permission, echo between two allocations, direct, refresh.

The echo between two relays shows that the server relays at all. It proves nothing about the
firewall in front of it, as a server may deliver between its own allocations without a packet
on the wire; so this machine's own socket sends to the relayed address as a peer would.
"""

from __future__ import annotations

import contextlib
import secrets
import socket

import trio

from ice_client.check.exchange import TIMING
from ice_client.check.results import Cause, Outcome, Stage, StageName
from ice_client.check.row_builder import RowBuilder
from ice_client.errors import IceError
from ice_client.turn import (
    AllocateOptions,
    AuthenticationError,
    Exchange,
    FamilyNotSupportedError,
    ForbiddenError,
    RedirectError,
    Relay,
    ResponseError,
    TraceEvent,
    TurnServer,
    open_relay,
)
from stun import Address, Family, Method

ATTEMPTS = 4
"""Datagrams that may be lost before a path counts as closed."""
WAIT = 0.6
"""Seconds for each to come back."""
_LARGEST = 2048


async def probe_relay(server: TurnServer, builder: RowBuilder) -> None:
    """Try the relay of a server that answers Binding; every stage is written down."""
    async with contextlib.AsyncExitStack() as stack:
        relay = await _allocate(stack, server, builder)
        if relay is None:
            return
        builder.change(
            relayed_address=str(relay.relayed_address),
            mapped_address=str(relay.mapped_address),
            lifetime=relay.lifetime,
        )
        await _between_two(server, relay, builder)
        await _from_here(relay, builder)
        with contextlib.suppress(IceError), builder.stage(StageName.REFRESH):
            await relay.refresh()


class _AllocateTimes:
    """Sees the Allocate requests of a session: when they began and ended, and a 300 among them."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.ended = 0.0

    def observe(self, event: TraceEvent) -> None:
        if isinstance(event, Exchange) and event.method == Method.ALLOCATE:
            self.started = event.started_at if self.started is None else self.started
            self.ended = event.ended_at

    @property
    def seconds(self) -> float | None:
        return None if self.started is None else self.ended - self.started


async def _allocate(
    stack: contextlib.AsyncExitStack, server: TurnServer, builder: RowBuilder
) -> Relay | None:
    """Allocate in the family of the way, or where that is not relayed in the server's own."""
    family = Family.IPV6 if ":" in server.host else None
    not_relayed = ""
    while True:
        times = _AllocateTimes()
        try:
            relay = await stack.enter_async_context(
                open_relay(
                    server,
                    options=AllocateOptions(family=family),
                    timing=TIMING,
                    observer=times.observe,
                )
            )
        except FamilyNotSupportedError as error:
            if family is None:
                builder.fail(StageName.ALLOCATE, times.seconds, error)
                return None
            family, not_relayed = None, str(error)
        except IceError as error:
            _refused(server, builder, times.seconds, error)
            return None
        else:
            break
    code, detail = (440, f"IPv6: {not_relayed}") if not_relayed else (None, "")
    if relay.server_address != Address.parse(server.host, server.port):
        code, detail = 300, f"to {relay.server_address}"
    builder.add(Stage(StageName.ALLOCATE, Outcome.OK, times.seconds, code=code, detail=detail))
    return relay


def _refused(
    server: TurnServer, builder: RowBuilder, seconds: float | None, error: IceError
) -> None:
    if server.credentials is None and isinstance(error, AuthenticationError):
        detail = "wants credentials, none given"
        builder.skip(StageName.ALLOCATE, detail, Cause.NO_CREDENTIALS)
        return
    builder.fail(StageName.ALLOCATE, seconds, error)
    if isinstance(error, RedirectError):
        # Its own code is 300 mostly, but whatever the last server said: it is the redirection.
        failed = builder.row.stage(StageName.ALLOCATE)
        if failed is not None:
            builder.add(Stage(failed.name, failed.outcome, seconds, failed.cause, 300, str(error)))


async def _between_two(server: TurnServer, relay: Relay, builder: RowBuilder) -> None:
    """Send a datagram from one allocation to another of the same server and back."""
    family = relay.relayed_address.family
    options = AllocateOptions(family=Family.IPV6 if family is Family.IPV6 else None)
    try:
        async with open_relay(server, options=options, timing=TIMING) as other:
            with builder.stage(StageName.PERMISSION):
                await relay.permit(other.relayed_address)
                await other.permit(relay.relayed_address)
            started = trio.current_time()
            if await _echo(relay, other):
                seconds = trio.current_time() - started
                builder.add(Stage(StageName.ECHO, Outcome.OK, seconds))
            else:
                detail = "nothing came back through two relays"
                builder.add(Stage(StageName.ECHO, Outcome.FAILED, None, Cause.LOST, None, detail))
    except IceError as error:
        if builder.row.stage(StageName.PERMISSION) is None:
            what = f"{error.code}" if isinstance(error, ResponseError) else "no"
            builder.skip(StageName.ECHO, f"{what} second allocation: {error}")


async def _echo(relay: Relay, other: Relay) -> bool:
    """Whether a datagram came from `relay` to `other` and back."""
    payload = secrets.token_bytes(32)

    async def answer() -> None:
        # The allocation may be torn down while an answer is on its way.
        with contextlib.suppress(IceError):
            while True:
                data, peer = await other.receive_from()
                await other.send_to(data, peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        came = False
        for _ in range(ATTEMPTS):
            await relay.send_to(payload, other.relayed_address)
            if await _receive(relay, payload) is not None:
                came = True
                break
        nursery.cancel_scope.cancel()
    return came


async def _receive(relay: Relay, payload: bytes) -> Address | None:
    with trio.move_on_after(WAIT):
        while True:
            data, peer = await relay.receive_from()
            if data == payload:
                return peer
    return None


async def _from_here(relay: Relay, builder: RowBuilder) -> None:
    """Send from a socket of this machine to the relayed address, as a peer does, and back."""
    relayed, mapped = relay.relayed_address, relay.mapped_address
    if mapped.family is not relayed.family:
        builder.skip(StageName.DIRECT, "the relayed address is of another family")
        return
    started = trio.current_time()
    try:
        await relay.permit(mapped)
    except ForbiddenError as error:
        builder.skip(StageName.DIRECT, f"the server refuses this machine as a peer: {error}")
        return
    except IceError as error:
        builder.fail(StageName.DIRECT, trio.current_time() - started, error)
        return
    family = socket.AF_INET if relayed.family is Family.IPV4 else socket.AF_INET6
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        payload = secrets.token_bytes(32)
        with contextlib.suppress(IceError):
            for _ in range(ATTEMPTS):
                trip = await _there_and_back(relay, sock, payload)
                if trip is not None:
                    seconds, detail = trip
                    builder.add(Stage(StageName.DIRECT, Outcome.OK, seconds, detail=detail))
                    return
    detail = f"nothing sent from here to {relayed} arrived"
    builder.add(Stage(StageName.DIRECT, Outcome.FAILED, None, Cause.LOST, None, detail))


async def _there_and_back(
    relay: Relay, sock: trio.socket.SocketType, payload: bytes
) -> tuple[float, str] | None:
    """Return how long a datagram took to the relay and back, and what to say; None if lost.

    What has reached the relay shows what was asked. That nothing comes back is a NAT's affair
    here, or the policy of a server that this machine is itself.
    """
    started = trio.current_time()
    try:
        await sock.sendto(payload, relay.relayed_address.sockaddr)
    except OSError:
        await trio.sleep(WAIT)  # no route now; one may come
        return None
    peer = await _receive(relay, payload)
    if peer is None:
        return None
    there = trio.current_time() - started
    await relay.send_to(payload, peer)
    with trio.move_on_after(WAIT), contextlib.suppress(OSError):
        while (await sock.recvfrom(_LARGEST))[0] != payload:
            pass
        return trio.current_time() - started, ""
    return there, "there; nothing came back"
