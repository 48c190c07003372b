"""`openssl s_client` (the system's OpenSSL, not the one inside cryptography) over real UDP."""

from __future__ import annotations

import socket

import pytest
import trio

from stun import Address
from tests.turnd.transports.transport_fakes import FakeRoad, start_s_client
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.transports.certificates import CertificateStore
from turnd.transports.dtls_transport import DtlsTransport
from turnd.transports.settings import DtlsSettings
from turnd.transports.totals import CloseReason, HandshakeOutcome


class UdpRoad(FakeRoad):
    """A UDP socket on loopback, as the datapath would own one."""

    def __init__(self) -> None:
        super().__init__()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.address = Address.from_sockaddr(self.sock.getsockname())
        self.hellos: list[bytes] = []
        self.somebody_left = trio.Event()

    def send_to_client(self, data: bytes, five_tuple: FiveTuple) -> bool:
        assert five_tuple.transport is Transport.UDP
        self.sock.sendto(data, five_tuple.client.sockaddr)
        return True

    def on_client_gone(self, five_tuple: FiveTuple) -> None:
        super().on_client_gone(five_tuple)
        self.somebody_left.set()

    async def run(self, dtls: DtlsTransport) -> None:
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            data, source = self.sock.recvfrom(65536)
            if data[0] == 22 and data[13] == 1:
                self.hellos.append(data)
            client = Address.from_sockaddr(source)
            dtls.receive(data, FiveTuple(Transport.DTLS, client, self.address))


LONG_ALPN = ",".join(chr(65 + i) * 50 for i in range(20)) + ",stun.turn"


@pytest.mark.parametrize(
    ("options", "hello_datagrams"),
    [
        pytest.param([], 2, id="one datagram a hello"),
        pytest.param(["-mtu", "700", "-alpn", LONG_ALPN], 4, id="two datagrams a hello"),
    ],
)
async def test_openssl_s_client_talks_through_a_session_and_closes_it(
    certificates: CertificateStore, options: list[str], hello_datagrams: int
) -> None:
    road = UdpRoad()
    dtls = DtlsTransport(
        DtlsSettings(),
        road,
        certificates,
        on_client_gone=road.on_client_gone,
        has_allocation=road.has_allocation,
    )
    arguments = [
        "-dtls1_2",
        "-quiet",
        "-no_ign_eof",
        *options,
        "-connect",
        f"127.0.0.1:{road.address.port}",
    ]
    with trio.fail_after(20), road.sock:
        async with trio.open_nursery() as nursery:
            await nursery.start(dtls.run)
            nursery.start_soon(road.run, dtls)
            send, receive, process = await start_s_client(nursery, arguments)
            async with receive:
                await send.send_all(b"over and out\n")
                assert await receive.receive_some() == b"over and out\n"
                await send.aclose()
                await road.somebody_left.wait()
                await process.wait()
            nursery.cancel_scope.cancel()
    assert len(road.hellos) == hello_datagrams
    totals = dtls.totals()
    assert totals.handshakes == {(Transport.DTLS, HandshakeOutcome.COMPLETED): 1}
    assert totals.closed == {(Transport.DTLS, CloseReason.CLIENT): 1}
