"""Our peer connections at work: each function returns one sample."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import AsyncIterator

import trio

from bench import webrtc_load as load
from webrtc import AgentOptions, Configuration, DataChannel, InterfaceFilter, PeerConnection
from webrtc.media.frames import EncodedFrame

_CONFIGURATION = Configuration(
    ice=AgentOptions(
        interfaces=InterfaceFilter(
            interfaces=["lo"], loopback=True, networks=[f"{load.ADDRESS}/32"]
        )
    )
)


@contextlib.asynccontextmanager
async def _two_peers() -> AsyncIterator[tuple[PeerConnection, PeerConnection]]:
    async with PeerConnection(_CONFIGURATION) as one, PeerConnection(_CONFIGURATION) as two:
        yield one, two


async def _trickle(teller: PeerConnection, listener: PeerConnection) -> None:
    async for candidate in teller.local_candidates():
        if not candidate.candidate or listener.is_closed:
            return
        await listener.add_ice_candidate(candidate)


async def _connect(one: PeerConnection, two: PeerConnection) -> None:
    async with trio.open_nursery() as nursery:
        offer = await one.set_local_description()
        await two.set_remote_description(offer)
        nursery.start_soon(_trickle, one, two)
        await one.set_remote_description(await two.set_local_description())
        nursery.start_soon(_trickle, two, one)
        await one.connected()
        await two.connected()
        nursery.cancel_scope.cancel()


async def data() -> float:
    """Return megabytes per CPU second through a data channel."""
    message = bytes(load.MESSAGE_SIZE)
    count = load.DATA_BYTES // load.MESSAGE_SIZE

    async def send(channel: DataChannel) -> None:
        for _ in range(count):
            await channel.send(message)

    async with _two_peers() as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel("bench")
        await _connect(one, two)
        await near.opened()
        far = await anext(two.data_channels())
        began = time.process_time()
        nursery.start_soon(send, near)
        for _ in range(count):
            await far.receive()
        seconds = time.process_time() - began
    return count * load.MESSAGE_SIZE / 1e6 / seconds


async def _connect_once() -> float:
    async with _two_peers() as (one, two):
        channel = one.create_data_channel("bench")
        began = time.perf_counter()
        await _connect(one, two)
        await channel.opened()
        return time.perf_counter() - began


async def connect() -> float:
    """Return milliseconds from the offer to the open data channel, after a first time."""
    await _connect_once()
    return 1000 * statistics.median([await _connect_once() for _ in range(load.CONNECTS)])


async def _frames() -> AsyncIterator[EncodedFrame]:
    began = trio.current_time()
    number = 0
    while True:
        timestamp = round(90_000 * number / load.FRAMES_PER_SECOND) & 0xFFFFFFFF
        yield EncodedFrame(load.FRAME, "VP8", timestamp)
        number += 1
        await trio.sleep_until(began + number / load.FRAMES_PER_SECOND)


async def media() -> float:
    """Return RTP packets of encoded frames per CPU second."""
    async with _two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_transceiver("video", _frames(), direction="sendonly")
        await _connect(one, two)
        receiver = (await anext(two.tracks())).receiver
        taken = 0

        async def take() -> None:
            nonlocal taken
            async for _ in receiver.encoded_frames():
                taken += 1

        def received() -> int:
            return sum(each.packets_received for each in receiver.statistics().values())

        nursery.start_soon(take)
        await trio.sleep(load.MEDIA_WARM_UP)
        packets, began, frames = received(), time.process_time(), taken
        await trio.sleep(load.MEDIA_SECONDS)
        packets, seconds = received() - packets, time.process_time() - began
        _check(taken - frames)
        nursery.cancel_scope.cancel()
    return packets / seconds


def _check(frames: int) -> None:
    expected = load.FRAMES_PER_SECOND * load.MEDIA_SECONDS
    if frames < load.LEAST_SHARE * expected:
        raise RuntimeError(f"{frames} frames of {expected:.0f} arrived")


async def memory() -> float:
    """Return kilobytes of resident memory per connected pair with a data channel."""
    async with contextlib.AsyncExitStack() as stack:

        async def add(count: int) -> None:
            for _ in range(count):
                one, two = await stack.enter_async_context(_two_peers())
                channel = one.create_data_channel("bench")
                await _connect(one, two)
                await channel.opened()

        await add(load.WARM_UP_PAIRS)
        before = load.resident_kilobytes()
        await add(load.PAIRS)
        return (load.resident_kilobytes() - before) / load.PAIRS


def run(cell: str) -> float:
    """Return one sample of a cell."""
    cells = {"data": data, "connect": connect, "media": media, "memory": memory}
    return trio.run(cells[cell])
