"""Packets of the application's between the tasks that receive and who wants them."""

from __future__ import annotations

from collections.abc import Callable

import trio

RECEIVE_QUEUE = 1024
"""Packets of the application's kept for each component; more are dropped and counted."""


class Inbox:
    """One component's packets, for who waits for them or for a function that takes them.

    Attributes:
        packets: that came and were not taken yet, the oldest first.
        dropped: how many were lost because `RECEIVE_QUEUE` of them waited.
        take: the function; None for none.

    """

    __slots__ = ("_readers", "dropped", "packets", "take")

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.dropped = 0
        self.take: Callable[[list[bytes]], None] | None = None
        self._readers = trio.lowlevel.ParkingLot()

    def put(self, data: bytes) -> None:
        """Keep a packet, or drop it if too many wait. Runs per packet."""
        if len(self.packets) >= RECEIVE_QUEUE:
            self.dropped += 1
            return
        self.packets.append(data)

    def hand_on(self) -> None:
        """Tell of what was put in; once for all that came together."""
        if self.take is not None:
            if packets := self.packets:
                self.packets = []
                self.take(packets)
        elif self.packets:
            self.wake()

    def wake(self) -> None:
        """Let who waits look again."""
        self._readers.unpark_all()

    async def wait(self) -> None:
        """Return when there may be something new."""
        await self._readers.park()
