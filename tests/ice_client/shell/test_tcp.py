"""TCP endpoints carry packets over connections that they find or make (RFC 6544, RFC 4571)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ice_client import tcp
from ice_client.core.candidate import Transport
from ice_client.errors import PacketTooLongError
from ice_client.stream_frames import FrameReader, frame
from ice_client.tcp import TcpEndpoint, tcp_endpoint
from stun import Address

LOOPBACK = Address.parse("127.0.0.1")
LOOPBACK_6 = Address.parse("::1")


@given(st.lists(st.binary(min_size=1, max_size=400)), st.integers(1, 50))
def test_packets_come_out_of_the_stream_however_it_was_cut(packets: list[bytes], cut: int) -> None:
    stream = b"".join(map(frame, packets))
    reader = FrameReader()
    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    assert [each for piece in pieces for each in reader.receive(piece)] == packets


def test_a_frame_is_its_length_in_two_bytes_and_the_packet() -> None:
    assert frame(b"abc") == b"\x00\x03abc"


def test_an_empty_frame_is_ignored() -> None:
    assert FrameReader().receive(b"\x00\x00\x00\x01x") == [b"x"]


def test_a_packet_longer_than_two_bytes_can_say_is_refused() -> None:
    with pytest.raises(PacketTooLongError):
        frame(bytes(0x10000))


@contextlib.asynccontextmanager
async def running(tcp_type: Transport, address: Address = LOOPBACK) -> AsyncIterator[TcpEndpoint]:
    with tcp_endpoint(tcp_type, address) as endpoint:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endpoint.serve)
            await trio.testing.wait_all_tasks_blocked()
            yield endpoint
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("address", [LOOPBACK, LOOPBACK_6], ids=["ipv4", "ipv6"])
async def test_an_active_endpoint_connects_to_a_passive_one_which_answers(address: Address) -> None:
    with trio.fail_after(5):
        async with (
            running(Transport.TCP_PASSIVE, address) as passive,
            running(Transport.TCP_ACTIVE, address) as active,
        ):
            await active.send_to(b"check", passive.base.address)
            data, source = await passive.receive_from()
            assert data == b"check"
            await passive.send_to(b"answer", source)
            assert await active.receive_from() == (b"answer", passive.base.address)


async def test_two_endpoints_open_simultaneously_from_the_ports_they_named() -> None:
    with trio.fail_after(10):
        async with (
            running(Transport.TCP_SO) as one,
            running(Transport.TCP_SO) as other,
        ):
            await _send_until_received(one, other)


async def _send_until_received(one: TcpEndpoint, other: TcpEndpoint) -> None:
    # What waited for an attempt that the other's was faster than is lost, and sent again: checks.
    while True:
        one.send_now(b"from one", other.base.address)
        other.send_now(b"from other", one.base.address)
        with trio.move_on_after(0.05):
            assert await _next_packet(other) == (b"from one", one.base.address)
            assert await _next_packet(one) == (b"from other", other.base.address)
            assert one.connected_to == [other.base.address]
            assert other.connected_to == [one.base.address]
            return


async def _next_packet(endpoint: TcpEndpoint) -> tuple[bytes, Address]:
    while True:
        packet, source = await endpoint.receive_from()
        if packet:
            return packet, source


async def test_a_passive_endpoint_never_connects_itself() -> None:
    async with running(Transport.TCP_PASSIVE) as one, running(Transport.TCP_PASSIVE) as other:
        one.send_now(b"x", other.base.address)
        await one.send_to(b"x", other.base.address)
        assert one.connected_to == []


async def test_more_connections_than_allowed_are_closed_at_once() -> None:
    with trio.fail_after(5):
        async with running(Transport.TCP_PASSIVE) as passive:
            streams = [
                await trio.open_tcp_stream("127.0.0.1", passive.base.address.port)
                for _ in range(tcp.MAX_CONNECTIONS + 1)
            ]
            with contextlib.suppress(trio.BrokenResourceError):
                assert await streams[-1].receive_some() == b""
            assert len(passive.connected_to) == tcp.MAX_CONNECTIONS
            for stream in streams:
                await trio.aclose_forcefully(stream)


async def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "FIRST_PACKET_TIMEOUT", 0.05)
    with trio.fail_after(5):
        async with (
            running(Transport.TCP_PASSIVE) as passive,
            await trio.open_tcp_stream("127.0.0.1", passive.base.address.port) as stream,
        ):
            await stream.send_all(b"\x00")  # a frame that never ends is no packet
            with contextlib.suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""


async def test_a_connection_that_cannot_be_opened_is_told_of_and_may_be_tried_again() -> None:
    with trio.fail_after(5):
        async with running(Transport.TCP_PASSIVE) as passive:
            nobody = passive.base.address
        async with running(Transport.TCP_ACTIVE) as active:
            active.send_now(b"x", nobody)
            assert active.connected_to == [nobody]
            assert await active.receive_from() == (None, nobody)
            await trio.testing.wait_all_tasks_blocked()
            assert active.connected_to == []


async def test_what_is_sent_before_the_endpoint_serves_is_carried_when_it_does() -> None:
    with trio.fail_after(5), tcp_endpoint(Transport.TCP_ACTIVE, LOOPBACK) as active:
        async with running(Transport.TCP_PASSIVE) as passive, trio.open_nursery() as nursery:
            assert active.send_now(b"early", passive.base.address)
            nursery.start_soon(active.serve)
            assert (await passive.receive_from())[0] == b"early"
            nursery.cancel_scope.cancel()


async def test_a_connection_that_the_peer_closes_is_told_of() -> None:
    with trio.fail_after(5):
        async with running(Transport.TCP_PASSIVE) as passive:
            async with running(Transport.TCP_ACTIVE) as active:
                active.send_now(b"x", passive.base.address)
                _, source = await passive.receive_from()
            assert await passive.receive_from() == (None, source)


async def test_packets_beyond_the_queue_are_dropped_when_sent_at_once() -> None:
    with trio.fail_after(5):
        async with (
            running(Transport.TCP_PASSIVE) as passive,
            running(Transport.TCP_ACTIVE) as active,
        ):
            for number in range(tcp.QUEUED_PACKETS + 10):
                active.send_now(b"%d" % number, passive.base.address)
            for number in range(tcp.QUEUED_PACKETS):
                assert (await passive.receive_from())[0] == b"%d" % number
            active.send_now(b"next", passive.base.address)
            assert (await passive.receive_from())[0] == b"next"


async def test_who_waits_to_send_is_let_go_when_the_connection_breaks() -> None:
    with trio.fail_after(10), tcp_endpoint(Transport.TCP_ACTIVE, LOOPBACK) as active:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        remote = Address.from_sockaddr(listener.socket.getsockname())
        ended = trio.Event()

        async def send() -> None:
            for _ in range(1000):  # more than all the queues on the way hold
                await active.send_to(bytes(0x8000), remote)
                if ended.is_set():
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(active.serve)
            nursery.start_soon(send)
            stream = await listener.accept()
            await trio.testing.wait_all_tasks_blocked()
            ended.set()
            await trio.aclose_forcefully(stream)
            assert await active.receive_from() == (None, remote)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await listener.aclose()
