"""The channels a client has bound (RFC 8656 §12): numbers, their refresh, both directions."""

from __future__ import annotations

import enum
from collections import deque

import attrs

from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import TooManyPeersError, TurnClientError
from ice_client.turn.options import peer_attribute
from ice_client.turn.outputs import Done, Failed, Output, PermissionLost
from ice_client.turn.permissions import REFRESH_MARGIN, Permissions, StartRequest
from stun import Address, Message, Method, RawAttribute
from stun import attributes as a
from stun.channel_data import FIRST_CHANNEL, LAST_CHANNEL_RFC8656

CHANNEL_LIFETIME = 600.0
"""Seconds (RFC 8656 §12)."""


class ChannelState(enum.Enum):
    """Where a channel binding is."""

    BINDING = "binding"
    BOUND = "bound"
    REFUSED = "refused"


@attrs.define(slots=True, eq=False)
class Channel:
    """One peer's channel.

    Attributes:
        number: 0x4000 to 0x4FFF.
        peer: its transport address.
        state: see `ChannelState`.
        operations: who waits for it.

    """

    number: int
    peer: Address
    state: ChannelState = ChannelState.BINDING
    operations: list[int] = attrs.field(factory=list)
    error: TurnClientError | None = None


@attrs.frozen(slots=True, eq=False)
class ChannelPurpose:
    """Why a ChannelBind request was sent."""

    channel: Channel


class Channels:
    """Channels by peer and by number.

    Args:
        start: sends a request for a purpose.
        permissions: which a ChannelBind installs and refreshes as well.
        deadlines: where refreshes are scheduled, under ``("channel", number)``.
        outputs: where results are queued.

    """

    def __init__(
        self,
        start: StartRequest,
        permissions: Permissions,
        deadlines: Deadlines,
        outputs: deque[Output],
    ) -> None:
        self._start = start
        self._permissions = permissions
        self._deadlines = deadlines
        self._outputs = outputs
        self._by_peer: dict[Address, Channel] = {}
        self._by_number: dict[int, Channel] = {}
        self._next_number = FIRST_CHANNEL

    @property
    def has_room(self) -> bool:
        """Whether there is a number left."""
        return self._next_number <= LAST_CHANNEL_RFC8656

    def known(self, peer: Address) -> bool:
        """Whether that peer's channel is bound, being bound, or was refused. Per packet."""
        return peer in self._by_peer

    def number_to(self, peer: Address) -> int | None:
        """Return the bound channel to a peer. Per packet."""
        channel = self._by_peer.get(peer)
        if channel is None or channel.state is not ChannelState.BOUND:
            return None
        return channel.number

    def peer_of(self, number: int) -> Address | None:
        """Return whose data comes on a channel; also before its binding is confirmed.

        Per packet.
        """
        channel = self._by_number.get(number)
        return channel.peer if channel is not None else None

    def bind(self, operation: int | None, peer: Address, now: float) -> None:
        """Bind a channel to a peer, unless one is.

        Raises:
            TooManyPeersError: there is no channel number left.

        """
        channel = self._by_peer.get(peer)
        if channel is not None and channel.state is not ChannelState.BINDING:
            if operation is not None:
                ended = Failed(operation, channel.error) if channel.error else Done(operation)
                self._outputs.append(ended)
            return
        if channel is None:
            if not self.has_room:
                # RFC 8656 §12: a number must rest for ten minutes before another peer has it.
                raise TooManyPeersError("every channel number is in use")
            channel = Channel(self._next_number, peer)
            self._next_number += 1
            self._by_peer[peer] = self._by_number[channel.number] = channel
            self._request(channel, now)
        if operation is not None:
            channel.operations.append(operation)

    def on_deadline(self, number: int, now: float) -> None:
        """Refresh a channel binding."""
        channel = self._by_number.get(number)
        if channel is not None:
            self._request(channel, now)

    def answered(
        self,
        purpose: ChannelPurpose,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        """Take the outcome of a ChannelBind request."""
        channel = purpose.channel
        operations, channel.operations = channel.operations, []
        if error is None:
            channel.state = ChannelState.BOUND
            self._deadlines.set(
                ("channel", channel.number), now + CHANNEL_LIFETIME - REFRESH_MARGIN
            )
            self._permissions.refreshed(channel.peer.packed, now)
            self._outputs.extend(Done(operation, response) for operation in operations)
            return
        # The peer is still reached by Send indications, as long as there is a permission.
        if channel.state is ChannelState.BOUND:
            self._outputs.append(PermissionLost(channel.peer, error))
        channel.state, channel.error = ChannelState.REFUSED, error
        self._outputs.extend(Failed(operation, error) for operation in operations)

    def _request(self, channel: Channel, now: float) -> None:
        def attributes(transaction_id: bytes) -> list[RawAttribute]:
            return [
                a.CHANNEL_NUMBER.of(channel.number),
                peer_attribute(channel.peer, transaction_id),
            ]

        self._start(Method.CHANNEL_BIND, attributes, ChannelPurpose(channel), now)
