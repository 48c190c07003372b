"""Peers of libwebrtc, Chrome's engine, in a process of their own: PyPI's `wrtc` runs on asyncio.

    PYTHONPATH=WHERE_WRTC_IS:REPOSITORY python -P -m tests.webrtc.foreign.wrtc_peer MATERIAL

Its module is called `webrtc` as ours is, and must be found first. The peers do what `lines.py`
says, and send every message of a data channel back.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

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

# For mypy the module of this name is ours.
webrtc: Any = importlib.import_module("webrtc")
QUEUED = 64 * BLOCK_SIZE
"""Bytes that a file may have in the sending queue."""


async def ticks(interval: float) -> AsyncIterator[int]:
    """Count from 0, once an interval."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    number = 0
    while True:
        yield number
        number += 1
        await asyncio.sleep(began + number * interval - loop.time())


async def draw(material: Material, track: Any) -> None:
    """Write the test pattern."""
    writer = track.writable.get_writer()
    async for number in ticks(1 / FRAME_RATE):
        options = webrtc.VideoFrameBufferInit(
            format="I420",
            coded_width=WIDTH,
            coded_height=HEIGHT,
            timestamp=number * 1_000_000 // FRAME_RATE,
        )
        await writer.write(webrtc.VideoFrame(material.picture(number), options))


async def sound(material: Material, track: Any) -> None:
    """Write a sine."""
    writer = track.writable.get_writer()
    async for number in ticks(PACKET / RATE):
        options = webrtc.AudioDataInit(
            format="s16",
            sample_rate=RATE,
            number_of_frames=PACKET,
            number_of_channels=1,
            timestamp=number * PACKET * 1_000_000 // RATE,
            data=material.sound(number),
        )
        await writer.write(webrtc.AudioData(options))


