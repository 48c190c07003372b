"""Data channels for trio: send and receive messages, with back-pressure (W3C WebRTC §6.2)."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

from ice_client.broadcast import Broadcast, Subscription
from webrtc.errors import WebRtcError
from webrtc.sctp import ChannelState, SctpStateError, SendBufferFullError
from webrtc.sctp import DataChannel as ChannelCore

HIGH_WATER = 1 << 20
"""Bytes queued in a channel, above which `send` waits: a second of a 8 Mbit/s path."""
LOW_WATER = 1 << 18
"""Bytes at which it goes on."""


class ChannelClosedError(WebRtcError):
    """The channel is closing or closed; the message says why, if anybody knows."""


class DataChannel:
    """A channel of messages, text or bytes. Made by `PeerConnection`.

    Iterating gives messages until the channel is closed. As a context manager it is closed at the
    end of the block, once what was sent has arrived.

    Args:
        core: the channel, without I/O.
        flush: sends what the core wants sent.
        sent: tasks that wait for any packets to leave.

    Attributes:
        messages_sent: how many, so far.
        bytes_sent: of these; text counts as UTF-8.
        messages_received: that were taken.
        bytes_received: of these.

    """

    def __init__(
        self, core: ChannelCore, flush: Callable[[], None], sent: trio.lowlevel.ParkingLot
    ) -> None:
        self._core = core
        self._flush = flush
        self._sent = sent
        self._states: Broadcast[ChannelState] = Broadcast()
        self._told = core.state
        self._changed = trio.Event()
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._error = ""
        self.messages_sent = self.bytes_sent = 0
        self.messages_received = self.bytes_received = 0
        core.buffered_amount_low_threshold = LOW_WATER

    def __del__(self) -> None:
        # Of a channel that nobody holds any more: else the peer would wait for ever for the room
        # of what it sent there.
        self._core.forget_messages()

    def __repr__(self) -> str:
        return f"<DataChannel {self.id} {self.label!r} {self.state.value}>"

    # What it is

    @property
    def label(self) -> str:
        """Its name, which need not be unique."""
        return self._core.options.label

    @property
    def protocol(self) -> str:
        """The subprotocol's name."""
        return self._core.options.protocol

    @property
    def id(self) -> int | None:
        """Its stream; None until the DTLS role is known."""
        return self._core.id

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in the order they were sent."""
        return self._core.options.ordered

    @property
    def max_retransmits(self) -> int | None:
        """How often a message is sent again; None for as often as it takes."""
        return self._core.options.max_retransmits

    @property
    def max_lifetime(self) -> float | None:
        """Seconds for which a message is tried; None for ever."""
        return self._core.options.max_lifetime

    @property
    def negotiated(self) -> bool:
        """Whether both sides made it without asking."""
        return self._core.options.negotiated

    @property
    def state(self) -> ChannelState:
        """Where it is (W3C: readyState)."""
        return self._core.state

    def states(self) -> Subscription[ChannelState]:
        """Return an async iterator over the states from now on; it ends after CLOSED."""
        return self._states.subscribe()

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait to be sent."""
        return self._core.buffered_amount

    # Sending

    async def opened(self) -> None:
        """Return once messages can be sent.

        Raises:
            ChannelClosedError: the channel closed instead.

        """
        await trio.lowlevel.checkpoint()
        while self.state is not ChannelState.OPEN:
            self._check_not_closed()
            await self._changed.wait()

    async def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send a message; wait for the channel to open, and for room.

        Returning means that it is on its way, not that it has arrived. A message is queued whole
        or, if this is cancelled, not at all.

        Raises:
            ChannelClosedError: the channel is closing or closed.
            MessageTooLongError: it is longer than the peer takes (`a=max-message-size`).

        """
        await trio.lowlevel.checkpoint()
        while True:
            if self.state is ChannelState.CONNECTING:
                await self.opened()
            self._check_not_closed()
            if self._core.buffered_amount > HIGH_WATER:
                await self._writers.park()
                continue
            try:
                self._core.send(data, trio.current_time())
            except SendBufferFullError:  # of all channels together
                await self._sent.park()
                continue
            except SctpStateError as error:
                raise ChannelClosedError(str(error)) from error
            break
        self.messages_sent += 1
        self.bytes_sent += _size(data)
        self._flush()

    async def drained(self) -> None:
        """Return once nothing waits to be sent.

        Raises:
            ChannelClosedError: the channel is closing or closed, with something left.

        """
        await trio.lowlevel.checkpoint()
        while self._core.buffered_amount:
            self._check_not_closed()
            await self._sent.park()

    # Receiving

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            ChannelClosedError: the channel is closed and everything received was taken.

        """
        await trio.lowlevel.checkpoint()
        while True:
            message = self._core.take_message()
            if message is not None:
                self.messages_received += 1
                self.bytes_received += _size(message)
                if not self._core.inbox:
                    self._flush()  # there may be room to tell of; the last one is soon enough
                return message
            if self.state is ChannelState.CLOSED:
                raise ChannelClosedError(self._error or "the channel is closed")
            await self._readers.park()

    def __aiter__(self) -> DataChannel:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except ChannelClosedError:
            raise StopAsyncIteration from None

    # Its end

    def close(self) -> None:
        """Begin to close: once everything sent has arrived, the peer's end closes too."""
        self._core.close()
        self.changed()
        self._flush()

    async def aclose(self) -> None:
        """Close, and return when it is closed; if cancelled, it closes all the same."""
        self.close()
        await self.closed()

    async def closed(self) -> None:
        """Return when the channel is closed, by whichever side."""
        await trio.lowlevel.checkpoint()
        while self.state is not ChannelState.CLOSED:
            await self._changed.wait()

    async def __aenter__(self) -> DataChannel:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _check_not_closed(self) -> None:
        if self.state in (ChannelState.CLOSING, ChannelState.CLOSED):
            raise ChannelClosedError(self._error or f"the channel is {self.state.value}")

    # For the peer connection

    def changed(self, error: str = "") -> None:
        """Look at the core's state anew: it changed; `error` says what went wrong."""
        self._error = self._error or error
        if self.state is not self._told:
            self._told = self.state
            self._states.publish(self.state)
        if self.state is ChannelState.CLOSED:
            self._states.close()
        self._changed.set()
        self._changed = trio.Event()
        self._readers.unpark_all()
        self._writers.unpark_all()

    def readable(self) -> None:
        """Wake who waits for messages."""
        self._readers.unpark_all()

    def writable(self) -> None:
        """Wake who waits for room."""
        self._writers.unpark_all()


def _size(data: str | bytes | bytearray | memoryview) -> int:
    if isinstance(data, str):
        return len(data) if data.isascii() else len(data.encode())
    return data.nbytes if isinstance(data, memoryview) else len(data)
