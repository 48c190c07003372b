"""Peers of aiortc's in a process of their own: it runs on asyncio.

    python -m tests.webrtc.foreign.aiortc_peer MATERIAL

They do what `lines.py` says, and send every message of a data channel back.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp

from tests.webrtc.foreign.lines import (
    BLOCK_SIZE,
    FRAME_RATE,
    HEIGHT,
    PACKET,
    RATE,
    WIDTH,
    Material,
    block,
    picture_value,
    serve,
    sound_value,
)

QUEUED = 64 * BLOCK_SIZE
"""Bytes that a file may have in the sending queue."""


class _Clock:
    """Waits until a frame is due."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._began: float | None = None
        self.number = -1

    async def tick(self) -> int:
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        self.number += 1
        await asyncio.sleep(self._began + self.number * self._interval - now)
        return self.number


class Pattern(VideoStreamTrack):
    """The test pattern."""

    def __init__(self, material: Material) -> None:
        super().__init__()
        self._material = material
        self._clock = _Clock(1 / FRAME_RATE)

    async def recv(self) -> av.VideoFrame:
        number = await self._clock.tick()
        planes = np.frombuffer(self._material.picture(number), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, WIDTH), format="yuv420p")
        frame.pts, frame.time_base = number * 90_000 // FRAME_RATE, Fraction(1, 90_000)
        assert frame.height == HEIGHT
        return frame


class Tone(AudioStreamTrack):
    """A sine."""

    def __init__(self, material: Material) -> None:
        super().__init__()
        self._material = material
        self._clock = _Clock(PACKET / RATE)

    async def recv(self) -> av.AudioFrame:
        number = await self._clock.tick()
        samples = np.frombuffer(self._material.sound(number), np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = number * PACKET, RATE, Fraction(1, RATE)
        return frame


class AiortcPeer:
    """What can be asked for."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._connection: RTCPeerConnection
        self._channels: dict[str, RTCDataChannel] = {}
        self._sums: dict[str, Any] = {}
        self._frames: dict[str, asyncio.Queue[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, _host: str, rtc: dict[str, Any]) -> None:
        """Make the connection; aiortc gathers on every interface but loopback."""
        self._connection = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[RTCIceServer(**server) for server in rtc.get("iceServers", [])],
                iceTransportPolicy=RTCIceTransportPolicy(rtc.get("iceTransportPolicy", "all")),
            )
        )
        self._connection.on("datachannel", self._watch)
        self._connection.on("track", self._play)

    async def describe(self) -> dict[str, str]:
        connection = self._connection
        if connection.signalingState == "have-remote-offer":
            description = await connection.createAnswer()
        else:
            description = await connection.createOffer()
        await connection.setLocalDescription(description)
        return {"type": connection.localDescription.type, "sdp": connection.localDescription.sdp}

    async def take(self, description: dict[str, str]) -> None:
        await self._connection.setRemoteDescription(RTCSessionDescription(**description))

    async def add(self, value: dict[str, Any]) -> None:
        text = value["candidate"].removeprefix("candidate:")
        if not text:
            return
        candidate = candidate_from_sdp(text)
        candidate.sdpMid, candidate.sdpMLineIndex = value["sdpMid"], value["sdpMLineIndex"]
        await self._connection.addIceCandidate(candidate)

    async def takeCandidates(self) -> list[Any]:  # noqa: N802 - as page.js has it
        """None: its descriptions have them all."""
        return []

    async def connected(self) -> None:
        while self._connection.connectionState != "connected":
            await asyncio.sleep(0.01)

    # Data channels

    async def open(self, label: str, options: dict[str, Any]) -> None:
        self._watch(self._connection.createDataChannel(label, **options))

    async def channel(self, label: str) -> dict[str, Any]:
        """Return what a channel looks like, once it is here."""
        while label not in self._channels or self._channels[label].readyState != "open":
            await asyncio.sleep(0.01)
        found = self._channels[label]
        names = ("ordered", "maxRetransmits", "maxPacketLifeTime", "protocol")
        return {name: getattr(found, name) for name in names}

    async def closed(self, label: str) -> None:
        while self._channels[label].readyState != "closed":
            await asyncio.sleep(0.01)

    async def count(self, label: str) -> None:
        """Sum a channel's messages up from now on, instead of sending them back."""
        self._sums = {"bytes": 0, "digest": hashlib.sha256()}
        channel = self._channels[label]
        channel.remove_all_listeners("message")
        channel.on("message", self._sum)

    async def counted(self, size: int) -> dict[str, Any]:
        while self._sums["bytes"] < size:
            await asyncio.sleep(0.01)
        return {"bytes": self._sums["bytes"], "sha256": self._sums["digest"].hexdigest()}

    async def sendFile(self, label: str, blocks: int) -> None:  # noqa: N802
        channel = self._channels[label]
        for number in range(blocks):
            while channel.bufferedAmount > QUEUED:
                await asyncio.sleep(0.001)
            channel.send(block(number))

    def _watch(self, channel: RTCDataChannel) -> None:
        self._channels[channel.label] = channel
        channel.on("message", channel.send)

    def _sum(self, message: bytes) -> None:
        self._sums["bytes"] += len(message)
        self._sums["digest"].update(message)

    # Media

    async def show(self) -> None:
        self._connection.addTrack(Pattern(self._material))
        self._connection.addTrack(Tone(self._material))

    async def unshow(self, kind: str) -> None:
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == kind and transceiver.sender.track is not None:
                transceiver.sender.replaceTrack(None)
                transceiver.direction = "recvonly"

    async def pictures(self, count: int) -> list[dict[str, Any]]:
        """Return the next pictures that come."""
        found = []
        for frame in await self._next("video", count):
            planes = frame.reformat(format="yuv420p").to_ndarray().tobytes()
            found.append(picture_value(frame.width, frame.height, planes))
        return found

    async def sound(self, packets: int) -> list[dict[str, Any]]:
        """Return the next packets of sound."""
        return [
            sound_value(frame.sample_rate, len(frame.layout.channels), frame.to_ndarray().tobytes())
            for frame in await self._next("audio", packets)
        ]

    async def _next(self, kind: str, count: int) -> list[Any]:
        while kind not in self._frames:
            await asyncio.sleep(0.01)
        frames = self._frames[kind] = asyncio.Queue()
        return [await frames.get() for _ in range(count)]

    def _play(self, track: MediaStreamTrack) -> None:
        self._frames.pop(track.kind, None)
        task = asyncio.get_running_loop().create_task(self._receive(track))
        self._tasks.add(task)

    async def _receive(self, track: MediaStreamTrack) -> None:
        """Keep frames for who asks for them, and else forget them."""
        try:
            while True:
                frame = await track.recv()
                queue = self._frames.setdefault(track.kind, asyncio.Queue())
                queue.put_nowait(frame)
                if queue.qsize() > 2 * RATE // PACKET:
                    queue.get_nowait()
        except MediaStreamError:
            pass  # the track has ended


if __name__ == "__main__":
    drawn = Material(sys.argv[1])
    asyncio.run(serve(lambda: AiortcPeer(drawn)))
