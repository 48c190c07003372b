"""RFC 6062: relayed transport addresses, peer connections, data connections."""

from __future__ import annotations

import os
import socket
import ssl
import struct

import attrs
import pytest
import trio
import trio.testing

from stun import Address
from tests.turnd.transports.transport_fakes import BINDING_REQUEST, FakeRoad
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, RelayUnavailableError, Traffic
from turnd.network import open_tcp
from turnd.transports.certificates import CertificateStore
from turnd.transports.settings import Listener, ListenerKind, StreamSettings, TcpRelaySettings
from turnd.transports.stream_listener import StreamTransports
from turnd.transports.tcp_relay import TcpRelay, TcpRelayEvents
from turnd.transports.totals import CloseReason

ALLOCATION = 7
CONTROL = FiveTuple(Transport.TCP, Address.parse("127.0.0.1", 5), Address.parse("127.0.0.1", 3478))
RESPONSE = b"ConnectionBind success response"
BIND = BINDING_REQUEST  # any frame: the fake core below binds on it


@attrs.define
class Core:
    """A core that gives every peer a connection id and notes what it is told."""

    next_id: int = 1
    connected: list[int] = attrs.field(factory=list)
    unreachable: list[int] = attrs.field(factory=list)
    arrived: list[tuple[int, Address]] = attrs.field(factory=list)
    closed: list[int] = attrs.field(factory=list)
    permitted: bool = True

    def peer_arrived(self, allocation: int, peer: Address) -> int | None:
        self.arrived.append((allocation, peer))
        if not self.permitted:
            return None
        self.next_id += 1
        return self.next_id

    async def wait_for(self, name: str) -> int:
        with trio.fail_after(5):
            while not getattr(self, name):
                await trio.sleep(0)
        value: int = getattr(self, name)[-1]
        return value


