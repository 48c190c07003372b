"""A stream that is written to without waiting: order, bounds, endings; TLS in particular."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from turnd.transports.byte_stream import ByteStream
from turnd.transports.certificates import CertificateStore
from turnd.transports.tls_engine import TlsError

QUEUE = 50_000


class Pair:
    """A `ByteStream` and the socket at its other end."""

    def __init__(self, nursery: trio.Nursery) -> None:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.stream = ByteStream(ours, nursery.start_soon, QUEUE)
        self.far = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


@pytest.fixture
async def pair(nursery: trio.Nursery) -> AsyncIterator[Pair]:
    pair = Pair(nursery)
    yield pair
    pair.stream.close()
    pair.far.socket.close()


async def secure(pair: Pair, certificates: CertificateStore) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context(cadata=certificates.key_pair.to_pem().decode())
    client = trio.SSLStream(pair.far, context, server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.stream.start_tls, certificates.tls_context)
        nursery.start_soon(client.do_handshake)
    return client


def fill(stream: ByteStream) -> int:
    count = 0
    while stream.send(count.to_bytes(4, "big") * 100):
        count += 1
        assert count < 10_000, "nothing bounds the queue"
    return count


async def receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(5):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more
            data += more
    return data


@pytest.mark.parametrize("tls", [False, True])
async def test_what_was_accepted_arrives_in_order_and_the_queue_is_bounded(
    pair: Pair, certificates: CertificateStore, tls: bool
) -> None:
    far = await secure(pair, certificates) if tls else pair.far
    count = fill(pair.stream)
    # TLS adds some 22 bytes to a record, which the bound does not know beforehand.
    assert QUEUE - 500 < pair.stream.backlog_bytes < QUEUE + 100
    expected = b"".join(number.to_bytes(4, "big") * 100 for number in range(count))
    assert await receive_exactly(far, len(expected)) == expected
    await pair.stream.drained()
    assert pair.stream.send(b"next")
    assert await receive_exactly(far, 4) == b"next"


async def test_a_message_larger_than_the_queue_goes_when_nothing_is_before_it(pair: Pair) -> None:
    message = bytes(4 * QUEUE)
    assert pair.stream.send(message)
    assert not pair.stream.send(b"x")
    assert await receive_exactly(pair.far, len(message)) == message


async def test_send_all_waits_where_send_refuses(pair: Pair, nursery: trio.Nursery) -> None:
    fill(pair.stream)
    done = trio.Event()

    async def send_all() -> None:
        await pair.stream.send_all(b"patient")
        done.set()

    nursery.start_soon(send_all)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert not done.is_set()
    data = b""
    with trio.fail_after(5):
        while not data.endswith(b"patient"):
            data += await pair.far.receive_some()
        await done.wait()


async def test_eof_follows_what_is_queued(pair: Pair) -> None:
    count = fill(pair.stream)
    pair.stream.send_eof()
    assert not pair.stream.send(b"too late")
    await receive_exactly(pair.far, count * 400)
    assert await pair.far.receive_some() == b""
    await pair.far.send_all(b"other direction")
    assert await pair.stream.receive() == b"other direction"


async def test_data_in_the_same_segment_as_the_end_of_the_handshake_is_received(
    pair: Pair, certificates: CertificateStore, nursery: trio.Nursery
) -> None:
    context = ssl.create_default_context(cadata=certificates.key_pair.to_pem().decode())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    nursery.start_soon(pair.stream.start_tls, certificates.tls_context)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            await pair.far.send_all(outgoing.read())
            incoming.write(await pair.far.receive_some())
    client.write(b"with the Finished")
    await pair.far.send_all(outgoing.read())
    await trio.testing.wait_all_tasks_blocked(0.01)
    with trio.fail_after(5):
        assert await pair.stream.receive() == b"with the Finished"


async def test_tls_goes_on_reading_after_its_own_close_notify(
    pair: Pair, certificates: CertificateStore
) -> None:
    client = await secure(pair, certificates)
    pair.stream.send_eof()
    await client.send_all(b"other direction")
    assert await pair.stream.receive() == b"other direction"
    assert await client.receive_some() == b""


async def test_a_broken_connection_drops_the_queue_and_wakes_who_waits(
    pair: Pair, nursery: trio.Nursery
) -> None:
    fill(pair.stream)
    with trio.fail_after(5):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(pair.stream.drained)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await pair.far.aclose()
    assert pair.stream.backlog_bytes == 0
    assert not pair.stream.send(b"x")
    with pytest.raises(BrokenPipeError):
        await pair.stream.send_all(b"x")


async def test_close_wakes_the_reader(pair: Pair, nursery: trio.Nursery) -> None:
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as reading:
            reading.start_soon(pair.stream.receive)
            await trio.testing.wait_all_tasks_blocked(0.01)
            pair.stream.close()
    pair.stream.close()
    assert not pair.stream.send(b"x")


async def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    for _ in range(3):
        with trio.move_on_after(0) as scope:
            await pair.stream.receive()
        assert scope.cancelled_caught
    await pair.far.send_all(b"kept")
    assert await pair.stream.receive() == b"kept"


async def test_garbage_in_a_tls_stream_is_a_tls_error_and_gets_an_alert(
    pair: Pair, certificates: CertificateStore
) -> None:
    client = await secure(pair, certificates)
    await pair.far.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsError):
        await pair.stream.receive()
    with pytest.raises(trio.BrokenResourceError) as raised:
        await client.receive_some()
    assert "alert" in str(raised.value.__cause__).lower()


async def test_a_client_that_makes_tls_answer_and_reads_nothing_is_read_no_further(
    pair: Pair, certificates: CertificateStore, nursery: trio.Nursery
) -> None:
    """The queue full, TLS's own answers still go on it; then the reading pauses."""
    client = await secure(pair, certificates)
    fill(pair.stream)
    over = pair.stream.backlog_bytes
    pair.stream._push(bytes(QUEUE - over + 1))  # what an answer does
    read = trio.Event()

    async def receive() -> None:
        assert await pair.stream.receive() == b"wait for it"
        read.set()

    nursery.start_soon(receive)
    await client.send_all(b"wait for it")
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert not read.is_set()

    async def drain() -> None:
        while await pair.far.receive_some():
            pass

    nursery.start_soon(drain)
    with trio.fail_after(5):
        await read.wait()