class WrtcPeer:
    """What can be asked for."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._connection: Any
        self._candidates: list[dict[str, Any]] = []
        self._channels: dict[str, Any] = {}
        self._sums: dict[str, Any] = {}
        self._tracks: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, _host: str, rtc: dict[str, Any]) -> None:
        """Make the connection; libwebrtc gathers on every interface but loopback."""
        servers = [webrtc.RTCIceServer(**server) for server in rtc.get("iceServers", [])]
        configuration = webrtc.RTCConfiguration(
            ice_servers=servers, ice_transport_policy=rtc.get("iceTransportPolicy", "all")
        )
        connection = self._connection = webrtc.RTCPeerConnection(configuration)
        connection.on("icecandidate", self._on_candidate)
        connection.on("datachannel", lambda event: self._watch(event.channel))
        connection.on("track", self._on_track)

    async def describe(self) -> dict[str, str]:
        await self._connection.set_local_description()
        description = self._connection.local_description
        return {"type": description.type.value, "sdp": description.sdp}

    async def take(self, description: dict[str, str]) -> None:
        await self._connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(**description)
        )

    async def add(self, value: dict[str, Any]) -> None:
        await self._connection.add_ice_candidate(
            webrtc.RTCIceCandidateInit(
                candidate=value["candidate"],
                sdp_mid=value["sdpMid"],
                sdp_m_line_index=value["sdpMLineIndex"],
            )
        )

    async def takeCandidates(self) -> list[dict[str, Any]]:  # noqa: N802 - as page.js has it
        taken, self._candidates = self._candidates, []
        return taken

    async def connected(self) -> None:
        await self._until(lambda: self._connection.connection_state == "connected")

    async def restart(self) -> None:
        self._connection.restart_ice()

    # Data channels

    async def open(self, label: str, options: dict[str, Any]) -> None:
        names = {"maxRetransmits": "max_retransmits", "maxPacketLifeTime": "max_packet_life_time"}
        renamed = {names.get(name, name): value for name, value in options.items()}
        self._watch(
            self._connection.create_data_channel(label, webrtc.RTCDataChannelInit(**renamed))
        )

    async def channel(self, label: str) -> dict[str, Any]:
        """Return what a channel looks like, once it is open."""
        found = await self._opened(label)
        return {
            "ordered": found.ordered,
            "maxRetransmits": found.max_retransmits,
            "maxPacketLifeTime": found.max_packet_life_time,
            "protocol": found.protocol,
        }

    async def closed(self, label: str) -> None:
        await self._until(lambda: self._channels[label].ready_state == "closed")

    async def count(self, label: str) -> None:
        """Sum a channel's messages up from now on, instead of sending them back."""
        self._sums[label] = {"bytes": 0, "digest": hashlib.sha256()}

    async def counted(self, size: int) -> dict[str, Any]:
        (sums,) = self._sums.values()
        await self._until(lambda: sums["bytes"] >= size)
        return {"bytes": sums["bytes"], "sha256": sums["digest"].hexdigest()}

    async def sendFile(self, label: str, blocks: int) -> None:  # noqa: N802
        channel = await self._opened(label)
        for number in range(blocks):
            if channel.buffered_amount > QUEUED:
                await self._until(lambda: channel.buffered_amount < QUEUED // 2)
            channel.send(block(number))

    async def _opened(self, label: str) -> Any:
        await self._until(
            lambda: label in self._channels and self._channels[label].ready_state == "open"
        )
        return self._channels[label]

    def _watch(self, channel: Any) -> None:
        channel.binary_type = "arraybuffer"
        self._channels[channel.label] = channel
        channel.on("message", lambda event: self._on_message(channel, event.data))

    def _on_message(self, channel: Any, data: Any) -> None:
        sums = self._sums.get(channel.label)
        if sums is None:
            channel.send(data)
        else:
            sums["bytes"] += len(data)
            sums["digest"].update(data)

    # Media

    async def show(self) -> None:
        for kind, write in (("video", draw), ("audio", sound)):
            track = webrtc.MediaStreamTrackGenerator(kind)
            self._connection.add_track(track, webrtc.MediaStream())
            self._tasks.add(asyncio.create_task(write(self._material, track)))

    async def unshow(self, kind: str) -> None:
        for sender in self._connection.get_senders():
            if sender.track is not None and sender.track.kind == kind:
                self._connection.remove_track(sender)

    async def pictures(self, count: int) -> list[dict[str, Any]]:
        """Return the next pictures that come."""
        found = []
        for frame in await self._next("video", count):
            data = bytearray(frame.allocation_size())
            await frame.copy_to(data)
            found.append(picture_value(frame.coded_width, frame.coded_height, bytes(data)))
            frame.close()
        return found

    async def sound(self, packets: int) -> list[dict[str, Any]]:
        """Return the next packets of sound."""
        found = []
        for data in await self._next("audio", 2 * packets):  # of 10 ms
            options = webrtc.AudioDataCopyToOptions(plane_index=0, format="s16")
            samples = bytearray(data.allocation_size(options))
            data.copy_to(samples, options)
            rate, channels = round(data.sample_rate), data.number_of_channels
            found.append(sound_value(rate, channels, bytes(samples)))
            data.close()
        return found

    async def _next(self, kind: str, count: int) -> list[Any]:
        await self._until(lambda: kind in self._tracks)
        options = webrtc.MediaStreamTrackProcessorInit(self._tracks[kind])
        reader = webrtc.MediaStreamTrackProcessor(options).readable.get_reader()
        found = [(await reader.read()).value for _ in range(count)]
        await reader.cancel()
        return found

    async def packets(self, kind: str, count: int) -> None:
        """Wait for more pictures to be decoded, or more sound to come, by what statistics say."""
        wanted = await self._counted(kind) + count
        while await self._counted(kind) < wanted:
            await asyncio.sleep(0.02)

    async def _counted(self, kind: str) -> int:
        reports = (await self._connection.get_stats()).values()
        found = [each for each in reports if each.type == "inbound-rtp" and each.kind == kind]
        name = "frames_decoded" if kind == "video" else "packets_received"
        return sum(getattr(each, name) or 0 for each in found)

    # What happens

    def _on_candidate(self, event: Any) -> None:
        candidate = event.candidate
        if candidate is not None and candidate.candidate:
            self._candidates.append(
                {
                    "candidate": candidate.candidate,
                    "sdpMid": candidate.sdp_mid,
                    "sdpMLineIndex": candidate.sdp_m_line_index,
                    "usernameFragment": candidate.username_fragment,
                }
            )

    def _on_track(self, event: Any) -> None:
        self._tracks[event.track.kind.value] = event.track

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    drawn = Material(sys.argv[1])
    asyncio.run(serve(lambda: WrtcPeer(drawn)))
