"""TCP and TLS listeners: framing, detection, PROXY headers, bounds, timeouts, endings."""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
import ssl
import struct
import warnings
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import structlog
import trio
import trio.testing

from stun import Address
from tests.turnd.transports.transport_fakes import (
    BINDING_REQUEST,
    CHANNEL_DATA,
    FakeRoad,
    start_s_client,
)
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.network import open_tcp
from turnd.transports.accept import accept_forever
from turnd.transports.certificates import CertificateStore
from turnd.transports.settings import Listener, ListenerKind, StreamSettings, TlsSettings
from turnd.transports.stream_listener import StreamTransports
from turnd.transports.totals import CloseReason, HandshakeOutcome, Refusal

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
FRAME = CHANNEL_DATA[:9]  # as the framer hands it on: without the padding


class Server:
    """Stream transports with one listener on loopback."""

    def __init__(
        self,
        nursery: trio.Nursery,
        road: FakeRoad,
        certificates: CertificateStore,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self.nursery = nursery
        self.road = road
        self.certificates = certificates
        loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
        self.sock = open_tcp(Address.parse(loopback, 0), 128)
        self.address = Address.from_sockaddr(self.sock.getsockname())
        self.transports = self.make(StreamSettings())

    def make(self, settings: StreamSettings) -> StreamTransports:
        return StreamTransports(
            settings,
            self.road,
            self.certificates,
            on_client_gone=self.road.on_client_gone,
            has_allocation=self.road.has_allocation,
        )

    async def start(
        self,
        settings: StreamSettings | None = None,
        kind: ListenerKind = ListenerKind.TCP,
    ) -> StreamTransports:
        self.transports = self.make(settings or StreamSettings())
        listener = Listener(kind, self.sock)
        await self.nursery.start(self.transports.serve, [listener])
        return self.transports

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.address.host, self.address.port)

    async def connect_tls(self, alpn: list[str] | None = None) -> trio.SSLStream[trio.SocketStream]:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.load_verify_locations(cadata=self.certificates.key_pair.to_pem().decode())
        if alpn:
            context.set_alpn_protocols(alpn)
        stream = trio.SSLStream(await self.connect(), context, https_compatible=True)
        await stream.do_handshake()
        return stream

    def five_tuple(self, stream: trio.SocketStream, transport: Transport) -> FiveTuple:
        client = Address.from_sockaddr(stream.socket.getsockname())
        return FiveTuple(transport, client, self.address)

    async def closed(self, transport: Transport, reason: CloseReason, count: int = 1) -> None:
        """Wait until that many connections have ended like that."""
        while self.transports.totals().closed.get((transport, reason), 0) < count:
            await trio.sleep(0.001)


@pytest.fixture
def server(nursery: trio.Nursery, road: FakeRoad, certificates: CertificateStore) -> Server:
    return Server(nursery, road, certificates)


async def receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(5):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more, f"the stream ended after {data!r}"
            data += more
    return data


async def ended(stream: trio.abc.ReceiveStream) -> bool:
    """Whether the server closes the stream, be it with FIN or RST."""
    with trio.fail_after(5):
        try:
            return await stream.receive_some(100) == b""
        except trio.BrokenResourceError:
            return True


async def test_frames_of_a_stream_reach_the_datapath_and_its_messages_the_client(
    server: Server, road: FakeRoad
) -> None:
    await server.start()
    async with await server.connect() as client:
        who = server.five_tuple(client, Transport.TCP)
        for byte in BINDING_REQUEST + CHANNEL_DATA:
            await client.send_all(bytes([byte]))
        await client.send_all(BINDING_REQUEST * 2)
        expected = BINDING_REQUEST + FRAME + BINDING_REQUEST * 2
        assert await receive_exactly(client, len(expected)) == expected
    assert road.received == [
        (BINDING_REQUEST, who),
        (FRAME, who),
        (BINDING_REQUEST, who),
        (BINDING_REQUEST, who),
    ]
    await server.closed(Transport.TCP, CloseReason.CLIENT)
    assert (road.gone, road.sinks) == ([who], {})
    assert server.transports.totals().open == {Transport.TCP: 0}


async def test_ipv6_clients_are_served(
    nursery: trio.Nursery, road: FakeRoad, certificates: CertificateStore
) -> None:
    server = Server(nursery, road, certificates, socket.AF_INET6)
    await server.start()
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST)
        await receive_exactly(client, 20)
        assert road.received == [(BINDING_REQUEST, server.five_tuple(client, Transport.TCP))]


