"""The shell between a core and a link: time, queues, cancellation, on links made for a test."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from ice_client.turn import (
    DatagramTooLargeError,
    LinkError,
    PermissionLost,
    RelayClosedError,
    TransactionTimeoutError,
    Transport,
    TurnClientError,
    TurnServer,
    open_relay,
)
from ice_client.turn.authentication import Authenticator
from ice_client.turn.client import TurnClient
from ice_client.turn.link import Link
from ice_client.turn.open_session import CLOSE_TIMEOUT, delete_allocation
from ice_client.turn.options import AllocateOptions
from ice_client.turn.session import Session, random_bytes
from ice_client.turn.shielded import shielded_tasks
from ice_client.turn.stream_link import StreamLink
from ice_client.turn.trace import observe_nothing
from stun import Address, Message, MessageClass, Method
from stun import attributes as a
from stun.channel_data import ChannelData
from stun.values import Error
from tests.ice_client.turn.servers import turnd
from tests.ice_client.turn.wire import PEER, answer, granted

HERE, THERE = Address.parse("127.0.0.1", 1), Address.parse("127.0.0.1", 2)


class FakeLink(Link):
    """Answers every request with success, at once, unless told otherwise."""

    def __init__(self) -> None:
        self.local, self.remote, self.reliable = HERE, THERE, False
        self.silent = False
        self.refused: set[int] = set()
        self.times: list[tuple[int, float]] = []
        self.inbox, self._outbox = trio.open_memory_channel[bytes](1000)

    async def send(self, packet: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if packet[0] >= 0x40:
            return
        message = Message.decode(packet)
        if message.message_class is not MessageClass.REQUEST:
            return
        self.times.append((message.method, trio.current_time()))
        if not self.silent:
            self.inbox.send_nowait(self._answer(message).encode())

    def _answer(self, request: Message) -> Message:
        if request.method in self.refused:
            error = a.ERROR_CODE.of(Error(403))
            return answer(request, MessageClass.ERROR_RESPONSE, [error])
        attributes = granted(request) if request.method == Method.ALLOCATE else []
        if request.method == Method.REFRESH:
            attributes = [a.LIFETIME.of(600)]
        return answer(request, MessageClass.SUCCESS_RESPONSE, attributes)

    async def receive(self) -> bytes:
        try:
            return await self._outbox.receive()
        except trio.EndOfChannel as error:
            raise LinkError("the link broke") from error

    async def aclose(self) -> None:
        self.inbox.close()
        await trio.lowlevel.checkpoint()

    def sent(self, method: Method) -> list[float]:
        return [at for each, at in self.times if each == method]


@contextlib.asynccontextmanager
async def session_on(link: FakeLink, queue: int = 10) -> AsyncIterator[Session]:
    """Run an allocated session."""
    authenticator = Authenticator(None)
    client = TurnClient(authenticator, AllocateOptions(), random_bytes=random_bytes)
    server = TurnServer("127.0.0.1", 2)
    async with shielded_tasks() as tasks:
        session = Session(client, authenticator, server, link, tasks, observe_nothing, queue)
        await session.perform(client.allocate)
        yield session


async def test_everything_is_refreshed_in_time_by_itself(autojump_clock: object) -> None:
    link = FakeLink()
    async with session_on(link) as session:
        start = trio.current_time()
        await session.perform(lambda now: session.client.bind_channel(PEER, now))
        await trio.sleep(1200)
        refreshed = [at - start for at in link.sent(Method.REFRESH)]
        assert refreshed == pytest.approx([540, 1080])
        bound = [at - start for at in link.sent(Method.CHANNEL_BIND)]
        assert bound == pytest.approx([0, 540, 1080])
        # RFC 8656 §9: 300 s, of which the last 60 are left for what goes wrong.
        kept = sorted([*bound, *(at - start for at in link.sent(Method.CREATE_PERMISSION))])
        assert max(after - before for before, after in itertools.pairwise(kept)) <= 241


async def test_a_server_that_falls_silent_ends_the_session(autojump_clock: object) -> None:
    link = FakeLink()
    async with session_on(link) as session:
        start = trio.current_time()
        link.silent = True
        with pytest.raises(TransactionTimeoutError):
            await session.receive()
        assert trio.current_time() - start == pytest.approx(540 + 39.5)
        with pytest.raises(TransactionTimeoutError):
            await session.send(b"x", PEER)


async def test_what_is_not_received_in_time_is_dropped_and_counted(autojump_clock: object) -> None:
    link = FakeLink()
    async with session_on(link, queue=10) as session:
        await session.perform(lambda now: session.client.bind_channel(PEER, now))
        for number in range(25):
            link.inbox.send_nowait(ChannelData(0x4000, b"%d" % number).encode(stream=False))
        await trio.testing.wait_all_tasks_blocked()
        assert session.dropped == 15
        received = [(await session.receive())[0] for _ in range(10)]
        assert received == [b"%d" % number for number in range(10)]


async def test_a_lost_permission_is_a_notice(autojump_clock: object) -> None:
    link = FakeLink()
    async with session_on(link) as session:
        await session.perform(lambda now: session.client.permit([PEER], now))
        link.refused.add(Method.CREATE_PERMISSION)
        notice = await session.next_notice()
        assert isinstance(notice, PermissionLost)
        assert notice.peer == PEER.with_port(0)


async def test_data_that_came_before_the_link_broke_can_still_be_received() -> None:
    link = FakeLink()
    async with session_on(link) as session:
        await session.perform(lambda now: session.client.bind_channel(PEER, now))
        link.inbox.send_nowait(ChannelData(0x4000, b"last words").encode(stream=False))
        link.inbox.close()
        await trio.testing.wait_all_tasks_blocked()
        assert await session.receive() == (b"last words", PEER)
        with pytest.raises(LinkError):
            await session.receive()


async def test_a_server_that_is_silent_holds_the_end_no_longer_than_the_limit(
    autojump_clock: object,
) -> None:
    link = FakeLink()
    async with session_on(link) as session:
        link.silent = True
        start = trio.current_time()
        with trio.CancelScope() as scope:
            scope.cancel()
            await delete_allocation(session)
        assert link.sent(Method.REFRESH)[0] == start
        assert trio.current_time() - start == pytest.approx(CLOSE_TIMEOUT)
        with pytest.raises(RelayClosedError):
            await session.receive()


async def test_whoever_waits_when_the_relay_ends_is_told(autojump_clock: object) -> None:
    link, told = FakeLink(), list[type[TurnClientError]]()

    async def wait(session: Session) -> None:
        try:
            await session.perform(lambda now: session.client.permit([PEER], now))
        except TurnClientError as error:
            told.append(type(error))

    async with session_on(link) as session, trio.open_nursery() as nursery:
        link.silent = True
        nursery.start_soon(wait, session)
        await trio.testing.wait_all_tasks_blocked()
        session.end()
    assert told == [RelayClosedError]


class HalfwayStream:
    """A stream that stops in the middle of each write until it is let on."""

    def __init__(self) -> None:
        self.written = b""
        self.go_on = trio.Event()

    async def send_all(self, data: bytes) -> None:
        self.written += data[: len(data) // 2]
        await self.go_on.wait()
        self.written += data[len(data) // 2 :]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_cancelled_send_leaves_no_half_frame_on_a_stream() -> None:
    stream = HalfwayStream()
    link = StreamLink(stream, HERE, THERE)  # type: ignore[arg-type]
    frames = [ChannelData(0x4000, bytes((n,)) * 4).encode(stream=True) for n in range(80)]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.write)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_when_blocked, scope)
                for frame in frames:  # more than the queue takes
                    await link.send(frame)
            assert scope.cancelled_caught
            assert stream.written == frames[0][:4]
            stream.go_on.set()
            await trio.testing.wait_all_tasks_blocked()
            count, rest = divmod(len(stream.written), len(frames[0]))
            assert rest == 0
            assert 1 < count < len(frames)
            assert stream.written == b"".join(frames[:count])
            await link.aclose()


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.DTLS])
async def test_a_datagram_that_is_too_large_ends_nothing(
    transport: Transport, tmp_path: Path
) -> None:
    async with turnd(tmp_path) as running:
        with trio.fail_after(20):
            async with (
                open_relay(running.at(transport)) as alice,
                open_relay(running.at(transport)) as bob,
            ):
                await bob.permit(alice.relayed_address)
                await alice.bind_channel(bob.relayed_address)
                with pytest.raises(DatagramTooLargeError):
                    await alice.send_to(bytes(65530), bob.relayed_address)
                await alice.send_to(b"small", bob.relayed_address)
                assert await bob.receive_from() == (b"small", alice.relayed_address)
