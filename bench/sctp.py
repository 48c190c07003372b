"""Data channels beside aiortc's: `python -m bench.sctp`.

SCTP alone: both ends in one process, packets handed over in memory, no DTLS, ICE or sockets,
so a number here is not one of a whole peer connection. The same message sizes, the same number
of bytes, and CRC32c on both sides (by one library) for either; CPU time is the process's.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiortc
import attrs
import click
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from bench import machine
from webrtc.sctp import ChannelOptions, ChannelState, DataChannel, DataChannels, Settings

SIZES = (100, 1000, 16384, 262144)
ROUND_TRIP = 0.001
_HIGH_WATER = 1 << 20
_RESULTS = Path(__file__).parent / "results"


@attrs.frozen
class Job:
    """What is sent in one measurement."""

    size: int
    total: int

    @property
    def count(self) -> int:
        return max(self.total // self.size, 1)


class Pair:
    """Two of our ends; `batch` says whether packets are handed over as they come, or one by one.

    One by one, every packet is followed by whatever it makes the receiver send, as when a socket
    is read once per wakeup: every second packet is acknowledged. In batches, as from recvmmsg or
    a read loop that drains a socket, one acknowledgement answers all that came together.
    """

    def __init__(self, *, batch: bool) -> None:
        rng = random.Random(1)
        settings = Settings(zero_checksum=False, interleaving=False)
        self.ends = (
            DataChannels(settings, rng.randbytes),
            DataChannels(settings, rng.randbytes),
        )
        self._batch = batch
        self.now = 0.0
        for index, end in enumerate(self.ends):
            end.start(is_dtls_client=index == 0, remote_max_message_size=0, now=self.now)
        self.sender = self.ends[0].open(ChannelOptions())
        while self.sender.state is not ChannelState.OPEN or len(self.ends[1].channels) == 0:
            self.exchange()
        self.receiver: DataChannel = self.ends[1].channels[0]

    def exchange(self) -> None:
        """Carry what there is each way; if there is nothing, let time pass."""
        first, second = self.ends
        self.now += ROUND_TRIP
        now = self.now
        packets, answers = first.take_datagrams(now), second.take_datagrams(now)
        if not packets and not answers:
            deadlines = [end.next_deadline() for end in self.ends]
            self.now = min(deadline for deadline in deadlines if deadline is not None)
            for end in self.ends:
                end.on_deadline(self.now)
        for packet in packets:
            second.receive(packet, now)
            if not self._batch:
                answers += second.take_datagrams(now)
        for packet in answers:
            first.receive(packet, now)


def run_ours(job: Job, *, batch: bool) -> float:
    """Return megabytes per CPU second."""
    pair = Pair(batch=batch)
    message = bytes(job.size)
    sender, receiver = pair.sender, pair.receiver
    sent = received = 0
    began = time.process_time()
    while received < job.count:
        while sent < job.count and sender.buffered_amount < _HIGH_WATER:
            sender.send(message, pair.now)
            sent += 1
        pair.exchange()
        while receiver.take_message() is not None:
            received += 1
        for end in pair.ends:
            end.take_events()
    return job.size * job.count / 1e6 / (time.process_time() - began)


class FakeDtls:
    """What aiortc's transport asks of DTLS: packets go straight to the other end's queue."""

    def __init__(self, role: str) -> None:
        self._role = role
        self.state = "connected"
        self.peer = self
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._receiver: Any = None

    def _register_data_receiver(self, receiver: Any) -> None:
        self._receiver = receiver

    def _unregister_data_receiver(self, _receiver: Any) -> None:
        self._receiver = None

    async def _send_data(self, data: bytes) -> None:
        self.peer.queue.put_nowait(data)

    async def run(self) -> None:
        """Hand packets to this end."""
        while True:
            data = await self.queue.get()
            if self._receiver is not None:
                await self._receiver._handle_data(data)


async def _run_aiortc(job: Job) -> float:
    links = FakeDtls("client"), FakeDtls("server")
    links[0].peer, links[1].peer = links[1], links[0]
    tasks = [asyncio.create_task(link.run()) for link in links]
    ends: list[Any] = [RTCSctpTransport(link) for link in links]  # type: ignore[arg-type]
    capabilities = RTCSctpCapabilities(maxMessageSize=1 << 30)
    for end in ends:
        await end.start(capabilities, 5000)
    channel = RTCDataChannel(ends[0], RTCDataChannelParameters(label="bench"))
    done = asyncio.Event()
    opened = asyncio.Event()
    low = asyncio.Event()
    received = 0

    def on_message(_message: bytes) -> None:
        nonlocal received
        received += 1
        if received == job.count:
            done.set()

    ends[1].on("datachannel", lambda remote: remote.on("message", on_message))
    channel.on("open", opened.set)
    channel.bufferedAmountLowThreshold = _HIGH_WATER // 2
    channel.on("bufferedamountlow", low.set)
    await opened.wait()
    message = bytes(job.size)
    began = time.process_time()
    for _ in range(job.count):
        if channel.bufferedAmount > _HIGH_WATER:
            low.clear()
            await low.wait()
        channel.send(message)
    await done.wait()
    seconds = time.process_time() - began
    for end in ends:
        await end.stop()
    for task in tasks:
        task.cancel()
    return job.size * job.count / 1e6 / seconds


def run_aiortc(job: Job) -> float:
    """Return megabytes per CPU second."""
    return asyncio.run(_run_aiortc(job))


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--megabytes", type=click.FloatRange(0.1), default=16.0, show_default=True)
@click.option("--size", "sizes", type=click.IntRange(1), multiple=True, default=SIZES)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(rounds: int, megabytes: float, sizes: tuple[int, ...], output: Path | None) -> None:
    """Measure SCTP alone, ours and aiortc's in turns, and print medians."""
    runs: dict[str, Callable[[Job], float]] = {
        "aiortc": run_aiortc,
        "one by one": lambda job: run_ours(job, batch=False),
        "in batches": lambda job: run_ours(job, batch=True),
    }
    samples: dict[str, dict[int, list[float]]] = {name: {s: [] for s in sizes} for name in runs}
    for _ in range(rounds):
        for size in sizes:
            job = Job(size, int(megabytes * 1e6 * min(1.0, size / 1000)))
            for name, run in runs.items():
                samples[name][size].append(run(job))
    print(f"SCTP alone, megabytes per CPU second, both ends; medians of {rounds}")
    print(f"aiortc {aiortc.__version__}; {machine.describe()}")
    print("| bytes a message | aiortc | ours, packets one by one | ours, in batches |")
    print("|---:|---:|---:|---:|")
    for size in sizes:
        medians = [statistics.median(samples[name][size]) for name in runs]
        cells = " | ".join(f"{m:.1f} ({m / medians[0]:.1f}x)" for m in medians[1:])
        print(f"| {size} | {medians[0]:.1f} | {cells} |")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    _RESULTS.mkdir(exist_ok=True)
    output = output or _RESULTS / f"sctp-{stamp}.json"
    output.write_text(json.dumps({"aiortc": aiortc.__version__, "samples": samples}, indent=1))
    print(f"samples: {output}")


if __name__ == "__main__":
    main()