@pytest.mark.parametrize("kind", list(ListenerKind))
async def test_plain_and_tls_are_told_apart_on_one_port(
    server: Server, road: FakeRoad, kind: ListenerKind
) -> None:
    await server.start(kind=kind)
    async with await server.connect_tls() as tls, await server.connect() as plain:
        for client in (tls, plain):
            await client.send_all(BINDING_REQUEST)
            await receive_exactly(client, 20)
    assert [who.transport for _, who in road.received] == [Transport.TLS, Transport.TCP]
    assert server.transports.totals().handshakes == {(Transport.TLS, HandshakeOutcome.COMPLETED): 1}


async def test_without_detection_a_tls_listener_takes_tls_alone(server: Server) -> None:
    await server.start(StreamSettings(detect_tls=False), ListenerKind.TLS)
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST)
        # OpenSSL says so with an alert before the connection ends.
        with trio.fail_after(5):
            while await client.receive_some():
                pass
    async with await server.connect_tls() as tls:
        await tls.send_all(BINDING_REQUEST)
        await receive_exactly(tls, 20)
    totals = server.transports.totals()
    assert totals.handshakes == {
        (Transport.TLS, HandshakeOutcome.COMPLETED): 1,
        (Transport.TLS, HandshakeOutcome.FAILED): 1,
    }
    assert totals.closed[Transport.TLS, CloseReason.HANDSHAKE_FAILED] == 1


async def test_without_detection_a_tcp_listener_takes_no_tls(
    server: Server, road: FakeRoad
) -> None:
    await server.start(StreamSettings(detect_tls=False))
    async with await server.connect() as client:
        # A ClientHello's first byte is within STUN's first two bits, its length is not a
        # multiple of 4: what the framer calls malformed.
        await client.send_all(b"\x16\x03\x01\x02\x01" + bytes(60))
        assert await ended(client)
    assert road.received == []


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["stun.turn"], "stun.turn"),
        (["stun.nat-discovery", "stun.turn"], "stun.turn"),
        (["stun.nat-discovery"], "stun.nat-discovery"),
        (["h2", "http/1.1"], None),
        (None, None),
    ],
)
async def test_alpn_names_turn_or_nat_discovery_or_nothing(
    server: Server, offered: list[str] | None, chosen: str | None
) -> None:
    await server.start(kind=ListenerKind.TLS)
    async with await server.connect_tls(offered) as client:
        assert client.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_s_client_is_served_and_hears_close_notify(
    server: Server, road: FakeRoad, nursery: trio.Nursery, version: str
) -> None:
    transports = await server.start(kind=ListenerKind.TLS)
    endpoint = f"127.0.0.1:{server.address.port}"
    arguments = [version, "-quiet", "-alpn", "stun.turn", "-connect", endpoint]
    with trio.fail_after(20):
        send, receive, process = await start_s_client(nursery, arguments)
        async with send, receive:
            await send.send_all(BINDING_REQUEST)
            assert await receive_exactly(receive, 20) == BINDING_REQUEST
            [(_, who)] = road.received
            transports.close_client(who)
            assert await receive.receive_some() == b""
            # 0 is s_client's word for an orderly end; a cut one is an error to it.
            assert await process.wait() == 0
    await server.closed(Transport.TLS, CloseReason.SERVER)


async def test_a_version_below_the_minimum_is_turned_away(
    server: Server, certificates: CertificateStore
) -> None:
    await server.start(kind=ListenerKind.TLS)
    context = ssl.create_default_context(cadata=certificates.key_pair.to_pem().decode())
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    client = trio.SSLStream(await server.connect(), context, server_hostname="localhost")
    with pytest.raises(trio.BrokenResourceError):
        await client.do_handshake()
    await client.transport_stream.aclose()
    await server.closed(Transport.TLS, CloseReason.HANDSHAKE_FAILED)


async def test_a_reloaded_certificate_serves_new_handshakes_and_spares_old_sessions(
    nursery: trio.Nursery, road: FakeRoad
) -> None:
    store = CertificateStore(TlsSettings())
    store.make_self_signed(["old.example"])
    server = Server(nursery, road, store)
    await server.start(kind=ListenerKind.TLS)
    old = await server.connect_tls()
    store.make_self_signed(["new.example"])
    async with old, await server.connect_tls() as new:
        subjects = [client.getpeercert()["subject"] for client in (old, new)]
        assert subjects == [
            ((("commonName", "old.example"),),),
            ((("commonName", "new.example"),),),
        ]
        await old.send_all(BINDING_REQUEST)
        await receive_exactly(old, 20)


