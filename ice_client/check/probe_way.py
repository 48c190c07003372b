"""Tries one way to the server, stage by stage: connect, TLS, binding, and then its relay."""

from __future__ import annotations

import attrs
import trio

from ice_client.check.exchange import ask, mapped_address, text_of
from ice_client.check.probe_relay import probe_relay
from ice_client.check.results import Outcome, Row, StageName
from ice_client.check.row_builder import RowBuilder, Watcher
from ice_client.check.target import Way
from ice_client.errors import IceError
from ice_client.turn import Credentials, TlsOptions, Transport, TurnServer
from ice_client.turn.open_link import open_link
from stun import Address, Method
from stun import attributes as a

LINK_TIMEOUT = 6.0
"""Seconds to connect, shake hands and get a Binding response."""
RELAY_TIMEOUT = 20.0
"""Seconds for everything from Allocate to Refresh."""


def server_of(way: Way, credentials: Credentials | None) -> TurnServer:
    """Return the way as the TURN client knows servers.

    Certificates are not verified: the TLS probe judges them, and a bad one must not hide what
    else is wrong.
    """
    tls = TlsOptions(verify=False, server_name=way.name)
    return TurnServer(way.address, way.port, way.transport, credentials, tls)


async def probe_way(
    way: Way, credentials: Credentials | None, watcher: Watcher, *, timeout: float = LINK_TIMEOUT
) -> Row:
    """Try one way.

    Args:
        way: which.
        credentials: to allocate with; without, Allocate is only tried as far as its challenge.
        watcher: sees the row grow.
        timeout: seconds for the link and its Binding.

    """
    builder = RowBuilder(way, watcher)
    if not await _bind(way, builder, timeout):
        if await _speaks_other(way, builder.row, timeout):
            builder.change(speaks_other=True)
        return builder.row
    if way.relays:
        with trio.move_on_after(RELAY_TIMEOUT) as scope:
            await probe_relay(server_of(way, credentials), builder)
        if scope.cancelled_caught:
            _name_what_hangs(builder)
    return builder.row


async def _bind(way: Way, builder: RowBuilder, timeout: float) -> bool:
    """Make a link and ask for a Binding over it; return whether both went well."""
    server = server_of(way, None)
    remote = Address.parse(way.address, way.port)
    with trio.move_on_after(timeout) as scope:
        try:
            async with open_link(server, remote, observer=builder.observe_link) as link:
                with builder.stage(StageName.BINDING):
                    response = await ask(link, Method.BINDING)
                builder.change(
                    mapped_address=mapped_address(response),
                    software=text_of(response, a.SOFTWARE),
                )
        except IceError as error:
            # The stage it happened in has been written down, unless it was none of ours.
            if builder.row.failure is None:
                builder.fail(StageName.CONNECT, None, error)
    if scope.cancelled_caught and builder.row.failure is None:
        builder.fail(StageName.BINDING, timeout, trio.TooSlowError("no answer"))
    return builder.row.failure is None


_OTHER = {
    Transport.TLS: Transport.TCP,
    Transport.TCP: Transport.TLS,
    Transport.DTLS: Transport.UDP,
}
"""What a port may speak that was taken for another kind."""


async def _speaks_other(way: Way, row: Row, timeout: float) -> bool:
    """Whether the port speaks plain STUN where TLS was asked for, or the other way about."""
    other = _OTHER.get(way.transport)
    connect = row.stage(StageName.CONNECT)
    if other is None or connect is None or connect.outcome is not Outcome.OK:
        return False
    server = server_of(attrs.evolve(way, transport=other), None)
    with trio.move_on_after(timeout):
        try:
            async with open_link(server, Address.parse(way.address, way.port)) as link:
                if not other.is_secure:
                    await ask(link, Method.BINDING)
                return True
        except IceError:
            return False
    return False


def _name_what_hangs(builder: RowBuilder) -> None:
    done = {stage.name for stage in builder.row.stages}
    order = (StageName.ALLOCATE, StageName.PERMISSION, StageName.ECHO, StageName.REFRESH)
    for name in order:
        if name not in done:
            builder.fail(name, RELAY_TIMEOUT, trio.TooSlowError("no answer"))
            return
