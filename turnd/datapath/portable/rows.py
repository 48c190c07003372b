"""The relay tables as objects: allocation, relay, channel and permission rows, and routes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable

import attrs

from stun import Address
from turnd.core.five_tuple import FiveTuple
from turnd.core.tables import RelayedAddress
from turnd.datapath.portable.ancillary import PLAIN_V4, PLAIN_V6, AncillaryOut
from turnd.datapath.portable.counters import Count, TrafficCount
from turnd.datapath.portable.token_bucket import TokenBucket

SendToClient = Callable[[bytes, int], bool]
"""Sends one whole message to a client with a DSCP and ECN byte; False (and counted) if it can't."""

MAX_ROUTES = 512
"""Routes an allocation remembers; a client with more peers than that finds them anew."""


@attrs.define(slots=True, eq=False)
class PermissionRow:
    """Permission for one peer IP address; see `Tables.set_permission`."""

    deadline: float
    internal_only: bool


@attrs.define(slots=True, eq=False)
class ChannelRow:
    """A channel: its peer, and the two bytes its ChannelData begins with."""

    peer: Address
    prefix: bytes
    deadline: float


@attrs.define(slots=True, eq=False)
class RelayRow:
    """One relayed transport address of an allocation and its socket.

    Attributes:
        allocation: whose it is.
        relayed: its names.
        sock: bound to `relayed.local`.
        sent: the engine's count of what clients like this one send to peers of this family.
        received: the engine's count of the other direction.
        errors: bounds the ICMP errors the client is told of.
        v4: its family.
        plain: ancillary data that says nothing.
        dont_fragment: what the socket is set to now.
        overflow: SO_RXQ_OVFL's last value.

    """

    allocation: AllocationRow
    relayed: RelayedAddress
    sock: socket.socket
    sent: Count
    received: Count
    errors: TokenBucket
    v4: bool = attrs.field(init=False)
    plain: AncillaryOut = attrs.field(init=False)
    dont_fragment: bool = False
    overflow: int = 0

    def __attrs_post_init__(self) -> None:
        self.v4 = len(self.relayed.local.packed) == 4
        self.plain = PLAIN_V4 if self.v4 else PLAIN_V6


@attrs.define(slots=True, eq=False)
class Route:
    """What the tables say of one peer of one allocation, kept for the next packet.

    A refresh changes the rows in place, so a route stays true; whatever adds or removes
    a row has the allocation forget its routes.

    Attributes:
        peer: its transport address.
        sockaddr: the same as sockets take it.
        relay: the allocation's relay of that family.
        permission: the row of the peer's IP address.
        channel: the row of the channel bound to the peer.
        is_own: the IP address is this server's, so a live relay may be there.
        is_denied: the transport address is in `DatapathSettings.denied_endpoints`.
        xor_address: XOR-PEER-ADDRESS ready to be sent (empty for IPv6: there the
            transaction id is in it).

    """

    peer: Address
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    relay: RelayRow
    permission: PermissionRow
    channel: ChannelRow | None
    is_own: bool
    is_denied: bool
    xor_address: bytes


@attrs.define(slots=True, eq=False)
class AllocationRow:
    """An allocation as packets see it.

    Attributes:
        number: the core's number.
        five_tuple: the client.
        send: the way to the client.
        to_peer: its limit in that direction, if any.
        to_client: its limit in that direction, if any.
        pads: ChannelData to the client is padded (streams, RFC 8656 §12.5).
        keeps_df: DONT-FRAGMENT counts on IPv4 relays (RFC 8656 §13, §14, §15).
        relays: by length of the packed IP address.
        permissions: by packed IP address.
        channels: by the two bytes of the channel number.
        channel_of: the same rows by peer.
        routes: by whatever a packet names its peer with: channel number, XOR-PEER-ADDRESS's
            value, `recvmsg`'s socket address, or an `Address`.
        traffic: what it has moved.

    """

    number: int
    five_tuple: FiveTuple
    send: SendToClient
    to_peer: TokenBucket | None
    to_client: TokenBucket | None
    pads: bool = attrs.field(init=False)
    keeps_df: bool = attrs.field(init=False)
    relays: dict[int, RelayRow] = attrs.field(factory=dict)
    permissions: dict[bytes, PermissionRow] = attrs.field(factory=dict)
    channels: dict[bytes, ChannelRow] = attrs.field(factory=dict)
    channel_of: dict[Address, ChannelRow] = attrs.field(factory=dict)
    routes: dict[Hashable, Route] = attrs.field(factory=dict)
    traffic: TrafficCount = attrs.field(factory=TrafficCount)

    def __attrs_post_init__(self) -> None:
        self.belong_to(self.five_tuple, self.send)

    def belong_to(self, five_tuple: FiveTuple, send: SendToClient) -> None:
        """Give the allocation to a client."""
        self.five_tuple = five_tuple
        self.send = send
        self.pads = five_tuple.transport.is_stream
        self.keeps_df = self.pads or len(five_tuple.client.packed) == 4

    def set_permission(self, peer_ip: bytes, deadline: float, *, internal_only: bool) -> None:
        """Install or refresh a permission."""
        row = self.permissions.get(peer_ip)
        if row is None:
            self.permissions[peer_ip] = PermissionRow(deadline, internal_only)
        else:
            row.deadline = deadline
            row.internal_only = internal_only

    def remove_permission(self, peer_ip: bytes) -> None:
        """Drop a permission, if there is one."""
        if self.permissions.pop(peer_ip, None) is not None:
            self.routes.clear()

    def set_channel(self, prefix: bytes, peer: Address, deadline: float) -> None:
        """Install or refresh a channel; whatever had its number or its peer before is gone."""
        row = self.channels.get(prefix)
        if row is not None and row.peer == peer:
            row.deadline = deadline
            return
        bound = self.channel_of.get(peer)
        if bound is not None:
            self.remove_channel(bound.prefix)
        self.remove_channel(prefix)
        self.channels[prefix] = self.channel_of[peer] = ChannelRow(peer, prefix, deadline)
        self.routes.clear()

    def remove_channel(self, prefix: bytes) -> None:
        """Drop a channel, if there is one."""
        row = self.channels.pop(prefix, None)
        if row is not None:
            del self.channel_of[row.peer]
            self.routes.clear()
