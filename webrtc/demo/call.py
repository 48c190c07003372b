"""The Python end of one call: what it shows, watches, says and measures."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import trio

from webrtc import (
    ChannelClosedError,
    ChannelOptions,
    Configuration,
    DataChannel,
    PeerConnection,
    RtpSender,
    TrackEvent,
)
from webrtc.demo.files import send_back
from webrtc.media.frames import VideoFrame
from webrtc.media.sources import FrameQueue, PatternVideo, ToneAudio
from webrtc.negotiation import negotiate

STATISTICS_INTERVAL = 1.0
LOUDNESS = 0.1


Handler = Callable[[DataChannel], Awaitable[None]]


class Line(Protocol):
    """The WebSocket, as far as a call uses it."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a JSON object."""

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        """Return an async iterator over JSON objects, until the browser leaves."""


class Call:
    """One browser's call.

    Args:
        line: to the browser.
        configuration: of our peer connection.

    """

    def __init__(self, line: Line, configuration: Configuration) -> None:
        self._line = line
        self._messages = aiter(line)
        self._configuration = configuration
        self._pattern = PatternVideo(640, 480, 30)
        self._mirror: FrameQueue[VideoFrame] = FrameQueue(2)
        self._is_mirroring = False
        self._sender: RtpSender | None = None
        self._seen: dict[str, Any] = {"pictures": 0}

    async def run(self) -> None:
        """Talk until the browser hangs up."""
        async with (
            PeerConnection(self._configuration) as peer,
            trio.open_nursery() as nursery,
        ):
            self._sender = peer.add_track("video", self._pattern, ["demo"]).sender
            peer.add_track("audio", ToneAudio(amplitude=LOUDNESS), ["demo"])
            # Numbers of a second ago are of no use: nothing is sent again.
            options = ChannelOptions(ordered=False, max_retransmits=0)
            channel = peer.create_data_channel("statistics", options)
            nursery.start_soon(self._tell_statistics, peer, channel)
            nursery.start_soon(self._take_tracks, peer, nursery)
            nursery.start_soon(self._take_channels, peer, nursery)
            await negotiate(peer, self, polite=True)
            nursery.cancel_scope.cancel()

    # Signalling, and what the page asks for beside it

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message of negotiation's."""
        await self._line.send(message)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        while True:
            message = await anext(self._messages)
            if "show" not in message:
                return message
            self._show(message["show"])

    def _show(self, what: object) -> None:
        """Send the pattern, or the browser's own picture: no negotiation is needed for that."""
        self._is_mirroring = what == "mirror"
        if self._sender is not None:
            self._sender.replace_track(self._mirror if self._is_mirroring else self._pattern)

    # Media

    async def _take_tracks(self, peer: PeerConnection, nursery: trio.Nursery) -> None:
        async for track in peer.tracks():
            nursery.start_soon(self._watch, track)

    async def _watch(self, track: TrackEvent) -> None:
        async for frame in track.receiver:
            if not isinstance(frame, VideoFrame):
                self._seen["loudness"] = -frame.level_dbov
                continue
            self._seen["pictures"] += 1
            self._seen["width"], self._seen["height"] = frame.width, frame.height
            if self._is_mirroring:
                self._mirror.put(frame)

    # Data channels

    async def _take_channels(self, peer: PeerConnection, nursery: trio.Nursery) -> None:
        async for channel in peer.data_channels():
            handler = HANDLERS.get(channel.label)
            if handler is None:
                channel.close()
            else:
                nursery.start_soon(_until_closed, handler, channel)

    async def _tell_statistics(self, peer: PeerConnection, channel: DataChannel) -> None:
        try:
            while True:
                report = {"stats": list(peer.get_stats().values()), "seen": self._seen}
                await channel.send(json.dumps(report))
                await trio.sleep(STATISTICS_INTERVAL)
        except ChannelClosedError:
            pass


async def _until_closed(handler: Handler, channel: DataChannel) -> None:
    # The browser may close it in the middle; nobody is left to tell then.
    with contextlib.suppress(ChannelClosedError):
        await handler(channel)


async def _chat(channel: DataChannel) -> None:
    await channel.send("Hello, this is Python. Say something!")
    async for message in channel:
        clock = time.strftime("%H:%M:%S")
        await channel.send(f"You said {message!r} at {clock}, in {len(message)} characters.")


HANDLERS: dict[str, Handler] = {"chat": _chat, "file": send_back}
"""What is done with the browser's channels, by their labels."""
