"""What the engine counts, as it happens."""

from __future__ import annotations

from stun import Family
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic
from turnd.datapath.interface import Direction, Drop, PacketCount, Totals


class Count:
    """Packets and their payload bytes."""

    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0


class Counters:
    """The engine's totals."""

    def __init__(self) -> None:
        self.relayed = {
            (direction, transport, family): Count()
            for direction in Direction
            for transport in Transport
            for family in Family
        }
        self.drops = dict.fromkeys(Drop, 0)
        self.internal = 0

    def of(self, direction: Direction, five_tuple: FiveTuple, relayed: RelayedAddress) -> Count:
        """Return the count that packets between that client and that relay belong to."""
        return self.relayed[direction, five_tuple.transport, relayed.local.family]

    def totals(self) -> Totals:
        """Take a snapshot."""
        return Totals(
            {key: PacketCount(count.packets, count.bytes) for key, count in self.relayed.items()},
            dict(self.drops),
            self.internal,
        )


class TrafficCount:
    """What one allocation has moved."""

    __slots__ = ("to_client", "to_peer")

    def __init__(self) -> None:
        self.to_peer = Count()
        self.to_client = Count()

    def snapshot(self) -> Traffic:
        """Take a snapshot."""
        return Traffic(
            self.to_peer.packets,
            self.to_peer.bytes,
            self.to_client.packets,
            self.to_client.bytes,
        )
