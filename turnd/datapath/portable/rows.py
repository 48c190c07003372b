"""The relay tables as objects: allocation, relay, channel and permission rows."""

from __future__ import annotations

import socket
from collections.abc import Callable

import attrs

from stun import Address, Family
from turnd.core.five_tuple import FiveTuple
from turnd.core.tables import RelayedAddress
from turnd.datapath.portable.counters import TrafficCount
from turnd.datapath.portable.token_bucket import TokenBucket

SendToClient = Callable[[bytes, int], None]
"""Sends one whole message to a client; the number is the DSCP and ECN byte."""


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
        peers: what `recvfrom` calls a peer, as an `Address`; bounded by `MAX_PEERS`.
        dont_fragment: what the socket is set to now.
        overflow: SO_RXQ_OVFL's last value.

    """

    allocation: AllocationRow
    relayed: RelayedAddress
    sock: socket.socket
    family: Family
    peers: dict[tuple[object, ...], Address] = attrs.field(factory=dict)
    dont_fragment: bool = False
    overflow: int = 0


MAX_PEERS = 1024
"""Peers a relay remembers by socket address: strangers may send too, so it has a bound."""


@attrs.define(slots=True, eq=False)
class AllocationRow:
    """An allocation as packets see it."""

    number: int
    five_tuple: FiveTuple
    send: SendToClient
    pads: bool  # ChannelData is padded on streams
    to_peer: TokenBucket
    to_client: TokenBucket
    relays: dict[int, RelayRow] = attrs.field(factory=dict)  # by length of the packed address
    permissions: dict[bytes, PermissionRow] = attrs.field(factory=dict)
    channels: dict[int, ChannelRow] = attrs.field(factory=dict)
    channel_of: dict[Address, ChannelRow] = attrs.field(factory=dict)
    traffic: TrafficCount = attrs.field(factory=TrafficCount)
