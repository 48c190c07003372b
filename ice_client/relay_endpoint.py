"""A TURN allocation as an agent's endpoint (RFC 8445 §5.1.1.2, RFC 8656 §9).

A relay sends to whom the server gave a permission for. Asking takes a round trip, or a timeout,
and the answer for one peer must hold up packets for no other: so each peer IP has its own task
and its own few packets that wait for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from ice_client.core import Base
from ice_client.endpoint import Endpoint, Received
from ice_client.errors import PacketTooLongError
from ice_client.turn import Relay, TurnClientError
from stun import Address, EncodeError, Family

MAX_PEERS = 128
"""Peer IP addresses; the core's limit on remote candidates keeps an honest agent below it."""
WAITING_PACKETS = 8
"""For each peer, until its permission is there: checks, which are sent again anyway."""
QUEUED_PACKETS = 512
"""Of senders that do not wait: a window of SCTP, or a key frame."""
SPLIT_PACKETS = 1024
"""As many as the relay itself keeps, for each family."""

_log = logging.getLogger(__name__)


class RelayEndpoint(Endpoint):
    """Sends and receives through a relay.

    Args:
        relay: open, and open for as long as the endpoint is used.
        relayed_address: which of its addresses; peers of the same family are sent to.
        receive: returns the next packet of that family; the relay's own method if it has no
            other address.

    """

    def __init__(
        self,
        relay: Relay,
        relayed_address: Address,
        receive: Callable[[], Awaitable[tuple[bytes, Address]]],
    ) -> None:
        self.base = Base(relayed_address)
        self.relay = relay
        self._receive = receive
        self._permitted: set[bytes] = set()
        self._refused: set[bytes] = set()
        self._waiting: dict[bytes, deque[tuple[bytes, Address]]] = {}
        self._nursery: trio.Nursery | None = None
        self._outgoing, self._queue = trio.open_memory_channel[tuple[bytes, Address]](
            QUEUED_PACKETS
        )

    def send_now(self, data: bytes, remote: Address) -> bool:
        """See `Endpoint`: False for a peer that the server refused a permission for."""
        if remote.packed in self._permitted:
            with contextlib.suppress(trio.WouldBlock):
                self._outgoing.send_nowait((data, remote))
            return True
        waiting = self._ask_leave(remote)
        if waiting is None:
            return False
        waiting.append((data, remote))
        return True

    def permit(self, remote: Address) -> None:
        """See `Endpoint`."""
        if remote.packed not in self._permitted:
            self._ask_leave(remote)

    async def send_to(self, data: bytes, remote: Address) -> None:
        """See `Endpoint`. Runs per packet."""
        try:
            await self.relay.send_to(data, remote)
        except EncodeError as error:
            raise PacketTooLongError(str(error)) from error
        except TurnClientError as error:
            _log.debug("lost on the way to %s: %s", remote, error)

    async def receive_from(self) -> Received:
        """See `Endpoint`."""
        return await self._receive()

    async def serve(self) -> None:
        """See `Endpoint`."""
        async with trio.open_nursery() as self._nursery:
            for packed in list(self._waiting):
                self._nursery.start_soon(self._get_leave, Address(packed, 0))
            async for data, remote in self._queue:
                await self.send_to(data, remote)

    def _ask_leave(self, remote: Address) -> deque[tuple[bytes, Address]] | None:
        """Return what waits for the peer's permission; ask for that if nobody does yet."""
        # RFC 8656 §9.1: a peer of another family would be answered 443.
        if remote.packed in self._refused or remote.family is not self.base.address.family:
            return None
        waiting = self._waiting.get(remote.packed)
        if waiting is None:
            if len(self._waiting) + len(self._permitted) + len(self._refused) >= MAX_PEERS:
                return None
            waiting = self._waiting[remote.packed] = deque(maxlen=WAITING_PACKETS)
            if self._nursery is not None:
                self._nursery.start_soon(self._get_leave, remote)
        return waiting

    async def _get_leave(self, remote: Address) -> None:
        try:
            await self.relay.permit(remote.with_port(0))
        except TurnClientError as error:
            # The core hears of it with the next packet, at the latest when it sends a check again.
            _log.debug("no permission for %s: %s", remote.host, error)
            self._refused.add(remote.packed)
            del self._waiting[remote.packed]
            return
        self._permitted.add(remote.packed)
        for data, peer in self._waiting.pop(remote.packed):
            await self.send_to(data, peer)


class RelaySplitter:
    """The endpoints of one relay, which has an address of each family (RFC 8656 §7.1).

    Attributes:
        endpoints: one for each relayed address.

    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._ended: TurnClientError | None = None
        addresses = relay.relayed_addresses
        self._channels = {
            address.family: trio.open_memory_channel[tuple[bytes, Address]](SPLIT_PACKETS)
            for address in addresses
            if len(addresses) > 1
        }
        self.endpoints = [
            RelayEndpoint(relay, address, self._receiver(address.family)) for address in addresses
        ]

    def _receiver(self, family: Family) -> Callable[[], Awaitable[tuple[bytes, Address]]]:
        if family not in self._channels:
            return self._relay.receive_from

        async def receive() -> tuple[bytes, Address]:
            try:
                return await self._channels[family][1].receive()
            except trio.EndOfChannel:
                raise self._ended or TurnClientError("the relay is closed") from None

        return receive

    async def run(self) -> None:
        """Give each family's packets to its endpoint until cancelled or the relay ends."""
        while self._channels:
            try:
                data, peer = await self._relay.receive_from()
            except TurnClientError as error:
                self._ended = error
                for sender, _ in self._channels.values():
                    sender.close()
                return
            if peer.family in self._channels:
                with contextlib.suppress(trio.WouldBlock):  # lost, as in a socket's full buffer
                    self._channels[peer.family][0].send_nowait((data, peer))