@pytest.mark.parametrize("first", [b"\x80", b"\xff" * 100, BINDING_REQUEST + b"\xc0"])
async def test_a_stream_of_anything_else_is_closed(server: Server, first: bytes) -> None:
    await server.start()
    async with await server.connect() as client:
        await client.send_all(first)
        if len(first) == 21:
            await receive_exactly(client, 20)
        assert await ended(client)
    await server.closed(Transport.TCP, CloseReason.MALFORMED)


async def test_a_session_that_fails_ends_alone_and_is_logged_and_counted(
    server: Server, road: FakeRoad
) -> None:
    await server.start()
    good, bad = await server.connect(), await server.connect()
    bad_one = server.five_tuple(bad, Transport.TCP)

    def fail_for_one(data: bytes, five_tuple: FiveTuple) -> None:
        if five_tuple == bad_one:
            raise ZeroDivisionError
        road.echo(data, five_tuple)

    road.on_message = fail_for_one
    async with good, bad:
        await bad.send_all(BINDING_REQUEST)
        assert await ended(bad)
        await good.send_all(BINDING_REQUEST)
        assert await receive_exactly(good, 20) == BINDING_REQUEST
    assert server.transports.totals().closed[Transport.TCP, CloseReason.ERROR] == 1


# --- PROXY protocol


def v2_header(block: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    return signature + bytes([command, family]) + struct.pack("!H", len(block)) + block


PROXIED = FiveTuple(
    Transport.TCP, Address.parse("203.0.113.9", 5000), Address.parse("198.51.100.1", 443)
)
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 5000 443\r\n"
V2 = v2_header(
    socket.inet_aton("203.0.113.9")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 5000, 443)
)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("split", [True, False], ids=["byte by byte", "at once"])
async def test_a_trusted_proxys_header_gives_the_addresses(
    server: Server, road: FakeRoad, header: bytes, split: bool
) -> None:
    await server.start(StreamSettings(trusted_proxies=LOOPBACK))
    async with await server.connect() as client:
        if split:
            for byte in header:
                await client.send_all(bytes([byte]))
            await client.send_all(BINDING_REQUEST)
        else:
            await client.send_all(header + BINDING_REQUEST)
        await receive_exactly(client, 20)
    assert road.received == [(BINDING_REQUEST, PROXIED)]


async def test_tls_may_follow_the_header(server: Server, road: FakeRoad) -> None:
    await server.start(StreamSettings(trusted_proxies=LOOPBACK))
    context = ssl.create_default_context(cadata=server.certificates.key_pair.to_pem().decode())
    transport = await server.connect()
    await transport.send_all(V2)
    client = trio.SSLStream(transport, context, server_hostname="localhost", https_compatible=True)
    async with client:
        await client.send_all(BINDING_REQUEST)
        await receive_exactly(client, 20)
    assert road.received == [(BINDING_REQUEST, attrs.evolve(PROXIED, transport=Transport.TLS))]


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", v2_header(b"", command=0x20, family=0)], ids=["v1", "v2"]
)
async def test_a_proxys_own_connection_keeps_its_real_addresses(
    server: Server, road: FakeRoad, header: bytes
) -> None:
    await server.start(StreamSettings(trusted_proxies=LOOPBACK))
    async with await server.connect() as client:
        await client.send_all(header + BINDING_REQUEST)
        await receive_exactly(client, 20)
        assert road.received == [(BINDING_REQUEST, server.five_tuple(client, Transport.TCP))]


ELSEWHERE = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("::/0"))


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        pytest.param(StreamSettings(trusted_proxies=ELSEWHERE), V1, id="v1, not trusted"),
        pytest.param(StreamSettings(trusted_proxies=ELSEWHERE), V2, id="v2, not trusted"),
        pytest.param(StreamSettings(), V1, id="v1, not enabled"),
        pytest.param(StreamSettings(), V2, id="v2, not enabled"),
        pytest.param(StreamSettings(trusted_proxies=LOOPBACK), BINDING_REQUEST, id="no header"),
        pytest.param(StreamSettings(trusted_proxies=LOOPBACK), b"PROXY UDP4\r\n", id="malformed"),
    ],
)
async def test_a_header_out_of_place_is_a_protocol_error(
    server: Server, road: FakeRoad, settings: StreamSettings, first: bytes
) -> None:
    await server.start(settings)
    async with await server.connect() as client:
        await client.send_all(first)
        assert await ended(client)
    assert (road.received, road.gone) == ([], [])
    assert server.transports.totals().closed == {(Transport.TCP, CloseReason.PROXY_PROTOCOL): 1}


