"""RFC 6062 through real servers, both directions."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import trio

from ice_client.turn import (
    ConnectionExistsError,
    ConnectionFailedError,
    TcpRelay,
    Transport,
    open_tcp_relay,
)
from stun import Address
from tests.ice_client.turn.servers import SERVERS, turnd
from tests.interop.server_under_test import free_port

STREAMS = [Transport.TCP, Transport.TLS]


async def echo(stream: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):  # coturn resets what it closes
        async for data in stream:
            await stream.send_all(data)


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        assert chunk, "the stream ended early"
        data += chunk
    return data


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("transport", STREAMS)
async def test_a_client_connects_to_a_peer(kind: str, transport: Transport, tmp_path: Path) -> None:
    payload = bytes(range(256)) * 400
    async with SERVERS[kind](tmp_path) as running, trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_tcp,
            echo,
            0,
        )
        peer = Address.parse("127.0.0.1", listeners[0].socket.getsockname()[1])
        with trio.fail_after(20):
            async with open_tcp_relay(running.at(transport)) as relay:
                await relay.permit(peer)
                stream = await relay.connect(peer)
                assert stream.peer == peer
                async with trio.open_nursery() as sending:
                    sending.start_soon(stream.send_all, payload)
                    assert await read_exactly(stream, len(payload)) == payload
                with pytest.raises(ConnectionExistsError):
                    await relay.connect(peer)
                await stream.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("transport", STREAMS)
async def test_a_peer_connects_to_a_client(kind: str, transport: Transport, tmp_path: Path) -> None:
    greeting, answer = b"data right after connecting", b"and back"

    async def serve(relay: TcpRelay) -> None:
        async for stream in relay:
            assert await read_exactly(stream, len(greeting)) == greeting
            await stream.send_all(answer)
            return

    async with SERVERS[kind](tmp_path) as running:
        with trio.fail_after(20):
            async with open_tcp_relay(running.at(transport)) as relay:
                await relay.permit(Address.parse("127.0.0.1"))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(serve, relay)
                    peer = await trio.open_tcp_stream(
                        relay.relayed_address.host, relay.relayed_address.port
                    )
                    async with peer:
                        await peer.send_all(greeting)
                        assert await read_exactly(peer, len(answer)) == answer


async def test_a_peer_that_does_not_listen_is_told_by_447(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        with trio.fail_after(20):
            async with open_tcp_relay(running.at(Transport.TCP)) as relay:
                peer = Address.parse("127.0.0.1", free_port())
                await relay.permit(peer)
                with pytest.raises(ConnectionFailedError) as caught:
                    await relay.connect(peer)
                assert caught.value.code == 447


async def test_the_loop_over_connections_ends_with_the_relay(tmp_path: Path) -> None:
    async def wait(relay: TcpRelay) -> None:
        async for _ in relay:
            pytest.fail("nobody connects")
        ended.set()

    ended = trio.Event()
    async with turnd(tmp_path) as running, trio.open_nursery() as nursery:
        with trio.fail_after(20):
            async with open_tcp_relay(running.at(Transport.TCP)) as relay:
                nursery.start_soon(wait, relay)
                await trio.testing.wait_all_tasks_blocked(0.01)
            await ended.wait()


async def test_tcp_is_not_relayed_over_datagrams(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        with pytest.raises(ValueError, match="TCP or TLS"):
            async with open_tcp_relay(running.at(Transport.UDP)):
                pytest.fail("allocated")
