"""A datagram socket that relays: what users of a TURN server want of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio

from ice_client.turn.authentication import Authenticator
from ice_client.turn.background import background_tasks
from ice_client.turn.client import TurnClient
from ice_client.turn.errors import RelayClosedError, TurnClientError
from ice_client.turn.exchanges import DEFAULT_TIMING
from ice_client.turn.open_link import open_link
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import Allocation
from ice_client.turn.server import TurnServer
from ice_client.turn.session import RECEIVE_QUEUE, Notice, Session, random_bytes
from ice_client.turn.trace import Observer, observe_nothing
from stun import Address
from stun.transaction import Timing

CLOSE_TIMEOUT = 2.0
"""Seconds for Refresh(0) to be answered when a relay closes, cancelled or not."""
_UDP = AllocateOptions()


class Relay:
    """An allocation on a TURN server, used as a socket. Made by `open_relay`."""

    def __init__(self, session: Session, allocation: Allocation, server: TurnServer) -> None:
        self._session = session
        self._allocation = allocation
        self.server = server

    @property
    def relayed_address(self) -> Address:
        """The address peers send to; the first, if there are two."""
        return self._allocation.relayed_addresses[0]

    @property
    def relayed_addresses(self) -> tuple[Address, ...]:
        """Every address peers can send to."""
        return self._allocation.relayed_addresses

    @property
    def mapped_address(self) -> Address:
        """The client's address as the server sees it (server-reflexive)."""
        return self._allocation.mapped_address

    @property
    def local_address(self) -> Address:
        """The client's own address on the link to the server."""
        return self._session.link.local

    @property
    def server_address(self) -> Address:
        """The server's address, after any redirection."""
        return self._session.link.remote

    @property
    def allocation(self) -> Allocation:
        """All that the server granted."""
        return self._session.client.allocation or self._allocation

    @property
    def lifetime(self) -> float:
        """Seconds that the server last granted; refreshed before they end."""
        return self.allocation.lifetime

    @property
    def dropped(self) -> int:
        """Datagrams lost because they were not received fast enough."""
        return self._session.dropped

    async def permit(self, *peers: Address) -> None:
        """Install permissions for the peers' IP addresses; they last as long as the relay.

        Raises:
            ForbiddenError: the server does not relay to one of them (the others stand).
            TurnClientError: another error, or the relay ended.

        """
        await self._session.perform(lambda now: self._session.client.permit(peers, now))

    async def bind_channel(self, peer: Address) -> None:
        """Bind a channel now; `send_to` does it by itself with the first datagram.

        Raises:
            TurnClientError: the server refuses, or the relay ended.

        """
        await self._session.perform(lambda now: self._session.client.bind_channel(peer, now))

    async def send_to(self, data: bytes, peer: Address, *, dont_fragment: bool = False) -> None:
        """Send a datagram to a peer, asking for a permission first if there is none. Per packet.

        Args:
            data: the datagram.
            peer: where to.
            dont_fragment: ask the server to set DF on it (RFC 8656 §14).

        Raises:
            ForbiddenError: the server does not relay to that peer.
            stun.EncodeError: the data do not fit a message.
            TurnClientError: the relay ended.

        """
        if not self._session.client.is_permitted(peer):
            await self.permit(peer)
        await self._session.send(data, peer, dont_fragment=dont_fragment)

    async def receive_from(self) -> tuple[bytes, Address]:
        """Return the next datagram and the peer it came from.

        Raises:
            TurnClientError: the relay ended: closed, refused a refresh, or the link broke.

        """
        return await self._session.receive()

    async def next_notice(self) -> Notice:
        """Return the next event that is no datagram: an ICMP error, a lost permission.

        Raises:
            TurnClientError: the relay ended.

        """
        return await self._session.next_notice()

    async def refresh(self, lifetime: int | None = None) -> None:
        """Refresh the allocation now, which otherwise happens in time by itself.

        Args:
            lifetime: seconds to ask for; None for what was asked for before.

        Raises:
            TurnClientError: the server refuses, or the relay ended.

        """
        await self._session.perform(lambda now: self._session.client.refresh(now, lifetime))

    async def aclose(self) -> None:
        """Delete the allocation and end the relay; leaving `open_relay`'s block does it too."""
        await _delete(self._session)


@contextlib.asynccontextmanager
async def open_relay(
    server: TurnServer,
    *,
    options: AllocateOptions = _UDP,
    bind: Address | None = None,
    timing: Timing = DEFAULT_TIMING,
    receive_queue: int = RECEIVE_QUEUE,
    automatic_channels: bool = True,
    observer: Observer = observe_nothing,
) -> AsyncIterator[Relay]:
    """Allocate on a TURN server for the length of the block.

    Args:
        server: where, and with which credentials.
        options: what to allocate.
        bind: local address to reach the server from; port 0 for any.
        timing: of retransmissions.
        receive_queue: datagrams kept until `receive_from` is called.
        automatic_channels: bind a channel to each peer that is sent to.
        observer: is told of each stage and exchange.

    Raises:
        TurnClientError: no allocation: the class says why.

    """
    remote = server.address
    if remote is None:
        raise TurnClientError(f"{server.host} is not an address")
    async with (
        open_link(server, remote, bind=bind, observer=observer) as link,
        background_tasks() as nursery,
    ):
        client = TurnClient(
            Authenticator(server.credentials),
            options,
            random_bytes=random_bytes,
            reliable=link.reliable,
            timing=timing,
            automatic_channels=automatic_channels,
        )
        session = Session(client, link, observer, receive_queue)
        await session.run(nursery)
        try:
            done = await session.perform(client.allocate)
            if not isinstance(done.result, Allocation):
                raise RelayClosedError("no allocation")
            yield Relay(session, done.result, server)
        finally:
            await _delete(session)


async def _delete(session: Session) -> None:
    """Send Refresh(0) and wait a little for the answer, even when cancelled."""
    if session.is_allocated and session.failure is None:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True), contextlib.suppress(TurnClientError):
            await session.perform(session.client.close)
    session.end()
