"""How well packets pass: two allocations relayed to each other, beside the server directly.

Round trips go from one allocation to the other, which returns them; the direct path is a
Binding request over the same transport. So the relay's round trip is the way to the server
four times, and `relay minus direct` says what relaying costs a call in one direction twice.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import struct
from collections.abc import Callable, Sequence

import attrs
import trio

from ice_client.check.exchange import TIMING, ask
from ice_client.check.network_results import QualityResult, RampStep, RoundTrips
from ice_client.check.round_trips import overtaken, summarise
from ice_client.errors import IceError
from ice_client.turn import AllocateOptions, Relay, ResponseError, TurnServer, open_relay
from ice_client.turn.open_link import open_link
from stun import Address, Family, Method, StunError

TIMEOUT = 60.0
"""Seconds for all of it; a link that stalls must not hold the report up."""
_HEADER = struct.Struct("!8sBI")
"""A token of this run, what the packet is for, its number."""
_ECHO, _FLOOD, _SIZE = 0, 1, 2
_SIZE_TRIES = 4
"""Of a packet of each size: a line that loses one in ten must not look like one too narrow."""
_PAYLOAD = 160
"""Bytes of a 20 ms packet of G.711, which is also about what Opus sends at its best."""
_FLOOD_PAYLOAD = 1000
_FIRST_RATE = 1e6
_USUAL_RATE = 8e6
"""Enough for a video call, and little enough to send to a server of others'."""
_MOST_LOSS = 0.1
_KEPT_PACE = 0.8
"""A sender that offers less than this of a rate says how fast it is itself, not the relay."""
_SIZES = (576, 1000, 1200, 1280, 1350, 1400, 1432, 1452, 1472)
"""Payloads to try; 1472 is what an IPv4 packet holds on Ethernet without any relay."""


def rates_up_to(highest: float) -> tuple[float, ...]:
    """Return the rates of a ramp: each twice the one before, from 1 Mbit/s to the highest."""
    rates = [min(_FIRST_RATE, highest)]
    while rates[-1] < highest:
        rates.append(min(2 * rates[-1], highest))
    return tuple(rates)


@attrs.frozen(slots=True, kw_only=True)
class QualityOptions:
    """How much to measure.

    Attributes:
        packets: round trips.
        interval: seconds between two of them.
        rates_bps: the rates of the ramp, bits of payload per second.
        step: seconds for each rate.
        wait: seconds for what is still on its way at an end.

    """

    packets: int = 100
    interval: float = 0.01
    rates_bps: Sequence[float] = rates_up_to(_USUAL_RATE)
    step: float = 0.25
    wait: float = 0.5


async def probe_quality(
    server: TurnServer, label: str, options: QualityOptions = QualityOptions()
) -> QualityResult | None:
    """Measure one way to the server; None if it takes no two allocations.

    Args:
        server: which; its host is an IP literal.
        label: of the row, for the report.
        options: how much to measure.

    """
    family = AllocateOptions(family=Family.IPV6 if ":" in server.host else None)
    result = None
    try:
        with trio.move_on_after(TIMEOUT):
            result = await _measure(server, label, options, family)
    except* (IceError, StunError):
        pass  # the server gave up in the middle; the stages have said what they saw
    return result


async def _measure(
    server: TurnServer, label: str, options: QualityOptions, family: AllocateOptions
) -> QualityResult:
    async with (
        open_relay(server, options=family, timing=TIMING, receive_queue=8192) as here,
        open_relay(server, options=family, timing=TIMING, receive_queue=8192) as there,
    ):
        await here.permit(there.relayed_address)
        await there.permit(here.relayed_address)
        # Both channels stand before anything is timed; a server without them relays as well.
        with contextlib.suppress(ResponseError):
            await here.bind_channel(there.relayed_address)
            await there.bind_channel(here.relayed_address)
        measurement = Measurement(here, there, options)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(measurement.serve)
            nursery.start_soon(measurement.collect)
            relay = await measurement.round_trips()
            mtu = await measurement.path_mtu()
            ramp = await measurement.ramp()
            nursery.cancel_scope.cancel()
        direct = await _direct(server, options)
    return QualityResult(label, relay, direct, tuple(ramp), mtu)


