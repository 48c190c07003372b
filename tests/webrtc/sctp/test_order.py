"""Order within streams, fairness between them (RFC 9260 §6.6, RFC 8260 §3)."""

from __future__ import annotations

import pytest

from tests.webrtc.sctp.network import Link
from tests.webrtc.sctp.test_transfer import PLAIN, drop_once, opened, received
from webrtc.sctp import (
    Settings,
)


def test_unordered_messages_do_not_wait_for_lost_ones() -> None:
    network, first, second = opened(Link(delay=0.01))
    network.drop = drop_once(0)
    for index in range(4):
        first.send(0, 53, bytes([index]) * 1132, ordered=False, now=network.now)
    first.send(1, 53, b"other stream", now=network.now)
    order: list[int] = []

    def done() -> bool:
        order.extend(message[0] for message in received(second, network.now))
        return len(order) == 5

    network.run(done)
    assert order == [ord("o"), 1, 2, 3, 0]


def test_ordered_messages_wait() -> None:
    network, first, second = opened(Link(delay=0.01))
    network.drop = drop_once(0)
    for index in range(4):
        first.send(0, 53, bytes([index]) * 1132, now=network.now)
    order: list[int] = []

    def done() -> bool:
        order.extend(message[0] for message in received(second, network.now))
        return len(order) == 4

    network.run(done)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("interleaving", [False, True])
def test_streams_share_by_weight(interleaving: bool) -> None:
    network, first, second = opened(None, Settings(interleaving=interleaving))
    first.queue.set_weight(1, 512)
    for index in range(300):
        for stream_id in (0, 1):
            first.send(stream_id, 53, bytes([index % 256]) * 1000, now=network.now)
    streams: list[int] = []

    def done() -> bool:
        while (message := second.take_message()) is not None:
            streams.append(message[0])
            second.free(len(message[2]), network.now)
        return len(streams) == 600

    network.run(done)
    first_half = streams[:300]
    assert first_half.count(1) == pytest.approx(200, abs=4)


@pytest.mark.parametrize(("interleaving", "is_held_up"), [(True, False), (False, True)])
def test_a_long_message_holds_up_others_only_without_interleaving(
    interleaving: bool, is_held_up: bool
) -> None:
    network, first, second = opened(Link(delay=0.01), Settings(interleaving=interleaving))
    first.send(0, 53, bytes(250_000), now=network.now)
    network.flush()
    first.send(1, 53, b"urgent", now=network.now)
    streams: list[int] = []

    def done() -> bool:
        while (message := second.take_message()) is not None:
            streams.append(message[0])
        return len(streams) == 2

    network.run(done)
    assert (streams == [0, 1]) is is_held_up


def test_a_channel_with_many_small_messages_does_not_starve_beside_large_ones() -> None:
    network, first, second = opened(None, PLAIN)
    for _ in range(20):
        first.send(0, 53, bytes(60_000), now=network.now)
    for _ in range(200):
        first.send(1, 53, bytes(100), now=network.now)
    order: list[int] = []

    def done() -> bool:
        while (message := second.take_message()) is not None:
            order.append(message[0])
            second.free(len(message[2]), network.now)
        return len(order) == 220

    network.run(done)
    assert order.index(0) < 210
    assert order[:205].count(1) > 190