class World:
    """A relay with the client transports it takes data connections from."""

    def __init__(self, road: FakeRoad, certificates: CertificateStore) -> None:
        self.core = Core()
        self.road = road
        self.certificates = certificates
        self.streams = StreamTransports(
            StreamSettings(),
            road,
            certificates,
            on_client_gone=road.on_client_gone,
            has_allocation=road.has_allocation,
        )
        self.server = open_tcp(Address.parse("127.0.0.1", 0), 128)
        self.relayed = free_address()
        self.relay = self.make_relay(TcpRelaySettings())
        self.bind_next = 0

    def make_relay(self, settings: TcpRelaySettings) -> TcpRelay:
        core = self.core
        events = TcpRelayEvents(
            core.connected.append, core.unreachable.append, core.peer_arrived, core.closed.append
        )
        return TcpRelay(settings, self.streams.take_over, events)

    async def start(self, nursery: trio.Nursery, settings: TcpRelaySettings | None = None) -> None:
        self.relay = self.make_relay(settings or TcpRelaySettings())
        await nursery.start(self.relay.run)
        await nursery.start(self.streams.serve, [Listener(ListenerKind.TCP, self.server)])
        self.road.on_message = self.on_message

    def open(self, bandwidth: int = 0) -> None:
        self.relay.open_relay(ALLOCATION, CONTROL, RelayedAddress(*[self.relayed] * 2), bandwidth)

    def on_message(self, _data: bytes, who: FiveTuple) -> None:
        """Bind before the answer is transmitted, as the core does."""
        self.relay.bind(self.bind_next, who)
        assert self.road.sinks[who].send(RESPONSE)

    async def peer(self) -> trio.SocketStream:
        """A peer that connects to the relayed transport address."""
        return await trio.open_tcp_stream(self.relayed.host, self.relayed.port)

    async def data_connection(self, connection_id: int, first: bytes = b"") -> trio.SocketStream:
        """A client data connection, bound."""
        self.bind_next = connection_id
        host, port = self.server.getsockname()
        client = await trio.open_tcp_stream(host, port)
        await client.send_all(BIND + first)
        assert await receive_exactly(client, len(RESPONSE)) == RESPONSE
        return client

    async def joined(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        """A client and a peer with bytes flowing between them."""
        peer = await self.peer()
        await self.core.wait_for("arrived")
        return await self.data_connection(self.core.next_id), peer


def bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def free_address() -> Address:
    with bound() as sock:
        return Address.from_sockaddr(sock.getsockname())


async def receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(10):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more, f"the stream ended after {len(data)} bytes"
            data += more
    return data


async def ended(stream: trio.abc.ReceiveStream) -> bool:
    with trio.fail_after(5):
        try:
            return await stream.receive_some(100) == b""
        except trio.BrokenResourceError:
            return True


def reset(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@pytest.fixture
async def world(road: FakeRoad, certificates: CertificateStore, nursery: trio.Nursery) -> World:
    world = World(road, certificates)
    await world.start(nursery)
    world.open()
    return world


async def test_a_peer_that_connects_is_reported_with_its_address(world: World) -> None:
    async with await world.peer() as peer:
        await world.core.wait_for("arrived")
        address = Address.from_sockaddr(peer.socket.getsockname())
        assert world.core.arrived == [(ALLOCATION, address)]


async def test_a_peer_without_a_permission_is_closed_at_once(world: World) -> None:
    world.core.permitted = False
    async with await world.peer() as peer:
        assert await ended(peer)
    assert world.relay.connection_count == 0
    assert world.core.closed == []  # the core never knew it


async def test_connect_goes_out_from_the_relayed_address_although_it_listens(
    world: World,
) -> None:
    with bound() as listening:
        listening.listen()
        address = Address.from_sockaddr(listening.getsockname())
        world.relay.connect(ALLOCATION, 99, RelayedAddress(*[world.relayed] * 2), address)
        assert await world.core.wait_for("connected") == 99
        sock, source = listening.accept()
        sock.close()
        assert Address.from_sockaddr(source) == world.relayed
    async with await world.peer():  # and it still listens
        await world.core.wait_for("arrived")


async def test_several_peers_are_connected_to_from_one_relayed_address(world: World) -> None:
    with bound() as one, bound() as other:
        for number, listening in enumerate((one, other)):
            listening.listen()
            address = Address.from_sockaddr(listening.getsockname())
            world.relay.connect(ALLOCATION, number, RelayedAddress(*[world.relayed] * 2), address)
        with trio.fail_after(5):
            while sorted(world.core.connected) != [0, 1]:
                await trio.sleep(0)


async def test_a_peer_that_refuses_is_unreachable(world: World) -> None:
    world.relay.connect(ALLOCATION, 99, RelayedAddress(*[world.relayed] * 2), free_address())
    assert await world.core.wait_for("unreachable") == 99
    assert (world.core.connected, world.relay.connection_count) == ([], 0)


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose queue is full: Linux then drops SYNs, as a silent host does."""
    listening = bound()
    listening.listen(0)
    fillers = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listening.getsockname())
        fillers.append(sock)
    return listening, fillers


async def test_a_peer_that_does_not_answer_is_unreachable_after_30_seconds(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    listening, fillers = full_listener()
    address = Address.from_sockaddr(listening.getsockname())
    world.relay.connect(ALLOCATION, 99, RelayedAddress(*[world.relayed] * 2), address)
    await trio.testing.wait_all_tasks_blocked(0.02)
    mock_clock.jump(29.9)  # RFC 6062 §5.2: at least 30 seconds
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert world.core.unreachable == []
    mock_clock.jump(0.2)
    await world.core.wait_for("unreachable")
    assert world.relay.connection_count == 0
    for sock in (listening, *fillers):
        sock.close()


async def test_closing_a_connection_that_is_being_made_reports_nothing(world: World) -> None:
    listening, fillers = full_listener()
    address = Address.from_sockaddr(listening.getsockname())
    descriptors = len(os.listdir("/proc/self/fd"))
    world.relay.connect(ALLOCATION, 99, RelayedAddress(*[world.relayed] * 2), address)
    await trio.testing.wait_all_tasks_blocked()
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
    world.relay.close_connection(99)
    world.relay.close_connection(99)
    await trio.testing.wait_all_tasks_blocked()
    assert world.relay.connection_count == 0
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert (world.core.unreachable, world.core.connected, world.core.closed) == ([], [], [])
    for sock in (listening, *fillers):
        sock.close()


async def test_an_address_in_use_is_said_to_be(world: World) -> None:
    with pytest.raises(RelayUnavailableError) as raised:
        world.relay.open_relay(8, CONTROL, RelayedAddress(*[world.relayed] * 2), 0)
    assert raised.value.in_use
    elsewhere = Address.parse("192.0.2.1", 50000)
    with pytest.raises(RelayUnavailableError) as raised:
        world.relay.open_relay(8, CONTROL, RelayedAddress(elsewhere, elsewhere), 0)
    assert not raised.value.in_use


async def test_a_port_is_free_again_right_after_its_allocation(world: World) -> None:
    client, peer = await world.joined()
    async with client, peer:
        world.relay.close_allocation(ALLOCATION)  # leaves its side in TIME-WAIT
        assert await ended(peer)
    world.open()
    async with await world.peer():
        pass


async def test_bytes_flow_both_ways_as_they_are(world: World) -> None:
    client, peer = await world.joined()
    async with client, peer:
        data = BINDING_REQUEST + b"\xff\xfe not STUN at all"
        await client.send_all(data)
        assert await receive_exactly(peer, len(data)) == data
        await peer.send_all(b"\x80 back")
        assert await receive_exactly(client, 6) == b"\x80 back"
    assert len(world.road.received) == 1  # ConnectionBind, and nothing after it


async def test_what_follows_connection_bind_in_the_same_segment_is_the_peers(
    world: World,
) -> None:
    async with await world.peer() as peer:
        await world.core.wait_for("arrived")
        async with await world.data_connection(world.core.next_id, b"early" + BIND):
            assert await receive_exactly(peer, 25) == b"early" + BIND


async def test_what_the_peer_sent_before_the_bind_comes_after_the_response(
    world: World,
) -> None:
    async with await world.peer() as peer:
        await peer.send_all(b"who speaks first")
        await world.core.wait_for("arrived")
        await trio.testing.wait_all_tasks_blocked(0.01)
        # `data_connection` asserts that the response is what comes first.
        async with await world.data_connection(world.core.next_id) as client:
            assert await receive_exactly(client, 16) == b"who speaks first"


async def test_a_bind_decided_after_a_wait_lets_the_peer_speak_to_a_silent_client(
    world: World, nursery: trio.Nursery
) -> None:
    """As when the credential had to be loaded: the client's task is reading by then."""
    waiting: list[FiveTuple] = []
    world.road.on_message = lambda _data, who: waiting.append(who)
    async with await world.peer() as peer:
        await peer.send_all(b"first word")
        await world.core.wait_for("arrived")
        host, port = world.server.getsockname()
        async with await trio.open_tcp_stream(host, port) as client:
            await client.send_all(BIND)
            with trio.fail_after(5):
                while not waiting:
                    await trio.sleep(0)
            await trio.testing.wait_all_tasks_blocked(0.01)
            world.bind_next = world.core.next_id
            world.on_message(BIND, waiting[0])
            assert await receive_exactly(client, len(RESPONSE)) == RESPONSE
            assert await receive_exactly(client, 10) == b"first word"
            await client.send_all(b"answer")
            assert await receive_exactly(peer, 6) == b"answer"


async def test_a_tls_client_data_connection_relays_plaintext(world: World) -> None:
    async with await world.peer() as peer:
        await world.core.wait_for("arrived")
        world.bind_next = world.core.next_id
        host, port = world.server.getsockname()
        context = ssl.create_default_context(cadata=world.certificates.key_pair.to_pem().decode())
        tcp = await trio.open_tcp_stream(host, port)
        client = trio.SSLStream(tcp, context, server_hostname="localhost")
        await client.send_all(BIND + b"to the peer")
        assert await receive_exactly(client, len(RESPONSE)) == RESPONSE
        assert await receive_exactly(peer, 11) == b"to the peer"
        await peer.send_all(b"to the client" * 10_000)
        await peer.send_eof()
        assert await receive_exactly(client, 130_000) == b"to the client" * 10_000
        assert await client.receive_some() == b""  # close_notify, or this would raise
        # The other direction is open still: half a close is passed on as half a close.
        await client.transport_stream.aclose()
        assert await ended(peer)


async def test_a_half_close_is_passed_on_and_the_other_half_goes_on(world: World) -> None:
    client, peer = await world.joined()
    async with client, peer:
        await client.send_all(b"request")
        await client.send_eof()
        assert await receive_exactly(peer, 7) == b"request"
        assert await peer.receive_some() == b""
        await peer.send_all(b"response")
        assert await receive_exactly(client, 8) == b"response"
        await peer.aclose()
        assert await ended(client)
    assert await world.core.wait_for("closed") == world.core.next_id
    assert world.relay.connection_count == 0
    assert world.streams.totals().closed == {(Transport.TCP, CloseReason.RELAY_CLOSED): 1}


@pytest.mark.parametrize("closing", ["client", "peer"])
async def test_an_end_that_says_nothing_after_half_a_close_is_closed(
    world: World, mock_clock: trio.testing.MockClock, closing: str
) -> None:
    client, peer = await world.joined()
    first, other = (client, peer) if closing == "client" else (peer, client)
    async with client, peer:
        mock_clock.jump(100)  # before, silence is nobody's business
        await first.send_eof()
        assert await other.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked(0.02)
        mock_clock.jump(59)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert world.core.closed == []
        mock_clock.jump(2)
        await world.core.wait_for("closed")


async def test_data_after_half_a_close_puts_the_end_off(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    client, peer = await world.joined()
    async with client, peer:
        await client.send_eof()
        assert await peer.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked(0.02)
        mock_clock.jump(50)
        await peer.send_all(b"still here")
        assert await receive_exactly(client, 10) == b"still here"
        await trio.testing.wait_all_tasks_blocked(0.02)
        mock_clock.jump(59)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert world.core.closed == []
        mock_clock.jump(2)
        await world.core.wait_for("closed")


@pytest.mark.parametrize("breaker", ["client", "peer"])
async def test_a_reset_of_one_end_resets_the_other(world: World, breaker: str) -> None:
    client, peer = await world.joined()
    broken, other = (client, peer) if breaker == "client" else (peer, client)
    reset(broken)
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await other.receive_some()
    await other.aclose()
    assert await world.core.wait_for("closed") == world.core.next_id
    assert world.relay.connection_count == 0


async def test_a_peer_that_leaves_before_the_bind_has_its_last_words_delivered(
    world: World,
) -> None:
    peer = await world.peer()
    await peer.send_all(b"goodbye")
    await peer.aclose()
    await world.core.wait_for("arrived")
    async with await world.data_connection(world.core.next_id) as client:
        assert await receive_exactly(client, 7) == b"goodbye"
        assert await client.receive_some() == b""


async def test_a_bind_of_a_client_that_is_gone_closes_the_peer(world: World) -> None:
    async with await world.peer() as peer:
        await world.core.wait_for("arrived")
        world.relay.bind(world.core.next_id, CONTROL)
        assert world.core.closed == []  # not in the core's own turn
        assert await ended(peer)
    assert world.core.closed == [world.core.next_id]


async def test_closing_the_allocation_closes_its_connections_and_returns_the_traffic(
    world: World,
) -> None:
    client, peer = await world.joined()
    pending = await world.peer()
    with trio.fail_after(5):
        while len(world.core.arrived) < 2:
            await trio.sleep(0)
    async with client, peer, pending:
        await client.send_all(b"12345")
        await receive_exactly(peer, 5)
        await peer.send_all(b"123")
        await receive_exactly(client, 3)
        traffic = world.relay.close_allocation(ALLOCATION)
        assert traffic == Traffic(1, 5, 1, 3)
        for stream in (client, peer, pending):
            assert await ended(stream)
    assert world.core.closed == []  # the core closed them itself
    assert world.relay.close_allocation(ALLOCATION) == Traffic()
    with pytest.raises(OSError, match="all attempts to connect"):
        await world.peer()


async def test_a_reader_that_stops_stops_the_writer_and_loses_nothing(world: World) -> None:
    client, peer = await world.joined()
    async with client, peer:
        block = bytes(range(256)) * 256
        sent = 0
        with trio.move_on_after(0.5) as stalled:
            while True:  # without end if the relay buffered without bound
                await peer.send_all(block)
                sent += len(block)
        assert stalled.cancelled_caught
        received = 0
        while received < sent:
            size = min(len(block), sent - received)
            assert await receive_exactly(client, size) == block[:size]
            received += size


@pytest.mark.parametrize(("own", "total"), [(200_000, 0), (0, 200_000), (300_000, 200_000)])
async def test_bandwidth_is_held_to_the_lower_limit(world: World, own: int, total: int) -> None:
    world.relay.close_allocation(ALLOCATION)
    world.relayed = free_address()
    world.relay.reconfigure(TcpRelaySettings(total_bandwidth=total))
    world.open(bandwidth=own)
    client, peer = await world.joined()
    async with client, peer:
        began = trio.current_time()
        await client.send_all(bytes(300_000))
        await receive_exactly(peer, 300_000)
        # One second's worth may go at once; the other 100,000 bytes take half a second.
        assert trio.current_time() - began >= 0.5


@pytest.mark.parametrize(
    "settings",
    [TcpRelaySettings(max_connections=1), TcpRelaySettings(max_connections_per_allocation=1)],
)
async def test_connections_are_bounded(
    road: FakeRoad,
    certificates: CertificateStore,
    nursery: trio.Nursery,
    settings: TcpRelaySettings,
) -> None:
    world = World(road, certificates)
    await world.start(nursery, settings)
    world.open()
    async with await world.peer() as first:
        await world.core.wait_for("arrived")
        async with await world.peer() as second:
            assert await ended(second)
        world.relay.connect(ALLOCATION, 99, RelayedAddress(*[world.relayed] * 2), free_address())
        assert world.core.unreachable == []  # not in the core's own turn
        assert await world.core.wait_for("unreachable") == 99
        await first.send_all(b"x")
    assert world.relay.connection_count == 1


async def test_cancelling_closes_everything(road: FakeRoad, certificates: CertificateStore) -> None:
    async with trio.open_nursery() as nursery:
        world = World(road, certificates)
        await world.start(nursery)
        world.open()
        client, peer = await world.joined()
        nursery.cancel_scope.cancel()
    for stream in (client, peer):
        assert await ended(stream)
        await stream.aclose()
    assert world.relay.connection_count == 0
    with pytest.raises(OSError, match="all attempts to connect"):
        await world.peer()
