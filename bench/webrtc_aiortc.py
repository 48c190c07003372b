"""aiortc's peer connections at the same work: each function returns one sample.

Two things of its are replaced. Host candidates are 127.0.0.1's alone, as on the other side: aioice
takes every other interface instead, of which there may be any number. And frames are dropped where
they would be decoded, since codecs are not what is measured.
"""

from __future__ import annotations

import asyncio
import queue
import statistics
import threading
import time
from fractions import Fraction
from typing import Any

import aioice.ice
import aiortc.rtcrtpreceiver
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
)

from bench import webrtc_load as load

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [load.ADDRESS]


def _two_peers() -> tuple[RTCPeerConnection, RTCPeerConnection]:
    configuration = RTCConfiguration(iceServers=[])
    return RTCPeerConnection(configuration), RTCPeerConnection(configuration)


async def _close(*peers: RTCPeerConnection) -> None:
    for peer in peers:
        await peer.close()


async def _connect(one: RTCPeerConnection, two: RTCPeerConnection) -> None:
    await one.setLocalDescription(await one.createOffer())
    await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)


def _opened(channel: RTCDataChannel) -> asyncio.Event:
    event = asyncio.Event()
    channel.on("open", event.set)
    return event


async def data() -> float:
    """Return megabytes per CPU second through a data channel."""
    message = bytes(load.MESSAGE_SIZE)
    count = load.DATA_BYTES // load.MESSAGE_SIZE
    one, two = _two_peers()
    done, low = asyncio.Event(), asyncio.Event()
    received = 0

    def on_message(_message: bytes) -> None:
        nonlocal received
        received += 1
        if received == count:
            done.set()

    two.on("datachannel", lambda channel: channel.on("message", on_message))
    near = one.createDataChannel("bench")
    near.bufferedAmountLowThreshold = load.HIGH_WATER // 4
    near.on("bufferedamountlow", low.set)
    opened = _opened(near)
    await _connect(one, two)
    await opened.wait()
    began = time.process_time()
    for _ in range(count):
        if near.bufferedAmount > load.HIGH_WATER:
            low.clear()
            await low.wait()
        near.send(message)
    await done.wait()
    seconds = time.process_time() - began
    await _close(one, two)
    return count * load.MESSAGE_SIZE / 1e6 / seconds


async def _connect_once() -> float:
    one, two = _two_peers()
    opened = _opened(one.createDataChannel("bench"))
    began = time.perf_counter()
    await _connect(one, two)
    await opened.wait()
    seconds = time.perf_counter() - began
    await _close(one, two)
    return seconds


async def connect() -> float:
    """Return milliseconds from the offer to the open data channel, after a first time."""
    await _connect_once()
    return 1000 * statistics.median([await _connect_once() for _ in range(load.CONNECTS)])


class _Frames(MediaStreamTrack):
    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._began = 0.0

    async def recv(self) -> av.Packet[Any]:
        now = time.monotonic()
        self._began = self._began or now
        due = self._began + self._number / load.FRAMES_PER_SECOND
        await asyncio.sleep(max(due - now, 0))
        packet = av.Packet(load.FRAME)
        packet.pts = self._number
        packet.time_base = Fraction(1, load.FRAMES_PER_SECOND)
        self._number += 1
        return packet


async def media() -> float:
    """Return RTP packets of encoded frames per CPU second."""
    taken = 0

    def drop(
        loop: asyncio.AbstractEventLoop,
        input_q: queue.Queue[Any],
        output_q: asyncio.Queue[Any],
        decode_error: threading.Event,
    ) -> None:
        nonlocal taken
        while input_q.get() is not None:
            taken += 1

    aiortc.rtcrtpreceiver.decoder_worker = drop
    one, two = _two_peers()
    one.addTransceiver(_Frames(), "sendonly")
    await _connect(one, two)
    receiver = two.getReceivers()[0]

    async def received() -> int:
        reports = await receiver.getStats()
        return sum(each.packetsReceived for each in reports.values() if each.type == "inbound-rtp")

    await asyncio.sleep(load.MEDIA_WARM_UP)
    packets, began, frames = await received(), time.process_time(), taken
    await asyncio.sleep(load.MEDIA_SECONDS)
    packets, seconds = await received() - packets, time.process_time() - began
    expected = load.FRAMES_PER_SECOND * load.MEDIA_SECONDS
    if taken - frames < load.LEAST_SHARE * expected:
        raise RuntimeError(f"{taken - frames} frames of {expected:.0f} arrived")
    await _close(one, two)
    return packets / seconds


async def memory() -> float:
    """Return kilobytes of resident memory per connected pair with a data channel."""
    peers: list[RTCPeerConnection] = []

    async def add(count: int) -> None:
        for _ in range(count):
            pair = _two_peers()
            peers.extend(pair)
            opened = _opened(pair[0].createDataChannel("bench"))
            await _connect(*pair)
            await opened.wait()

    await add(load.WARM_UP_PAIRS)
    before = load.resident_kilobytes()
    await add(load.PAIRS)
    grown = load.resident_kilobytes() - before
    await _close(*peers)
    return grown / load.PAIRS


def run(cell: str) -> float:
    """Return one sample of a cell."""
    cells = {"data": data, "connect": connect, "media": media, "memory": memory}
    return asyncio.run(cells[cell]())
