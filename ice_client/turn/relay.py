"""A datagram socket that relays: what users of a TURN server want of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ice_client.turn.errors import TurnClientError
from ice_client.turn.exchanges import DEFAULT_TIMING
from ice_client.turn.open_link import CONNECT_TIMEOUT, open_link
from ice_client.turn.open_session import SessionOptions, delete_allocation, open_session
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import Allocation
from ice_client.turn.server import TurnServer
from ice_client.turn.session import RECEIVE_QUEUE, Notice, Session
from ice_client.turn.trace import Observer, observe_nothing
from stun import Address, Family
from stun.transaction import Timing

_UDP = AllocateOptions()


class Relay:
    """An allocation on a TURN server, used as a socket. Made by `open_relay`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def server(self) -> TurnServer:
        """The server, after any redirection."""
        return self._session.server

    @property
    def allocation(self) -> Allocation:
        """All that the server granted."""
        return self._session.allocation

    @property
    def relayed_address(self) -> Address:
        """The address peers send to; the first, if there are two."""
        return self.allocation.relayed_addresses[0]

    @property
    def relayed_addresses(self) -> tuple[Address, ...]:
        """Every address peers can send to."""
        return self.allocation.relayed_addresses

    @property
    def mapped_address(self) -> Address:
        """The client's address as the server sees it (server-reflexive)."""
        return self.allocation.mapped_address

    @property
    def local_address(self) -> Address:
        """The client's own address on the link to the server."""
        return self._session.link.local

    @property
    def server_address(self) -> Address:
        """The server's address, after any redirection."""
        return self._session.link.remote

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

    def forget(self, *peers: Address) -> None:
        """Let the permissions of the peers' IP addresses end by themselves."""
        for peer in peers:
            self._session.client.forget(peer)

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
            DatagramTooLargeError: the link cannot carry so much.
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

    async def move(self, bind: Address | None = None) -> None:
        """Go on from another local address or port, with the same allocation (RFC 8016).

        For an allocation made with `AllocateOptions(mobility=True)`, on a server that does it.

        Args:
            bind: the new local address; None leaves address and port to the system.

        Raises:
            TurnClientError: there is no ticket, or the server refuses; nothing has changed.

        """
        session = self._session
        if not self.allocation.mobile:
            raise TurnClientError("the server gave no mobility ticket")
        await session.move(
            open_link(session.server, session.link.remote, bind=bind, observer=session.observer)
        )

    async def aclose(self) -> None:
        """Delete the allocation and end the relay; leaving `open_relay`'s block does it too."""
        await delete_allocation(self._session)


@contextlib.asynccontextmanager
async def open_relay(
    server: TurnServer,
    *,
    options: AllocateOptions = _UDP,
    bind: Address | None = None,
    family: Family | None = None,
    timing: Timing = DEFAULT_TIMING,
    connect_timeout: float = CONNECT_TIMEOUT,
    receive_queue: int = RECEIVE_QUEUE,
    automatic_channels: bool = True,
    follow_redirects: bool = True,
    observer: Observer = observe_nothing,
) -> AsyncIterator[Relay]:
    """Allocate on a TURN server for the length of the block.

    Args:
        server: where, and with which credentials.
        options: what to allocate.
        bind: local address to reach the server from; port 0 for any.
        family: of the server's addresses; None for both, where it has a name.
        timing: of retransmissions.
        connect_timeout: seconds that connecting, TLS or DTLS included, may take.
        receive_queue: datagrams kept until `receive_from` is called.
        automatic_channels: bind a channel to each peer that is sent to.
        follow_redirects: go where a 300 says; else raise `RedirectedError`.
        observer: is told of each stage and exchange.

    Raises:
        TurnClientError: no allocation: the class says why.

    """
    session_options = SessionOptions(
        allocate=options,
        bind=bind,
        family=family,
        timing=timing,
        connect_timeout=connect_timeout,
        receive_queue=receive_queue,
        automatic_channels=automatic_channels,
        follow_redirects=follow_redirects,
        observer=observer,
    )
    async with open_session(server, session_options) as session:
        yield Relay(session)
