"""The wires: packets from TUN devices are carried to where their destination is.

A `Segment` is what a switch is in a house: everything on it reaches everything else on it by
address, and the rest through the gateway. What is on it is an `Attachment`: a namespace's TUN
device, or a leg of a NAT. One thread owns all of it, reads the devices, and keeps the time of
delayed packets.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import heapq
import itertools
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TypeVar

import attrs

from tests.natlab.impairment import ImpairedLine, Impairment
from tests.natlab.packet import MalformedPacketError, Packet

T = TypeVar("T")

_BURST = 64
"""Packets read from one device before it is another's turn."""
_LARGEST_PACKET = 65_535
_MOST_DELAYED = 100_000
"""Packets on their way at most, in the whole lab."""


@attrs.define(eq=False)
class Fabric:
    """The thread that carries packets.

    Attributes:
        dropped: how many packets went nowhere, by reason.

    """

    dropped: Counter[str] = attrs.field(factory=Counter)
    _devices: dict[int, Attachment] = attrs.field(factory=dict)
    _delayed: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _order: itertools.count[int] = attrs.field(factory=itertools.count)
    _calls: deque[Callable[[], None]] = attrs.field(factory=deque)
    _poll: select.epoll = attrs.field(factory=select.epoll)
    _bell: int = attrs.field(init=False)
    _stopped: bool = attrs.field(default=False, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.EPOLLIN)
        # A daemon: a test run that is over must not wait for a lab that nobody closed.
        self._thread = threading.Thread(target=self._run, name="natlab", daemon=True)

    def start(self) -> None:
        """Begin to carry packets."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and remove the devices."""
        if self._thread.is_alive():
            self.call(self._stop)
            self._thread.join()
        for descriptor in (*self._devices, self._bell):
            os.close(descriptor)
        self._poll.close()

    def _stop(self) -> None:
        self._stopped = True

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the thread, between two packets, and return its result.

        The tables of NATs and lines belong to the thread: read and change them so.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self._calls.append(run)
        os.eventfd_write(self._bell, 1)
        return future.result()

    def settle(self) -> None:
        """Carry all packets that are under way now, but those that a bad line delays.

        When it returns, what was sent before is in the socket it is for, or lost. Linux
        forwards a packet that is written to a TUN device before the writing returns, so
        devices that have nothing to read mean that nothing is under way.
        """
        self.call(self._settle)

    def _settle(self) -> None:
        while descriptors := [fd for fd, _ in self._poll.poll(0) if fd != self._bell]:
            for descriptor in descriptors:
                self._read(descriptor)

    def add_device(self, descriptor: int, attachment: Attachment) -> None:
        """Read packets of a TUN device, as those that an attachment sends."""
        self._devices[descriptor] = attachment
        self._poll.register(descriptor, select.EPOLLIN)

    def write(self, descriptor: int, packet: Packet) -> None:
        """Give a packet to a TUN device. Runs for every packet."""
        try:
            os.write(descriptor, bytes(packet))
        except OSError:
            # The device is down, or has gone with its namespace.
            self.dropped["device"] += 1

    def at(self, deadline: float, function: Callable[[], None]) -> None:
        """Run a function at a time of `time.monotonic`."""
        if len(self._delayed) >= _MOST_DELAYED:
            self.dropped["delayed"] += 1
            return
        heapq.heappush(self._delayed, (deadline, next(self._order), function))

    def _run(self) -> None:
        while not self._stopped:
            timeout = None
            if self._delayed:
                timeout = max(0.0, self._delayed[0][0] - time.monotonic())
            for descriptor, _ in self._poll.poll(timeout):
                if descriptor == self._bell:
                    os.eventfd_read(self._bell)
                else:
                    self._read(descriptor)
            while self._delayed and self._delayed[0][0] <= time.monotonic():
                heapq.heappop(self._delayed)[2]()
            while self._calls:
                self._calls.popleft()()

    def _read(self, descriptor: int) -> None:
        """Carry what a device has sent. Runs for every packet."""
        attachment = self._devices[descriptor]
        with contextlib.suppress(BlockingIOError):
            for _ in range(_BURST):
                try:
                    data = os.read(descriptor, _LARGEST_PACKET)
                except BlockingIOError:
                    raise
                except OSError:
                    # Its namespace has gone: there will never be another packet.
                    self._poll.unregister(descriptor)
                    return
                try:
                    packet = Packet.parse(data)
                except MalformedPacketError:
                    self.dropped["malformed"] += 1
                else:
                    attachment.send(packet)


@attrs.define(eq=False)
class Attachment:
    """One end of a line whose other end is plugged into a segment.

    Attributes:
        segment: where it is plugged in.
        receive: called with every packet that comes out of the line.

    """

    segment: Segment
    receive: Callable[[Packet], None]
    _up: ImpairedLine | None = None
    _down: ImpairedLine | None = None

    def impair(self, up: Impairment | None, down: Impairment | None) -> None:
        """Make the line bad, or good again with None; `up` is towards the segment."""
        self._up = ImpairedLine(up) if up else None
        self._down = ImpairedLine(down) if down else None

    def send(self, packet: Packet) -> None:
        """Put a packet into the line. Runs for every packet."""
        self._carry(self._up, packet, lambda: self.segment.carry(packet, self))

    def deliver(self, packet: Packet) -> None:
        """Take a packet from the segment. Runs for every packet."""
        self._carry(self._down, packet, lambda: self.receive(packet))

    def _carry(
        self, line: ImpairedLine | None, packet: Packet, onwards: Callable[[], None]
    ) -> None:
        if line is None:
            onwards()
            return
        size = len(packet.payload) + (20 if len(packet.source) == 4 else 40)
        now = time.monotonic()
        arrival = line.arrival(size, now)
        if arrival is None:
            self.segment.fabric.dropped["line"] += 1
        elif arrival <= now:
            onwards()
        else:
            self.segment.fabric.at(arrival, onwards)


@attrs.define(eq=False)
class Segment:
    """A network on which everything reaches everything else.

    Attributes:
        fabric: who carries its packets.
        name: for people.
        neighbours: what is on it, by packed address.
        routes: what lies behind one of the neighbours, by the first 8 bytes of IPv6 addresses.
        gateway: gets everything else.

    """

    fabric: Fabric
    name: str
    neighbours: dict[bytes, Attachment] = attrs.field(factory=dict)
    routes: dict[bytes, Attachment] = attrs.field(factory=dict)
    gateway: Attachment | None = None

    def carry(self, packet: Packet, sender: Attachment) -> None:
        """Bring a packet to where its destination is. Runs for every packet."""
        destination = packet.destination
        attachment = self.neighbours.get(destination)
        if attachment is None and len(destination) == 16:
            attachment = self.routes.get(destination[:8])
        if attachment is not None:
            attachment.deliver(packet)
        elif _is_multicast(destination):
            for each in {id(each): each for each in self.neighbours.values()}.values():
                if each is not sender:
                    each.deliver(packet)
        elif self.gateway is not None and self.gateway is not sender:
            self.gateway.deliver(packet)
        else:
            self.fabric.dropped["no route"] += 1


def _is_multicast(address: bytes) -> bool:
    return address[0] == 0xFF if len(address) == 16 else address[0] >> 4 == 0xE
