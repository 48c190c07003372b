"""Links that fail: certificates, the wrong protocol on a port, silence, servers that go away."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import attrs
import pytest
import trio

from ice_client.turn import (
    CertificateError,
    LinkError,
    Relay,
    TlsError,
    TlsOptions,
    Transport,
    TurnClientError,
    TurnServer,
    binding,
    open_relay,
)
from tests.ice_client.turn.servers import Certificates, Running, turnd

SECURE = [Transport.TLS, Transport.DTLS]


@pytest.mark.parametrize("transport", SECURE)
async def test_a_certificate_must_prove_the_name_that_was_asked_for(
    transport: Transport, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Certificates.make(tmp_path / "other")
    async with turnd(tmp_path) as running:
        server = running.at(transport)
        cases = {
            "the address": (server.tls, True),
            "a name": (attrs.evolve(server.tls, server_name="turn.example.org"), True),
            "another name": (attrs.evolve(server.tls, server_name="example.com"), False),
            "another address": (attrs.evolve(server.tls, server_name="127.0.0.2"), False),
            "another authority": (TlsOptions(ca_file=stranger.ca), False),
            "the system's authorities": (TlsOptions(), False),
            "no questions asked": (TlsOptions(verify=False, server_name="example.com"), True),
            "no file": (TlsOptions(ca_file=tmp_path / "missing.pem"), False),
        }
        for name, (tls, good) in cases.items():
            raises = contextlib.nullcontext() if good else pytest.raises(CertificateError)
            with trio.fail_after(20), raises:
                await binding(attrs.evolve(server, tls=tls))
                assert good, name


@pytest.mark.parametrize(
    ("transport", "secure_port", "error"),
    [(Transport.TLS, False, TlsError), (Transport.TCP, True, LinkError)],
)
async def test_plain_and_tls_swapped_is_an_error_at_once(
    transport: Transport, secure_port: bool, error: type[LinkError], tmp_path: Path
) -> None:
    async with turnd(tmp_path, {"listen": listen_apart()}) as running:
        port = running.server.secure_port if secure_port else running.server.plain_port
        server = attrs.evolve(running.at(transport), port=port)
        with trio.fail_after(8), pytest.raises(error):
            await binding(server)


def listen_apart() -> dict[str, bool]:
    """Keep TLS and plain TCP apart, which turnd otherwise tells apart by itself."""
    return {"detect_tls": False}


@pytest.mark.parametrize("transport", SECURE)
async def test_a_handshake_that_nobody_answers_ends_in_time(transport: Transport) -> None:
    kind = socket.SOCK_STREAM if transport.is_stream else socket.SOCK_DGRAM
    with trio.socket.socket(socket.AF_INET, kind) as silent:
        await silent.bind(("127.0.0.1", 0))
        if transport.is_stream:
            silent.listen(5)
        server = TurnServer("127.0.0.1", silent.getsockname()[1], transport)
        with trio.fail_after(5), pytest.raises(LinkError, match=r"within 0\.1 s"):
            await binding(server, connect_timeout=0.1)


@pytest.mark.parametrize("transport", Transport)
async def test_a_port_where_nobody_listens_is_a_link_error(transport: Transport) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        server = TurnServer("127.0.0.1", unused.getsockname()[1], transport)
        with trio.fail_after(10), pytest.raises(LinkError):
            async with open_relay(server):
                pytest.fail("allocated")


@pytest.mark.parametrize("transport", Transport)
async def test_a_server_that_goes_away_ends_every_call_with_an_error(
    transport: Transport, tmp_path: Path
) -> None:
    stop, stopped = trio.Event(), trio.Event()
    errors: list[TurnClientError] = []

    async def serve(task_status: trio.TaskStatus[Running]) -> None:
        async with turnd(tmp_path) as running:
            task_status.started(running)
            await stop.wait()
        stopped.set()

    async def receive(relay: Relay) -> None:
        try:
            await relay.receive_from()
        except TurnClientError as error:
            errors.append(error)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            running = await nursery.start(serve)
            async with open_relay(running.at(transport)) as relay:
                peer = relay.relayed_address
                await relay.permit(peer)
                nursery.start_soon(receive, relay)
                stop.set()
                await stopped.wait()
                # Over UDP only an ICMP error can tell: something has to be sent to get one.
                for _ in range(2):
                    with pytest.raises(TurnClientError):
                        await relay.refresh()
                with pytest.raises(TurnClientError):
                    await relay.send_to(b"x", peer)
    assert len(errors) == 1


class LossyPath:
    """Forwards datagrams to a server, but for those that `lost` counts down to 0."""

    def __init__(self, sock: trio.socket.SocketType, server: tuple[str, int], lost: int) -> None:
        self._sock = sock
        self._server = server
        self.lost = lost

    async def run(self) -> None:
        client = self._server
        while True:
            data, source = await self._sock.recvfrom(65536)
            if source != self._server:
                client = source
            if self.lost:
                self.lost -= 1
            else:
                await self._sock.sendto(data, client if source == self._server else self._server)


async def test_a_dtls_handshake_survives_a_lost_datagram(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running, trio.open_nursery() as nursery:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            path = LossyPath(sock, ("127.0.0.1", running.server.secure_port), lost=1)
            nursery.start_soon(path.run)
            server = attrs.evolve(running.at(Transport.DTLS), port=sock.getsockname()[1])
            with trio.fail_after(20):
                result = await binding(server)
            assert path.lost == 0
            assert result.mapped_address.host == "127.0.0.1"
            nursery.cancel_scope.cancel()
