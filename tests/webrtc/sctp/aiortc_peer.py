"""aiortc's SCTP at the other end of an in-memory transport, on asyncio."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import Any

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from webrtc.sctp import ChannelEvent, ChannelOpened, DataChannel, DataChannels, Settings


class FakeDtls:
    """What aiortc's RTCSctpTransport asks of its DTLS transport."""

    def __init__(self, role: str, send: Callable[[bytes], None]) -> None:
        self._role = role
        self.state = "connected"
        self._send = send
        self.receiver: Any = None

    def _register_data_receiver(self, receiver: Any) -> None:
        self.receiver = receiver

    def _unregister_data_receiver(self, _receiver: Any) -> None:
        self.receiver = None

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class Call:
    """Our data channels and aiortc's, connected; `loss` is of packets either way, by seed."""

    def __init__(self, *, we_are_client: bool, loss: float = 0.0, seed: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(seed)
        self._loss = loss
        self.lost = 0
        self._we_are_client = we_are_client
        self._changed = asyncio.Event()
        self._to_them: asyncio.Queue[bytes] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self.ours = DataChannels(Settings(), secrets.token_bytes)
        self.events: list[ChannelEvent] = []
        role = "server" if we_are_client else "client"
        self._dtls = FakeDtls(role, self._from_them)
        self.theirs: Any = RTCSctpTransport(self._dtls)  # type: ignore[arg-type]
        self.their_channels: list[RTCDataChannel] = []
        self.their_messages: list[str | bytes] = []

        @self.theirs.on("datachannel")
        def on_channel(channel: RTCDataChannel) -> None:
            self.their_channels.append(channel)
            self._listen(channel)

        self._pump_task = self._loop.create_task(self._pump())

    @property
    def now(self) -> float:
        return self._loop.time()

    async def __aenter__(self) -> Call:
        await self.theirs.start(RTCSctpCapabilities(262144), 5000)
        self.ours.start(
            is_dtls_client=self._we_are_client, remote_max_message_size=262144, now=self.now
        )
        self.flush()
        await self.until(lambda: self.theirs.state == "connected")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self.theirs.stop()
        self._pump_task.cancel()

    def their_channel(self, **options: Any) -> RTCDataChannel:
        """Have aiortc open a channel."""
        channel = RTCDataChannel(self.theirs, RTCDataChannelParameters(**options))
        self._listen(channel)
        return channel

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                self.flush()
                await self._changed.wait()

    async def accepted(self) -> DataChannel:
        """Wait for a channel that aiortc opened."""

        def opened() -> list[DataChannel]:
            return [e.channel for e in self.events if isinstance(e, ChannelOpened) and e.by_peer]

        await self.until(lambda: bool(opened()))
        return opened()[0]

    async def received(self, channel: DataChannel, count: int) -> list[str | bytes]:
        """Wait for so many messages."""
        messages: list[str | bytes] = []

        def enough() -> bool:
            while (message := channel.take_message()) is not None:
                messages.append(message)
            return len(messages) >= count

        await self.until(enough)
        return messages

    def flush(self) -> None:
        """Send what we have to send, take events, set the timer."""
        for packet in self.ours.take_datagrams(self.now):
            if not self._is_lost():
                self._to_them.put_nowait(packet)
        self.events += self.ours.take_events()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.ours.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _is_lost(self) -> bool:
        lost = self._rng.random() < self._loss
        self.lost += lost
        return lost

    def _on_timer(self) -> None:
        self.ours.on_deadline(self.now)
        self.flush()
        self._changed.set()

    def _from_them(self, packet: bytes) -> None:
        if not self._is_lost():
            self.ours.receive(packet, self.now)
            self.flush()
        self._changed.set()

    async def _pump(self) -> None:
        while True:
            packet = await self._to_them.get()
            if self._dtls.receiver is not None:
                await self._dtls.receiver._handle_data(packet)
            self._changed.set()

    def _listen(self, channel: RTCDataChannel) -> None:
        def notice(*_: object) -> None:
            self._changed.set()

        def message(data: str | bytes) -> None:
            self.their_messages.append(data)
            self._changed.set()

        channel.on("message", message)
        for event in ("open", "close"):
            channel.on(event, notice)