async def test_others_than_proxies_connect_directly_to_a_proxy_listener(
    server: Server, road: FakeRoad
) -> None:
    await server.start(StreamSettings(trusted_proxies=ELSEWHERE))
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST)
        await receive_exactly(client, 20)
        assert road.received == [(BINDING_REQUEST, server.five_tuple(client, Transport.TCP))]


async def test_a_reused_five_tuple_ends_the_connection_it_had_before(
    server: Server, road: FakeRoad
) -> None:
    await server.start(StreamSettings(trusted_proxies=LOOPBACK))
    async with await server.connect() as old, await server.connect() as new:
        await old.send_all(V1 + BINDING_REQUEST)
        await receive_exactly(old, 20)
        await new.send_all(V1 + BINDING_REQUEST)
        await receive_exactly(new, 20)
        assert await ended(old)
        assert road.gone == [PROXIED]
        await new.send_all(BINDING_REQUEST)
        await receive_exactly(new, 20)
        assert server.transports.totals().open == {Transport.TCP: 1}


# --- Bounds


async def test_connections_are_bounded_in_total(server: Server) -> None:
    transports = await server.start(StreamSettings(max_connections=1))
    first, second = await server.connect(), await server.connect()
    async with first, second:
        assert await ended(second)
        await first.send_all(BINDING_REQUEST)
        await receive_exactly(first, 20)
        assert transports.connection_count == 1
    await server.closed(Transport.TCP, CloseReason.CLIENT)
    async with await server.connect() as third:
        await third.send_all(BINDING_REQUEST)
        await receive_exactly(third, 20)
    assert transports.totals().refused == {(Transport.TCP, Refusal.TOTAL_LIMIT): 1}


async def test_connections_are_bounded_per_address_as_the_proxy_gives_it(server: Server) -> None:
    settings = StreamSettings(max_connections_per_address=1, trusted_proxies=LOOPBACK)
    transports = await server.start(settings)
    first, second, other = [await server.connect() for _ in range(3)]
    async with first, second, other:
        await first.send_all(V1 + BINDING_REQUEST)
        await receive_exactly(first, 20)
        await second.send_all(V1.replace(b"5000", b"5001") + BINDING_REQUEST)
        assert await ended(second)
        await other.send_all(V1.replace(b"113.9", b"113.10") + BINDING_REQUEST)
        await receive_exactly(other, 20)
    await server.closed(Transport.TCP, CloseReason.CLIENT, 2)
    async with await server.connect() as again:
        await again.send_all(V1 + BINDING_REQUEST)
        await receive_exactly(again, 20)
    assert transports.totals().refused == {(Transport.TCP, Refusal.ADDRESS_LIMIT): 1}


async def test_a_client_that_does_not_read_loses_messages_and_delays_nobody(
    server: Server, road: FakeRoad
) -> None:
    await server.start(StreamSettings(send_queue_bytes=100_000))
    async with await server.connect() as slow, await server.connect() as other:
        who = server.five_tuple(slow, Transport.TCP)
        for client in (slow, other):
            await client.send_all(BINDING_REQUEST)
            await receive_exactly(client, 20)
        message = bytes(1000)
        accepted = 0
        while road.sinks[who].send(message):  # a loop without end if nothing bounded it
            accepted += 1
        await other.send_all(BINDING_REQUEST)
        await receive_exactly(other, 20)
        # All that was accepted arrives, whole and in order, once the client reads.
        assert await receive_exactly(slow, accepted * 1000) == message * accepted
        while not road.sinks[who].send(b"more"):
            await trio.sleep(0.001)
        assert await receive_exactly(slow, 4) == b"more"


