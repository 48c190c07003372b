"""aiortc's RTCDtlsTransport as the peer, in both roles, with SRTP both ways."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)

from tests.webrtc.dtls.link import certificate
from webrtc.dtls import (
    Closed,
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsState,
    Event,
    Failed,
    FailureReason,
    Fingerprint,
    SrtpSession,
)

TIMEOUT = 10.0
RTP = bytes.fromhex("80600001000000010000000a") + b"from ours"


class InMemoryIce:
    """What aiortc's DTLS needs of its ICE transport."""

    def __init__(self, role: str, send: Callable[[bytes], None]) -> None:
        self.role = role
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._deliver = send

    async def _recv(self) -> bytes:
        return await self.inbox.get()

    async def _send(self, data: bytes) -> None:
        self._deliver(data)


class Receiver:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()

    async def _handle_data(self, data: bytes) -> None:
        self.messages.put_nowait(data)


class AiortcPeer:
    def __init__(self, endpoint: DtlsEndpoint, our_role: DtlsRole) -> None:
        self._endpoint = endpoint
        self.events: list[Event] = []
        self.changed = asyncio.Event()
        # aiortc takes the role of ORTC: who controls is the server.
        ice_role = "controlling" if our_role is DtlsRole.CLIENT else "controlled"
        self.ice = InMemoryIce(ice_role, self._receive)
        self._certificate = RTCCertificate.generateCertificate()
        self.media: list[bytes] = []
        self.receiver = Receiver()
        transport: Any = self.ice
        self.transport = RTCDtlsTransport(transport, [self._certificate])
        self.transport._register_data_receiver(self.receiver)

    @property
    def fingerprints(self) -> list[Fingerprint]:
        return [
            Fingerprint.parse(f"{fingerprint.algorithm} {fingerprint.value}")
            for fingerprint in self._certificate.getFingerprints()
        ]

    def _receive(self, data: bytes) -> None:
        if data[0] >= 128:
            self.media.append(data)
        else:
            self._endpoint.receive(data, time.monotonic())
        self.pump()

    def pump(self) -> None:
        self.events += self._endpoint.take_events()
        for datagram in self._endpoint.take_datagrams():
            self.ice.inbox.put_nowait(datagram)
        self.changed.set()

    async def wait_for(self, kind: type[Event]) -> Any:
        async with asyncio.timeout(TIMEOUT):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self.changed.clear()
                await self.changed.wait()


def parameters(fingerprint: Fingerprint) -> RTCDtlsParameters:
    algorithm, _, value = str(fingerprint).partition(" ")
    return RTCDtlsParameters([RTCDtlsFingerprint(algorithm, value)])


@pytest.mark.parametrize("role", list(DtlsRole))
def test_aiortc_connects_and_exchanges_data_and_media(role: DtlsRole) -> None:
    async def run() -> None:
        endpoint = DtlsEndpoint(certificate())
        peer = AiortcPeer(endpoint, role)
        endpoint.start(time.monotonic(), role, peer.fingerprints)
        peer.pump()
        await peer.transport.start(parameters(certificate().fingerprint()))
        connected = await peer.wait_for(Connected)
        assert peer.transport.state == "connected"

        endpoint.send(b"ours")
        peer.pump()
        assert await asyncio.wait_for(peer.receiver.messages.get(), TIMEOUT) == b"ours"
        await peer.transport._send_data(b"theirs")
        assert (await peer.wait_for(DataReceived)).data == b"theirs"

        srtp = SrtpSession(connected.srtp)
        assert peer.transport._rx_srtp.unprotect(srtp.protect_rtp(RTP)) == RTP
        await peer.transport._send_rtp(RTP)
        assert srtp.unprotect_rtp(peer.media[-1]) == RTP

        await peer.transport.stop()
        assert (await peer.wait_for(Closed)).by_peer
        assert endpoint.state is DtlsState.CLOSED

    asyncio.run(run())


def test_aiortc_with_another_certificate_than_signalled_is_refused() -> None:
    async def run() -> None:
        endpoint = DtlsEndpoint(certificate())
        peer = AiortcPeer(endpoint, DtlsRole.SERVER)
        wrong = certificate("another").fingerprint()
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [wrong])
        peer.pump()
        await peer.transport.start(parameters(certificate().fingerprint()))
        failed = await peer.wait_for(Failed)
        assert failed.reason is FailureReason.FINGERPRINT
        assert peer.transport.state == "failed"  # our alert told it

    asyncio.run(run())
