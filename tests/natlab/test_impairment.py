"""Bad lines are as bad as they say, and the same with the same seed."""

from __future__ import annotations

import contextlib
import itertools
import time

import attrs
import pytest

from tests.natlab import FULL_CONE, Host, Impairment, Nat, Topology, lab
from tests.natlab.impairment import ImpairedLine

PACKETS = 20_000
SIZE = 1000


def arrivals(impairment: Impairment, gap: float = 0.001) -> list[float | None]:
    """Return when packets arrive that are sent at a steady pace, less when they were sent."""
    line = ImpairedLine(impairment)
    results = []
    for number in range(PACKETS):
        arrival = line.arrival(SIZE, number * gap)
        results.append(None if arrival is None else arrival - number * gap)
    return results


def test_good_line_changes_nothing() -> None:
    assert set(arrivals(Impairment())) == {0.0}


def test_delay_is_the_same_for_all() -> None:
    assert arrivals(Impairment(delay=0.05)) == pytest.approx([0.05] * PACKETS)


def test_jitter_is_between_nothing_and_its_bound_and_keeps_the_order() -> None:
    delays = [each for each in arrivals(Impairment(delay=0.05, jitter=0.02)) if each is not None]
    assert len(delays) == PACKETS
    assert 0.05 <= min(delays) < 0.055
    assert 0.069 < max(delays) <= 0.07 + 1e-9
    times = [number * 0.001 + delay for number, delay in enumerate(delays)]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(times))


@pytest.mark.parametrize("loss", [0.01, 0.3, 1.0])
def test_loss_is_its_share(loss: float) -> None:
    lost = arrivals(Impairment(loss=loss)).count(None)
    # Six standard deviations: with a fixed seed this is decided once and for all.
    assert abs(lost - loss * PACKETS) <= 6 * (loss * (1 - loss) * PACKETS) ** 0.5


def test_reordering_lets_those_behind_overtake() -> None:
    impairment = Impairment(delay=0.05, reordering=0.1, reordering_delay=0.01)
    delays = arrivals(impairment)
    held = [each for each in delays if each is not None and each > 0.055]
    assert held == pytest.approx([0.06] * len(held))
    assert 0.08 * PACKETS < len(held) < 0.12 * PACKETS
    # The others are as fast as ever: they do not wait for those that are held.
    assert delays.count(None) == 0
    assert sum(each == pytest.approx(0.05) for each in delays[:1000] if each) > 850


def test_rate_limit_spaces_packets_and_drops_what_the_queue_can_not_hold() -> None:
    # 1000 bytes at 1 Mbit/s are 8 ms; ten fit into the queue.
    line = ImpairedLine(Impairment(rate_bps=1e6, queue_bytes=10 * SIZE))
    first = [line.arrival(SIZE, 0.0) for _ in range(12)]
    assert first[:10] == pytest.approx([0.008 * number for number in range(1, 11)])
    assert first[10:] == [None, None]
    # 16 ms later two have left.
    assert line.arrival(SIZE, 0.0161) == pytest.approx(0.088)
    assert line.arrival(SIZE, 0.0162) == pytest.approx(0.096)
    assert line.arrival(SIZE, 0.0163) is None
    assert line.arrival(SIZE, 1.0) == pytest.approx(1.008)


def test_long_packets_vanish_in_a_black_hole() -> None:
    line = ImpairedLine(Impairment(largest_bytes=1280))
    assert line.arrival(1280, 0.0) == 0.0
    assert line.arrival(1281, 0.0) is None


def test_fate_repeats_with_the_seed_and_losses_do_not_depend_on_other_settings() -> None:
    lossy = Impairment(loss=0.2, jitter=0.01, reordering=0.1)
    assert arrivals(lossy) == arrivals(lossy)
    assert arrivals(lossy) != arrivals(attrs.evolve(lossy, seed=1))

    def lost(impairment: Impairment) -> list[int]:
        return [n for n, arrival in enumerate(arrivals(impairment)) if arrival is None]

    assert lost(lossy) == lost(Impairment(loss=0.2))


LAB = Topology(
    hosts=(Host("server"), Host("client", on="nat")),
    boxes=(Nat("nat", FULL_CONE),),
)


@pytest.mark.parametrize("where", ["client", "nat", "server"])
def test_line_in_the_lab_is_slow_in_the_direction_that_it_says(where: str) -> None:
    with lab(LAB) as net, net["server"].bound_socket() as server, net["client"].bound_socket() as c:
        for sock in (server, c):
            sock.settimeout(10.0)
        slow = Impairment(delay=0.05)
        net.impair(where, up=slow, down=None)
        began = time.monotonic()
        c.sendto(b"ping", server.getsockname())
        _, source = server.recvfrom(100)
        there = time.monotonic() - began
        server.sendto(b"pong", source)
        c.recv(100)
        and_back = time.monotonic() - began
        assert and_back >= 0.05
        assert (there >= 0.05) == (where != "server")


def test_line_in_the_lab_loses_and_is_good_again() -> None:
    with lab(LAB) as net, net["server"].bound_socket() as server, net["client"].bound_socket() as c:
        server.setblocking(False)
        net.impair("nat", up=Impairment(loss=0.5, seed=4), down=None)
        for number in range(100):
            c.sendto(bytes([number]), server.getsockname())
        net.settle()
        net.impair("nat", up=None, down=None)
        c.sendto(b"\xff", server.getsockname())
        net.settle()
        arrived: list[int] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                arrived += server.recv(100)
        assert 30 < len(arrived) < 70
        assert arrived == sorted(arrived)
        assert arrived[-1] == 0xFF
        assert net.dropped()["line"] == 101 - len(arrived)
