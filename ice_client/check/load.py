"""N calls' worth of traffic through a TURN server: pairs of relays that send to each other.

Each call is two allocations and packets at a steady pace both ways, as a voice or video call
is. Both ends are in this process, so the time from one to the other is measured with one clock.
"""

from __future__ import annotations

import secrets
import struct

import attrs
import trio

from ice_client.check.exchange import TIMING
from ice_client.check.options import first_of
from ice_client.check.round_trips import percentile
from ice_client.errors import IceError
from ice_client.turn import AllocateOptions, Relay, TurnServer, open_relay
from stun import Family

_HEADER = struct.Struct("!8sd")
"""A token of this run, and when it was sent by this process's clock."""
MOST_LATENCIES = 100_000
"""Latencies kept for the percentiles; of later packets only the count is."""
MOST_CALLS = 2000
"""Two sockets each, of the 20,000 descriptors that a process often has."""
SETUPS_AT_ONCE = 20
SETTLE = 1.0
"""Seconds for what is still on its way at the end."""


@attrs.frozen(slots=True, kw_only=True)
class LoadOptions:
    """The traffic.

    Attributes:
        calls: how many.
        seconds: how long, once all calls stand.
        packets_per_second: of each end of a call.
        size_bytes: of each packet.

    """

    calls: int = 10
    seconds: float = 10.0
    packets_per_second: float = 50.0
    size_bytes: int = 160


@attrs.frozen(slots=True)
class LoadResult:
    """What became of it; times in seconds.

    Attributes:
        calls: how many were set up.
        failures: why others were not, each reason with its number.
        setup: median and 95th percentile of the time to set a call up.
        sent: packets.
        received: packets.
        latency: median, 95th and 99th percentile of the time through the relay, one way.
        seconds: how long packets were sent.
        bits_per_second: of payload that arrived.

    """

    calls: int
    failures: dict[str, int]
    setup: tuple[float | None, float | None]
    sent: int
    received: int
    latency: tuple[float | None, float | None, float | None]
    seconds: float
    bits_per_second: float

    @property
    def loss(self) -> float:
        """The part that did not arrive, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 0.0


async def run_load(server: TurnServer, options: LoadOptions) -> LoadResult:
    """Set the calls up, send, and count.

    Args:
        server: whose host is an IP literal.
        options: the traffic.

    """
    load = _Load(server, options)
    async with trio.open_nursery() as nursery:
        for _ in range(options.calls):
            nursery.start_soon(load.call)
        await load.all_settled.wait()
        load.go.set()
    return load.result()


class _Load:
    def __init__(self, server: TurnServer, options: LoadOptions) -> None:
        self._server, self._options = server, options
        self._token = secrets.token_bytes(8)
        self._setting_up = trio.Semaphore(SETUPS_AT_ONCE)
        self._open = options.calls
        self.all_settled = trio.Event()
        self.go = trio.Event()
        self._setups: list[float] = []
        self._failures: dict[str, int] = {}
        self._latencies: list[float] = []
        self._sent = self._received = 0

    async def call(self) -> None:
        """Be one call, from its allocations to its end."""
        settled = False
        family = Family.IPV6 if ":" in self._server.host else None
        options = AllocateOptions(family=family)
        # Given back once the call stands: the limit is on setting up, all calls go on together.
        await self._setting_up.acquire()
        try:
            started = trio.current_time()
            async with (
                open_relay(self._server, options=options, timing=TIMING) as one,
                open_relay(self._server, options=options, timing=TIMING) as other,
            ):
                await one.bind_channel(other.relayed_address)
                await other.bind_channel(one.relayed_address)
                self._setups.append(trio.current_time() - started)
                settled = True
                self._settle()
                await self.go.wait()
                await self._talk(one, other)
        except* IceError as group:
            reason = str(first_of(group))
            self._failures[reason] = self._failures.get(reason, 0) + 1
        finally:
            if not settled:
                self._settle()

    def _settle(self) -> None:
        self._setting_up.release()
        self._open -= 1
        if not self._open:
            self.all_settled.set()

    async def _talk(self, one: Relay, other: Relay) -> None:
        async with trio.open_nursery() as listening:
            listening.start_soon(self._listen, one)
            listening.start_soon(self._listen, other)
            async with trio.open_nursery() as sending:
                sending.start_soon(self._send, one, other)
                sending.start_soon(self._send, other, one)
            await trio.sleep(SETTLE)
            listening.cancel_scope.cancel()

    async def _send(self, relay: Relay, to: Relay) -> None:
        interval = 1 / self._options.packets_per_second
        padding = bytes(max(self._options.size_bytes - _HEADER.size, 0))
        count = int(self._options.seconds * self._options.packets_per_second)
        start = trio.current_time()
        peer = to.relayed_address
        for number in range(count):
            await trio.sleep_until(start + number * interval)
            await relay.send_to(_HEADER.pack(self._token, trio.current_time()) + padding, peer)
            self._sent += 1

    async def _listen(self, relay: Relay) -> None:
        while True:
            data, _ = await relay.receive_from()
            if len(data) < _HEADER.size or data[:8] != self._token:
                continue
            self._received += 1
            if len(self._latencies) < MOST_LATENCIES:
                self._latencies.append(trio.current_time() - _HEADER.unpack_from(data)[1])

    def result(self) -> LoadResult:
        """Sum it up."""
        size = max(self._options.size_bytes, _HEADER.size)
        return LoadResult(
            calls=len(self._setups),
            failures=self._failures,
            setup=(percentile(self._setups, 0.5), percentile(self._setups, 0.95)),
            sent=self._sent,
            received=self._received,
            latency=(
                percentile(self._latencies, 0.5),
                percentile(self._latencies, 0.95),
                percentile(self._latencies, 0.99),
            ),
            seconds=self._options.seconds,
            bits_per_second=self._received * size * 8 / self._options.seconds,
        )