async def test_running_out_of_descriptors_pauses_accepting_and_ends_nothing(
    server: Server, road: FakeRoad
) -> None:
    transports = await server.start()
    async with await server.connect() as first:
        await first.send_all(BINDING_REQUEST)
        await receive_exactly(first, 20)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        pending = socket.socket()
        pending.setblocking(False)
        fillers = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (pending.fileno() + 20, hard))
            with pytest.raises(OSError, match="Too many open files"):  # noqa: PT012
                while True:
                    fillers.append(socket.socket())
            pending.connect_ex(server.address.sockaddr)
            with trio.fail_after(5):
                while not transports.totals().refused:
                    await trio.sleep(0.001)
            await first.send_all(BINDING_REQUEST)
            await receive_exactly(first, 20)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                filler.close()
        assert transports.totals().refused == {(Transport.TCP, Refusal.DESCRIPTORS): 1}
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(pending))
        async with stream:
            await stream.send_all(BINDING_REQUEST)
            await receive_exactly(stream, 20)


async def test_an_aborted_connection_does_not_end_the_accept_loop() -> None:
    class Listening(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, Any]:
            if self.failures:
                self.failures -= 1
                raise ConnectionAbortedError(errno.ECONNABORTED, "aborted")
            return super().accept()

    with Listening() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        client.connect(listening.getsockname())
        accepted = trio.CancelScope()

        def on_accept(sock: socket.socket, _peer: Address) -> None:
            sock.close()
            accepted.cancel()

        def on_exhausted() -> None:
            raise AssertionError("an aborted connection costs no descriptor")

        with trio.fail_after(5), accepted:
            await accept_forever(listening, on_accept, on_exhausted)
        assert listening.failures == 0


