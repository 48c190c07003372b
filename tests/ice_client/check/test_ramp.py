"""The throughput ramp of `ice-check`, between relays of our own and on a clock of our own."""

from __future__ import annotations

import math
from typing import cast

import pytest
import trio
import trio.testing

from ice_client.check.network_results import RampStep
from ice_client.check.probe_quality import Measurement, QualityOptions, rates_up_to
from ice_client.turn import Relay
from stun import Address

BURST_BITS = 250_000.0


class FakeRelay:
    """Sends to another one, loses what is beyond a rate, and takes its time for each packet."""

    def __init__(
        self, number: int, *, capacity_bps: float = 1e12, seconds_each: float = 0.0
    ) -> None:
        self.to: FakeRelay | None = None
        self._number = number
        self._capacity_bps = capacity_bps
        self._seconds_each = seconds_each
        self._room_bits = BURST_BITS
        self._sent_at = 0.0
        self._in, self._out = trio.open_memory_channel[tuple[bytes, Address]](math.inf)

    @property
    def relayed_address(self) -> Address:
        return Address.parse("192.0.2.1", 50000 + self._number)

    async def send_to(self, data: bytes, peer: Address) -> None:
        assert self.to is not None
        assert peer == self.to.relayed_address
        await trio.sleep(self._seconds_each)
        now = trio.current_time()
        room = self._room_bits + (now - self._sent_at) * self._capacity_bps
        self._room_bits, self._sent_at = min(room, BURST_BITS), now
        if self._room_bits >= 8 * len(data):
            self._room_bits -= 8 * len(data)
            self.to._in.send_nowait((data, self.relayed_address))

    async def receive_from(self) -> tuple[bytes, Address]:
        return await self._out.receive()


async def ramp(here: FakeRelay, highest: float) -> list[RampStep]:
    there = FakeRelay(2)
    here.to, there.to = there, here
    options = QualityOptions(rates_bps=rates_up_to(highest))
    measurement = Measurement(cast(Relay, here), cast(Relay, there), options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measurement.serve)
        steps = await measurement.ramp()
        nursery.cancel_scope.cancel()
    return steps


@pytest.mark.parametrize(
    ("highest", "rates"),
    [(8e6, (1e6, 2e6, 4e6, 8e6)), (20e6, (1e6, 2e6, 4e6, 8e6, 16e6, 20e6)), (5e5, (5e5,))],
)
def test_rates_double_up_to_the_highest(highest: float, rates: tuple[float, ...]) -> None:
    assert rates_up_to(highest) == rates


async def test_all_rates_are_tried_where_nothing_is_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    steps = await ramp(FakeRelay(1), 100e6)
    expected = pytest.approx([1e6, 2e6, 4e6, 8e6, 16e6, 32e6, 64e6, 100e6], rel=0.1)
    assert [step.received_bps for step in steps] == expected
    assert not any(step.loss for step in steps)


async def test_it_ends_where_a_tenth_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    *passed, last = await ramp(FakeRelay(1, capacity_bps=10e6), 100e6)
    assert [step.offered_bps for step in passed] == pytest.approx([1e6, 2e6, 4e6, 8e6], rel=0.1)
    assert last.offered_bps == pytest.approx(16e6, rel=0.1)
    assert all(step.loss < 0.1 for step in passed)
    assert last.loss > 0.1


async def test_it_ends_where_this_machine_sends_no_faster(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A higher rate would be in the report, and not have been offered."""
    steps = await ramp(FakeRelay(1, seconds_each=0.002), 100e6)
    assert [step.offered_bps for step in steps] == pytest.approx([1e6, 2e6, 4e6, 4e6], rel=0.15)
