"""A peer of aiortc's in a process of its own: it runs on asyncio.

    python -m tests.webrtc.foreign.aiortc_peer

It does what `requests.py` says, sends every message of a data channel back, and counts the frames
that it decodes.
"""

from __future__ import annotations

import asyncio
import collections
import sys
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp

from tests.webrtc.foreign.requests import (
    FIRST,
    FREQUENCY,
    HEIGHT,
    KINDS,
    WIDTH,
    answer_asynchronously,
)
from webrtc.media.pattern import draw_pattern
from webrtc.media.tone import draw_tone

RATE, SAMPLES = 48_000, 960
LIFETIME = 60.0
"""Seconds after which it ends, whatever happens."""


class Pattern(VideoStreamTrack):
    """The test pattern, at aiortc's 30 pictures per second."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = FIRST

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        drawn = draw_pattern(self._counter, WIDTH, HEIGHT)
        self._counter += 1
        planes = np.concatenate([plane.reshape(-1) for plane in (drawn.y, drawn.u, drawn.v)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, WIDTH), format="yuv420p")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A sine."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._began = 0.0

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(self._began + self._count / RATE - loop.time())
        drawn = draw_tone(FREQUENCY, self._count, SAMPLES, rate=RATE)
        frame = av.AudioFrame.from_ndarray(
            drawn.samples.reshape(1, -1), format="s16", layout="mono"
        )
        frame.pts, frame.sample_rate, frame.time_base = self._count, RATE, Fraction(1, RATE)
        self._count += SAMPLES
        return frame


class AiortcPeer:
    """What can be asked for."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection()
        self._counts: collections.Counter[str] = collections.Counter()
        self._channels: dict[str, RTCDataChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection.on("datachannel", self._watch)
        self._connection.on("track", self._play)

    async def begin(self, _address: str) -> None:
        """Nothing: aiortc gathers on every interface."""

    async def open(self, label: str, options: dict[str, Any]) -> None:
        self._watch(
            self._connection.createDataChannel(
                label,
                ordered=options.get("ordered", True),
                maxRetransmits=options.get("maxRetransmits"),
            )
        )

    async def show(self) -> None:
        self._connection.addTrack(Pattern())
        self._connection.addTrack(Tone())

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
        return []

    async def connected(self) -> None:
        while self._connection.connectionState != "connected":
            await asyncio.sleep(0.01)

    async def send(self, label: str, size: int) -> None:
        self._channels[label].send(bytes(size))

    async def counted(self, count: int) -> dict[str, int]:
        """Wait for so many decoded frames of each kind."""
        while any(self._counts[kind] < count for kind in KINDS):
            await asyncio.sleep(0.01)
        return dict(self._counts)

    def _watch(self, channel: RTCDataChannel) -> None:
        self._channels[channel.label] = channel
        channel.on("message", channel.send)

    def _play(self, track: MediaStreamTrack) -> None:
        task = asyncio.get_running_loop().create_task(self._count(track))
        self._tasks.add(task)

    async def _count(self, track: MediaStreamTrack) -> None:
        while True:
            await track.recv()
            self._counts[track.kind] += 1


async def main() -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIFETIME):
        await answer_asynchronously(
            AiortcPeer(), lambda: loop.run_in_executor(None, sys.stdin.readline)
        )


if __name__ == "__main__":
    asyncio.run(main())
