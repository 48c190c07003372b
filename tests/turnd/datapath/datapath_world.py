"""An engine between real sockets on the loopback interface, and a clock that tests turn."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import trio

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import channel_data, send_indication
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, RelayUnavailableError
from turnd.datapath.interface import Datapath, DatapathSettings, Drop

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
LIFETIME = 300.0
CHANNEL = 0x4ABC


class ManualClock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def open_udp(host: str = "127.0.0.1", port: int = 0, *, shared: bool = False) -> socket.socket:
    """A bound, non-blocking UDP socket; `shared` lets another have the port on other addresses."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class Client(Protocol):
    """Whoever uses the server, on any transport."""

    five_tuple: FiveTuple

    def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    def is_silent(self) -> bool: ...


class Endpoint:
    """A UDP socket: a peer, or a client of `server`."""

    def __init__(
        self, host: str = "127.0.0.1", server: Address | None = None, port: int = 0
    ) -> None:
        self.sock = open_udp(host, port)
        self.address = Address.from_sockaddr(self.sock.getsockname())
        self.five_tuple = FiveTuple(Transport.UDP, self.address, server or self.address)

    def send(self, data: bytes, to: Address | None = None) -> None:
        self.sock.sendto(data, (to or self.five_tuple.server).sockaddr)

    async def receive_from(self) -> tuple[bytes, Address]:
        await self.readable()
        data, sender = self.sock.recvfrom(65535)
        return data, Address.from_sockaddr(sender)

    async def receive(self) -> bytes:
        return (await self.receive_from())[0]

    async def readable(self) -> None:
        with trio.fail_after(5):
            await trio.lowlevel.wait_readable(self.sock)

    def is_silent(self) -> bool:
        try:
            self.sock.recv(65535, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        return False


class SinkClient:
    """A client on TCP, TLS or DTLS as its transport shows it to the engine."""

    def __init__(self, engine: Datapath, five_tuple: FiveTuple, room: float) -> None:
        self.five_tuple = five_tuple
        self._engine = engine
        self._queue, self._received = trio.open_memory_channel[bytes](room)

    # The engine's side

    def deliver(self, data: bytes) -> bool:
        try:
            self._queue.send_nowait(data)
        except trio.WouldBlock:
            return False
        return True

    # The client's side

    def send(self, data: bytes) -> None:
        self._engine.receive_from_client(data, self.five_tuple)

    async def receive(self) -> bytes:
        with trio.fail_after(5):
            return await self._received.receive()

    def is_silent(self) -> bool:
        return self._received.statistics().current_buffer_used == 0


class Sink:
    """The `ClientSink` of a `SinkClient`."""

    takes_runs = False

    def __init__(self, deliver: Callable[[bytes], bool]) -> None:
        self._deliver = deliver

    def send(self, data: bytes) -> bool:
        return self._deliver(data)


class Recorder:
    """A `RequestHandler` that keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, FiveTuple]] = []
        self.dtls: list[tuple[bytes, FiveTuple]] = []
        self.react: Callable[[bytes, FiveTuple], None] = lambda _data, _five_tuple: None

    def on_request(self, data: bytes, five_tuple: FiveTuple) -> None:
        self.requests.append((data, five_tuple))
        self.react(data, five_tuple)

    def on_dtls(self, data: bytes, five_tuple: FiveTuple) -> None:
        self.dtls.append((data, five_tuple))


@attrs.frozen
class Allocation:
    """An allocation that the test opened, with the client that owns it."""

    number: int
    client: Client
    relayed: RelayedAddress

    @property
    def relay(self) -> Address:
        return self.relayed.local


class World:
    """An engine, its clock, and what tests say to it."""

    def __init__(self, engine: Datapath, clock: ManualClock) -> None:
        self.engine = engine
        self.clock = clock
        self.handler = Recorder()
        self._numbers = itertools.count(1)
        self._ports = itertools.count(50000)
        self._endpoints: list[Endpoint] = []

    async def start(self, nursery: trio.Nursery) -> None:
        """Run the engine."""
        await nursery.start(self.engine.run, self.handler)

    def close(self) -> None:
        """Close the clients' and peers' sockets."""
        for endpoint in self._endpoints:
            endpoint.sock.close()

    # Clients and peers

    def listen(self, host: str = "127.0.0.1") -> Address:
        """Give the engine a listener."""
        sock = open_udp(host)
        address = Address.from_sockaddr(sock.getsockname())
        self.engine.add_listener(sock)
        return address

    def udp_client(self, server: Address, host: str = "") -> Endpoint:
        endpoint = Endpoint(host or server.host, server)
        self._endpoints.append(endpoint)
        return endpoint

    def peer(self, family: Family = Family.IPV4, host: str = "") -> Endpoint:
        endpoint = Endpoint(host or LOOPBACK[family])
        self._endpoints.append(endpoint)
        return endpoint

    def peer_at(self, address: Address) -> Endpoint:
        """A peer on an address that is free again."""
        endpoint = Endpoint(address.host, port=address.port)
        self._endpoints.append(endpoint)
        return endpoint

    def client(
        self,
        transport: Transport = Transport.UDP,
        family: Family = Family.IPV4,
        room: float = float("inf"),
    ) -> Client:
        """A client that can be reached; one on UDP comes with a listener of its own."""
        if transport is Transport.UDP:
            return self.udp_client(self.listen(LOOPBACK[family]))
        host = LOOPBACK[family]
        five_tuple = FiveTuple(
            transport, Address.parse(host, next(self._ports)), Address.parse(host, 5349)
        )
        client = SinkClient(self.engine, five_tuple, room)
        self.engine.attach(five_tuple, Sink(client.deliver))
        return client

    def reconfigure(self, **settings: Any) -> None:
        """Put other settings in force."""
        self.engine.reconfigure(DatapathSettings(**settings))

    # Rows

    def free_address(self, host: str) -> Address:
        """A transport address that was free a moment ago."""
        with open_udp(host) as probe:
            return Address.from_sockaddr(probe.getsockname())

    def open_relay(
        self,
        number: int,
        client: Client,
        family: Family = Family.IPV4,
        *,
        public_host: str = "",
        bandwidth: int = 0,
        host: str = "",
    ) -> RelayedAddress:
        while True:
            local = self.free_address(host or LOOPBACK[family])
            public = Address.parse(public_host, local.port) if public_host else local
            relayed = RelayedAddress(local, public)
            try:
                self.engine.open_relay(number, client.five_tuple, relayed, bandwidth)
            except RelayUnavailableError as error:
                if not error.in_use:  # another test took the port in between
                    raise
            else:
                return relayed

    def allocate(
        self,
        client: Client,
        family: Family = Family.IPV4,
        *,
        public_host: str = "",
        bandwidth: int = 0,
    ) -> Allocation:
        number = next(self._numbers)
        relayed = self.open_relay(
            number, client, family, public_host=public_host, bandwidth=bandwidth
        )
        return Allocation(number, client, relayed)

    def permit(
        self,
        allocation: Allocation,
        peer: Address,
        lifetime: float = LIFETIME,
        *,
        internal_only: bool = False,
    ) -> None:
        self.engine.set_permission(
            allocation.number, peer.packed, self.clock.now + lifetime, internal_only=internal_only
        )

    def bind_channel(
        self,
        allocation: Allocation,
        peer: Address,
        number: int = CHANNEL,
        lifetime: float = LIFETIME * 2,
    ) -> None:
        """What the core does at a ChannelBind request: the permission too."""
        self.permit(allocation, peer)
        self.engine.set_channel(allocation.number, number, peer, self.clock.now + lifetime)

    # What happened

    def drops(self) -> dict[Drop, int]:
        """Reasons that were counted at all."""
        return {reason: count for reason, count in self.engine.totals().drops.items() if count}

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for what only the engine's counters show. Polled: an engine may have threads."""
        with trio.fail_after(5):
            while not happened():
                await trio.sleep(0.001)

    async def delivered_inside(self, packets: int) -> None:
        """Wait for that many packets between two allocations."""
        await self.until(lambda: self.engine.totals().internal == packets)

    async def dropped(self, expected: dict[Drop, int]) -> None:
        """Wait for that many drops, and find no others."""
        total = sum(expected.values())
        await self.until(lambda: sum(self.drops().values()) >= total)
        assert self.drops() == expected


class WorldFactory(Protocol):
    """Makes worlds; the keyword arguments are the fields of `DatapathSettings`."""

    async def __call__(self, *, running: bool = True, **settings: Any) -> World: ...


Exchange = Callable[[Client, Address, bytes], None]


def by_channel(client: Client, _peer: Address, data: bytes) -> None:
    """Send by ChannelData, padded where the transport wants it."""
    padding = -len(data) % 4 if client.five_tuple.transport.is_stream else 0
    client.send(channel_data(CHANNEL, data, padding))


def by_indication(client: Client, peer: Address, data: bytes) -> None:
    """Send by Send indication."""
    client.send(send_indication(peer, data))