async def test_lack_of_descriptors_is_counted_each_time_and_told_now_and_then(
    mock_clock: trio.testing.MockClock,
) -> None:
    mock_clock.autojump_threshold = 0
    counted = 0

    class Listening(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            raise OSError(errno.EMFILE, "Too many open files")

    def on_exhausted() -> None:
        nonlocal counted
        counted += 1

    with Listening() as listening, structlog.testing.capture_logs() as logs:
        listening.bind(("127.0.0.1", 0))
        with trio.move_on_after(59.95):
            await accept_forever(listening, lambda *_: None, on_exhausted)
    assert counted == 600
    assert [entry["event"] for entry in logs] == ["accept-out-of-resources"] * 2


# --- Timeouts, in virtual time


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for I/O, during which the virtual clock stands."""
    while not condition():
        await trio.sleep(0)


@pytest.mark.parametrize(
    ("kind", "sent", "seconds", "transport", "reason"),
    [
        (ListenerKind.TCP, b"", 60, Transport.TCP, CloseReason.IDLE),
        (ListenerKind.TLS, b"", 15, Transport.TLS, CloseReason.HANDSHAKE_TIMEOUT),
        (ListenerKind.TCP, b"\x16\x03\x01", 15, Transport.TLS, CloseReason.HANDSHAKE_TIMEOUT),
        (ListenerKind.TCP, BINDING_REQUEST, 60, Transport.TCP, CloseReason.IDLE),
        (ListenerKind.TLS, BINDING_REQUEST[:9], 60, Transport.TCP, CloseReason.IDLE),
    ],
)
async def test_a_silent_stream_is_closed(
    server: Server,
    mock_clock: trio.testing.MockClock,
    kind: ListenerKind,
    sent: bytes,
    seconds: float,
    transport: Transport,
    reason: CloseReason,
) -> None:
    transports = await server.start(StreamSettings(handshake_timeout=15, idle_timeout=60), kind)
    async with await server.connect() as client:
        await client.send_all(sent)
        await wait_for(lambda: transports.connection_count == 1)
        await trio.testing.wait_all_tasks_blocked(0.02)
        mock_clock.jump(seconds - 0.1)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert transports.connection_count == 1
        mock_clock.jump(0.2)
        await wait_for(lambda: transports.connection_count == 0)
    assert transports.totals().closed == {(transport, reason): 1}


async def test_a_stream_that_holds_an_allocation_may_be_silent(
    server: Server, road: FakeRoad, mock_clock: trio.testing.MockClock
) -> None:
    transports = await server.start(StreamSettings(idle_timeout=60))
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST)
        await wait_for(lambda: bool(road.received))
        road.holders.add(server.five_tuple(client, Transport.TCP))
        for _ in range(10):
            mock_clock.jump(61)
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert transports.connection_count == 1
        road.holders.clear()
        mock_clock.jump(61)
        await wait_for(lambda: transports.connection_count == 0)


async def test_a_stream_without_an_allocation_stays_open_while_it_sends_messages(
    server: Server, road: FakeRoad, mock_clock: trio.testing.MockClock
) -> None:
    transports = await server.start(StreamSettings(idle_timeout=60))
    async with await server.connect() as client:
        for count in range(1, 6):
            await client.send_all(BINDING_REQUEST)
            await wait_for(lambda: len(road.received) == count)  # noqa: B023
            mock_clock.jump(50)
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert transports.connection_count == 1


async def test_half_messages_do_not_keep_a_stream_open(
    server: Server, mock_clock: trio.testing.MockClock
) -> None:
    transports = await server.start(StreamSettings(idle_timeout=60))
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST[:1])
        await wait_for(lambda: transports.totals().opened != {})
        for byte in BINDING_REQUEST[1:8]:
            mock_clock.jump(9)
            await client.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked(0.005)
        await wait_for(lambda: transports.connection_count == 0)
    assert transports.totals().closed == {(Transport.TCP, CloseReason.IDLE): 1}


async def test_a_proxy_that_sends_no_whole_header_is_given_up(
    server: Server, mock_clock: trio.testing.MockClock
) -> None:
    settings = StreamSettings(trusted_proxies=LOOPBACK, handshake_timeout=15)
    transports = await server.start(settings)
    async with await server.connect() as client:
        await client.send_all(V1[:10])
        await wait_for(lambda: transports.connection_count == 1)
        await trio.testing.wait_all_tasks_blocked(0.02)
        mock_clock.jump(15.1)
        await wait_for(lambda: transports.connection_count == 0)
    assert transports.totals().closed == {(Transport.TCP, CloseReason.HANDSHAKE_TIMEOUT): 1}


# --- Closing from this side


async def test_close_client_sends_what_is_queued_first(server: Server, road: FakeRoad) -> None:
    transports = await server.start(StreamSettings(send_queue_bytes=10_000_000))

    def answer_at_length(_data: bytes, who: FiveTuple) -> None:
        for number in range(8000):
            assert road.sinks[who].send(number.to_bytes(4, "big") * 250)
        transports.close_client(who)
        assert not road.sinks[who].send(b"too late")

    road.on_message = answer_at_length
    async with await server.connect() as client:
        # More than one message: a close that discarded them would reset the connection.
        await client.send_all(BINDING_REQUEST * 3)
        received = await receive_exactly(client, 8_000_000)
        assert received == b"".join(n.to_bytes(4, "big") * 250 for n in range(8000))
        assert await client.receive_some() == b""
    assert len(road.received) == 1
    await server.closed(Transport.TCP, CloseReason.SERVER)
    transports.close_client(road.gone[0])  # unknown by now: nothing happens


async def test_a_client_that_does_not_close_its_side_is_not_waited_for(
    server: Server, road: FakeRoad, mock_clock: trio.testing.MockClock
) -> None:
    transports = await server.start(StreamSettings(close_timeout=5))
    async with await server.connect() as client:
        await client.send_all(BINDING_REQUEST)
        await wait_for(lambda: bool(road.received))
        transports.close_client(road.received[0][1])
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert transports.connection_count == 1
        mock_clock.jump(5.1)
        await wait_for(lambda: transports.connection_count == 0)
    assert transports.totals().closed == {(Transport.TCP, CloseReason.SERVER): 1}


async def test_a_reset_connection_is_counted_as_such(server: Server, road: FakeRoad) -> None:
    await server.start()
    client = await server.connect()
    await client.send_all(BINDING_REQUEST)
    await receive_exactly(client, 20)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()
    await server.closed(Transport.TCP, CloseReason.RESET)
    assert len(road.gone) == 1


async def test_cancelling_closes_every_connection_and_the_listener(
    road: FakeRoad, certificates: CertificateStore
) -> None:
    async with trio.open_nursery() as nursery:
        server = Server(nursery, road, certificates)
        transports = await server.start()
        plain, tls, fresh = (
            await server.connect(),
            await server.connect_tls(),
            await server.connect(),
        )
        for client in (plain, tls):
            await client.send_all(BINDING_REQUEST)
            await receive_exactly(client, 20)
        nursery.cancel_scope.cancel()
    for client in (plain, tls, fresh):
        assert await ended(client)
        await trio.aclose_forcefully(client)
    assert (transports.connection_count, len(road.gone), road.sinks) == (0, 2, {})
    assert server.sock.fileno() == -1
    closed = transports.totals().closed
    assert closed == {
        (Transport.TCP, CloseReason.SHUTDOWN): 1,
        (Transport.TLS, CloseReason.SHUTDOWN): 1,
    }
