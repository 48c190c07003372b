"""TCP relayed (RFC 6062): connections to peers, and from them, through a TURN server."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

import attrs
import trio

from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    LinkError,
    MalformedResponseError,
    RelayClosedError,
    TurnClientError,
)
from ice_client.turn.exchanges import DEFAULT_TIMING, Exchanges, Outcome, Request
from ice_client.turn.open_link import CONNECT_TIMEOUT, connect_stream, limited
from ice_client.turn.open_session import SessionOptions, open_session
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import Allocation, ConnectionAttempted, Exchange, Output, Transmit
from ice_client.turn.server import TurnServer
from ice_client.turn.session import Session, random_bytes
from ice_client.turn.stream_link import ByteStream, close_stream
from ice_client.turn.trace import Observer, observe_nothing
from stun import Address, DecodeError, Family, Message, Method
from stun import attributes as a
from stun.framer import StreamFramer

_CHUNK = 0x10000


class PeerStream(trio.abc.Stream):
    """A TCP connection to a peer, through the server.

    Args:
        stream: the data connection, bound.
        rest: what the peer's side has sent already.
        peer: the other end.
        on_close: is told when it closes.

    Attributes:
        peer: the other end.

    """

    def __init__(
        self,
        stream: ByteStream,
        rest: bytes,
        peer: Address,
        on_close: Callable[[PeerStream], None],
    ) -> None:
        self.peer = peer
        self._on_close = on_close
        self._stream = stream
        self._rest = rest

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        if self._rest:
            await trio.lowlevel.checkpoint()
            size = len(self._rest) if max_bytes is None else max_bytes
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self._on_close(self)
        await close_stream(self._stream)


class TcpRelay:
    """A TCP allocation. Made by `open_tcp_relay`.

    `async for stream in relay` takes the connections of peers that were permitted; it ends with
    the relay.
    """

    def __init__(self, session: Session, bind: Address | None) -> None:
        self._session = session
        self._bind = bind
        self._streams: set[PeerStream] = set()

    @property
    def allocation(self) -> Allocation:
        """All that the server granted."""
        return self._session.allocation

    @property
    def relayed_address(self) -> Address:
        """The address that peers connect to, and are connected to from."""
        return self.allocation.relayed_addresses[0]

    @property
    def mapped_address(self) -> Address:
        """The client's address as the server sees it."""
        return self.allocation.mapped_address

    async def permit(self, *peers: Address) -> None:
        """Let peers at these IP addresses connect; lasts as long as the relay.

        Raises:
            ForbiddenError: the server does not relay to one of them (the others stand).
            TurnClientError: another error, or the relay ended.

        """
        await self._session.perform(lambda now: self._session.client.permit(peers, now))

    async def refresh(self, lifetime: int | None = None) -> None:
        """Refresh the allocation now, which otherwise happens in time by itself.

        Raises:
            TurnClientError: the server refuses, or the relay ended.

        """
        await self._session.perform(lambda now: self._session.client.refresh(now, lifetime))

    async def connect(self, peer: Address) -> PeerStream:
        """Connect to a peer (RFC 6062 §4.3).

        Raises:
            ForbiddenError: the server does not relay to that peer.
            ConnectionExistsError: there is a connection to it already.
            ConnectionFailedError: the peer does not take connections.
            TurnClientError: another error, or the relay ended.

        """
        done = await self._session.perform(lambda now: self._session.client.connect(peer, now))
        if not isinstance(done.result, int):
            raise MalformedResponseError("Connect's answer has no CONNECTION-ID")
        return await self._join(done.result, peer)

    async def accept(self) -> PeerStream:
        """Take the next connection of a peer (RFC 6062 §4.4).

        Raises:
            TurnClientError: the relay ended.

        """
        while True:
            notice = await self._session.next_notice()
            if isinstance(notice, ConnectionAttempted):
                try:
                    return await self._join(notice.connection_id, notice.peer)
                except TurnClientError:
                    # Peers come and go: one that has gone ends nothing but its connection.
                    if self._session.failure is not None:
                        raise

    def __aiter__(self) -> TcpRelay:
        """Iterate over the connections of peers."""
        return self

    async def __anext__(self) -> PeerStream:
        """Return the next connection; the relay's end, if it is this side's, ends the loop."""
        try:
            return await self.accept()
        except RelayClosedError:
            raise StopAsyncIteration from None

    async def close_streams(self) -> None:
        """Close every connection, without ceremony."""
        for stream in list(self._streams):
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.aclose()

    async def _join(self, connection_id: int, peer: Address) -> PeerStream:
        """Make the data connection, and bind it to the peer's (RFC 6062 §4.5)."""
        session = self._session
        with limited(CONNECT_TIMEOUT, "no data connection"):
            bind = self._bind.with_port(0) if self._bind else None
            remote = session.link.remote
            stream, _ = await connect_stream(session.server, remote, bind, session.observer)
            try:
                rest = await _bind_connection(stream, session, connection_id)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        joined = PeerStream(stream, rest, peer, self._streams.discard)
        self._streams.add(joined)
        return joined


