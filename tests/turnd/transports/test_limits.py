"""Small parts: the pace of streams, connections per source, the timer."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from stun import Address
from turnd.transports.address_limit import AddressLimit
from turnd.transports.pace import Pace
from turnd.transports.timer import Timer


@pytest.mark.parametrize(
    ("steps", "delays"),
    [
        pytest.param([(0, 1000)], [0], id="a second's worth goes at once"),
        pytest.param([(0, 1500)], [0.5], id="the rest waits for its tokens"),
        pytest.param([(0, 1000), (0, 1000), (0, 1000)], [0, 1, 2], id="debt adds up"),
        pytest.param([(0, 1000), (0.5, 500)], [0, 0], id="tokens come back with time"),
        pytest.param([(0, 1000), (100, 1500)], [0, 0.5], id="but no more than a second's worth"),
    ],
)
def test_a_pace_tells_how_long_to_wait(steps: list[tuple[float, int]], delays: list[float]) -> None:
    pace = Pace(1000, 0.0)
    assert [pace.delay(size, now) for now, size in steps] == delays


def test_a_pace_without_a_rate_never_waits() -> None:
    pace = Pace(0, 0.0)
    assert [pace.delay(10**9, 0.0) for _ in range(3)] == [0.0] * 3


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_sources_are_ipv4_addresses_and_ipv6_prefixes_of_64_bits(
    first: str, second: str, same: bool
) -> None:
    limit = AddressLimit(1)
    assert limit.acquire(Address.parse(first, 1))
    assert limit.acquire(Address.parse(second, 2)) is not same


def test_a_released_place_is_free_again() -> None:
    limit = AddressLimit(2)
    address = Address.parse("192.0.2.1")
    assert [limit.acquire(address) for _ in range(3)] == [True, True, False]
    limit.release(address)
    assert [limit.acquire(address) for _ in range(2)] == [True, False]


async def test_a_timer_calls_back_in_time_whatever_is_set_while_it_waits(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    timer: Timer[str] = Timer()
    calls: list[tuple[str, float]] = []
    began = trio.current_time()
    nursery.start_soon(timer.run, lambda key: calls.append((key, trio.current_time() - began)))
    timer.set("late", began + 100)
    timer.set("moved later", began + 10)
    timer.set("dropped", began + 20)
    await trio.sleep(1)
    timer.set("early", began + 5)
    timer.set("moved later", began + 50)
    timer.discard("dropped")
    await trio.sleep(200)
    assert calls == [("early", 5.0), ("moved later", 50.0), ("late", 100.0)]