class Measurement:
    """One run over two allocations; `serve` and `collect` run beside what measures.

    Args:
        here: sends, and hears what comes back.
        there: returns it.
        options: how much.

    """

    def __init__(self, here: Relay, there: Relay, options: QualityOptions) -> None:
        self._here, self._there, self._options = here, there, options
        self._token = secrets.token_bytes(8)
        self._sent: dict[int, float] = {}
        self._times: dict[int, float] = {}
        self._order: list[int] = []
        self._flood: dict[int, int] = {}
        self._sizes: set[int] = set()
        self._arrived = trio.Event()

    async def serve(self) -> None:
        """Return echoes and count what floods in, at the far allocation."""
        while True:
            data, peer = await self._there.receive_from()
            kind, number = self._kind(data)
            if kind == _ECHO:
                await self._there.send_to(data, peer)
            elif kind == _FLOOD:
                self._flood[number] = self._flood.get(number, 0) + len(data)
            elif kind == _SIZE:
                self._sizes.add(len(data))
            self._arrived.set()

    async def collect(self) -> None:
        """Time what comes back."""
        while True:
            data, _ = await self._here.receive_from()
            kind, number = self._kind(data)
            if kind == _ECHO and number in self._sent and number not in self._times:
                self._times[number] = trio.current_time() - self._sent[number]
                self._order.append(number)
                self._arrived.set()

    async def _wait_for(self, came: Callable[[], bool]) -> None:
        """Wait for what is still on its way, but not for what is lost."""
        with trio.move_on_after(self._options.wait):
            while not came():
                self._arrived = trio.Event()
                await self._arrived.wait()

    def _kind(self, data: bytes) -> tuple[int, int]:
        if len(data) < _HEADER.size or data[:8] != self._token:
            return -1, 0
        _, kind, number = _HEADER.unpack_from(data)
        return kind, number

    async def _send(self, kind: int, number: int, size: int) -> None:
        head = _HEADER.pack(self._token, kind, number)
        data = head + bytes(max(size - len(head), 0))
        await self._here.send_to(data, self._there.relayed_address)

    async def round_trips(self) -> RoundTrips:
        """Send at a steady pace."""
        start = trio.current_time()
        for number in range(self._options.packets):
            await trio.sleep_until(start + number * self._options.interval)
            self._sent[number] = trio.current_time()
            await self._send(_ECHO, number, _PAYLOAD)
        await self._wait_for(lambda: len(self._times) == self._options.packets)
        times = [self._times.get(number) for number in range(self._options.packets)]
        return summarise(times, overtaken(self._order))

    async def path_mtu(self) -> int | None:
        """Return the largest payload that arrives whole."""
        largest = None
        for size in _SIZES:
            for _ in range(_SIZE_TRIES):
                with contextlib.suppress(StunError):
                    await self._send(_SIZE, size, size)
                await self._wait_for(functools.partial(self._sizes.__contains__, size))
                if size in self._sizes:
                    break
            if size not in self._sizes:
                break
            largest = size
        return largest

    async def ramp(self) -> list[RampStep]:
        """Offer higher and higher rates until a step loses a tenth, or we can send no faster."""
        steps: list[RampStep] = []
        for number, rate in enumerate(self._options.rates_bps):
            step = await self._flood_at(number, rate)
            steps.append(step)
            if step.loss > _MOST_LOSS or step.offered_bps < _KEPT_PACE * rate:
                break
        return steps

    async def _flood_at(self, number: int, rate: float) -> RampStep:
        start = trio.current_time()
        sent = 0
        while (elapsed := trio.current_time() - start) < self._options.step:
            # As many as are due: a pace kept by sleeping alone would drift.
            due = int(elapsed * rate / 8 / _FLOOD_PAYLOAD) + 1
            for _ in range(due - sent):
                await self._send(_FLOOD, number, _FLOOD_PAYLOAD)
            sent = max(sent, due)
            await trio.sleep(0.002)
        seconds = trio.current_time() - start
        total = sent * _FLOOD_PAYLOAD
        await self._wait_for(lambda: self._flood.get(number, 0) >= total)
        received = self._flood.get(number, 0)
        return RampStep(total * 8 / seconds, received * 8 / seconds, 1 - received / total)


async def _direct(server: TurnServer, options: QualityOptions) -> RoundTrips:
    """Time Binding requests to the server over the same transport, one after another."""
    times: list[float | None] = []
    remote = Address.parse(server.host, server.port)
    # One transmission each: a retransmission would hide a loss.
    once = attrs.evolve(TIMING, rc=1, rm=2)
    async with open_link(server, remote) as link:
        for _ in range(min(options.packets, 50)):
            started = trio.current_time()
            try:
                await ask(link, Method.BINDING, timing=once)
            except IceError:
                times.append(None)
                if len(times) > 5 and not any(times):
                    break
            else:
                times.append(trio.current_time() - started)
    return summarise(times)
