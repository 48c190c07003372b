"""The data channels of a peer connection: which shell belongs to which core, and who is told."""

from __future__ import annotations

import secrets

import trio

from webrtc.data_channel import DataChannel
from webrtc.sctp import (
    BufferedAmountLow,
    ChannelClosed,
    ChannelClosing,
    ChannelEvent,
    ChannelOpened,
    ChannelOptions,
    DataChannels,
    MessagesReady,
    Settings,
)
from webrtc.sctp import DataChannel as ChannelCore
from webrtc.transport import PeerTransport
from webrtc.transport.transport import CLOSED_HERE

MAX_WAITING = 1024
"""Channels of the peer's that nobody has taken; more are closed again."""


class IncomingChannels:
    """An async iterator over the channels that the peer opens; each goes to one reader."""

    def __init__(self, table: ChannelTable) -> None:
        self._table = table

    def __aiter__(self) -> IncomingChannels:
        return self

    async def __anext__(self) -> DataChannel:
        channel = await self._table.next_incoming()
        if channel is None:
            raise StopAsyncIteration
        return channel


class ChannelTable:
    """All channels, and the association once it has a transport.

    Attributes:
        core: the channels, without I/O.
        opened: how many have been open, for statistics.
        closed: how many of those are closed.

    """

    def __init__(self, settings: Settings) -> None:
        self.core = DataChannels(settings, secrets.token_bytes)
        self._settings = settings
        self.opened = 0
        self.closed = 0
        self._transport: PeerTransport | None = None
        self._sent = trio.lowlevel.ParkingLot()
        self._shells: dict[ChannelCore, DataChannel] = {}
        self._incoming: list[DataChannel] = []
        self._news = trio.Event()
        self._is_over = False

    def open(self, options: ChannelOptions) -> DataChannel:
        """Make a channel; it opens when the association is there."""
        shell = self._add(self.core.open(options))
        self._flush()
        return shell

    @property
    def channels(self) -> tuple[DataChannel, ...]:
        """Those that are not closed."""
        return tuple(self._shells.values())

    def use(self, transport: PeerTransport) -> None:
        """Send over this transport."""
        self._transport = transport
        transport.sent = self._sent

    def take(self, event: ChannelEvent) -> None:
        """Pass on what happened; the transport tells it."""
        match event:
            case MessagesReady(channel):
                self._shells[channel].readable()
            case BufferedAmountLow(channel):
                self._shells[channel].writable()
            case ChannelOpened(channel, by_peer):
                self.opened += 1
                if by_peer:
                    self._welcome(self._add(channel))
                else:
                    self._shells[channel].changed()
            case ChannelClosing(channel):
                self._shells[channel].changed()
            case ChannelClosed(channel, error):
                shell = self._shells.pop(channel, None)
                if shell is not None:
                    self.closed += 1
                    shell.changed(error)
            case _:
                pass  # the association's own state is in its statistics

    def incoming(self) -> IncomingChannels:
        """Return an async iterator over the peer's channels."""
        return IncomingChannels(self)

    async def next_incoming(self) -> DataChannel | None:
        """Return the peer's next channel, or None when there will be no more."""
        await trio.lowlevel.checkpoint()
        while not self._incoming:
            if self._is_over:
                return None
            await self._news.wait()
        return self._incoming.pop(0)

    def close(self) -> None:
        """End every channel, and every iterator."""
        self.core.abort(CLOSED_HERE)
        for event in self.core.take_events():
            self.take(event)
        self._is_over = True
        self._wake()

    def refuse(self) -> None:
        """End every channel, as the peer takes none; another exchange may bring new ones."""
        self.core.abort("the peer takes no data channels")
        self._flush()
        if self._transport is not None:
            self._transport.drop_channels()
            self._transport = None
        self.core = DataChannels(self._settings, secrets.token_bytes)

    def _add(self, core: ChannelCore) -> DataChannel:
        shell = self._shells[core] = DataChannel(core, self._flush, self._sent)
        return shell

    def _welcome(self, channel: DataChannel) -> None:
        if len(self._incoming) >= MAX_WAITING:
            channel.close()
            return
        self._incoming.append(channel)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.flush()
        else:
            for event in self.core.take_events():
                self.take(event)