async def _bind_connection(stream: ByteStream, session: Session, connection_id: int) -> bytes:
    """Do ConnectionBind; return what follows its answer: the peer's data."""
    outputs: deque[Output] = deque()
    exchanges = Exchanges(
        session.authenticator,
        Deadlines(),  # nothing is sent again on a stream, and the caller limits the time
        outputs,
        random_bytes=random_bytes,
        reliable=True,
        timing=DEFAULT_TIMING,
    )
    attribute = a.CONNECTION_ID.of(connection_id)
    exchanges.start(Request(Method.CONNECTION_BIND, lambda _: [attribute]), trio.current_time())
    framer = StreamFramer()
    outcome: Outcome | None = None
    try:
        while True:
            while outputs:
                output = outputs.popleft()
                if isinstance(output, Transmit):
                    await stream.send_all(output.data)
                elif isinstance(output, Exchange):
                    session.observer(output)
            if outcome is not None:
                break
            frame = framer.next_frame()
            if frame is not None:
                outcome = exchanges.receive(Message.decode(frame), trio.current_time())
                continue
            data = await stream.receive_some(_CHUNK)
            if not data:
                raise LinkError("the server closed the data connection")
            framer.feed(bytes(data))
    except (trio.BrokenResourceError, trio.ClosedResourceError, DecodeError) as error:
        raise LinkError(f"the data connection broke: {error}") from error
    if outcome.error is not None:
        raise outcome.error
    return framer.take_rest()


@contextlib.asynccontextmanager
async def open_tcp_relay(
    server: TurnServer,
    *,
    options: AllocateOptions | None = None,
    bind: Address | None = None,
    family: Family | None = None,
    connect_timeout: float = CONNECT_TIMEOUT,
    observer: Observer = observe_nothing,
) -> AsyncIterator[TcpRelay]:
    """Make a TCP allocation for the length of the block; its connections end with it.

    Args:
        server: reached by TCP or TLS (RFC 6062 §4.1).
        options: what to allocate; `tcp` is implied.
        bind: local address to reach the server from; port 0 for any.
        family: of the server's addresses; None for both, where it has a name.
        connect_timeout: seconds that connecting, TLS included, may take.
        observer: is told of each stage and exchange.

    Raises:
        ValueError: the server's transport is no stream.
        TurnClientError: no allocation: the class says why.

    """
    if not server.transport.is_stream:
        raise ValueError("a TCP allocation is made over TCP or TLS (RFC 6062 §4.1)")
    session_options = SessionOptions(
        allocate=attrs.evolve(options or AllocateOptions(), tcp=True),
        bind=bind,
        family=family,
        connect_timeout=connect_timeout,
        observer=observer,
    )
    async with open_session(server, session_options) as session:
        relay = TcpRelay(session, bind)
        try:
            yield relay
        finally:
            await relay.close_streams()
