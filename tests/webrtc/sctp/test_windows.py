"""Congestion and receive windows (RFC 9260 §6.2, §7.2)."""

from __future__ import annotations

from tests.webrtc.sctp.network import Link
from tests.webrtc.sctp.test_transfer import opened, received
from webrtc.sctp import (
    AssociationState,
    Closed,
    CloseReason,
    Settings,
)
from webrtc.sctp.congestion import CongestionWindow


def test_congestion_window_grows_and_shrinks_as_the_rfc_says() -> None:
    window = CongestionWindow(Settings(initial_window=4), 1000)
    assert window.size == 4000
    window.acknowledged(2000, everything=False)
    assert window.size == 4000, "it was not used up"
    window.sent(4000)
    window.acknowledged(2000, everything=False)
    assert window.size == 6000
    window.sent(6000)
    window.acknowledged(6000, everything=False)
    assert window.size == 10_000, "four packets at most for one SACK"
    window.lost(highest_outstanding=77)
    window.lost(highest_outstanding=99)
    assert (window.size, window.threshold) == (5000, 5000), "once per window"
    window.sent(5000)
    window.acknowledged(1000, everything=False)
    assert window.size == 5000, "not while it recovers"
    window.advanced_to(77)
    window.threshold = 4000
    window.acknowledged(5000, everything=False)
    assert window.size == 6000, "one packet for a window's worth"
    window.timed_out()
    assert (window.size, window.threshold) == (1000, 4000)


def test_an_idle_window_is_not_trusted() -> None:
    window = CongestionWindow(Settings(), 1000)
    window.size = 64_000
    window.went_idle(0.0)
    window.resumed(2.5, rto=1.0)
    assert window.size == 16_000
    window.went_idle(10.0)
    window.resumed(1000.0, rto=1.0)
    assert window.size == 4000


def test_no_more_than_the_window_is_ever_in_flight() -> None:
    network, first, second = opened(Link(delay=0.05, loss=0.02), seed=5)
    tcb = first._control.tcb
    assert tcb is not None
    count = sent = 0

    def done() -> bool:
        nonlocal count, sent
        while first.buffered < 50_000 and sent < 1000:
            first.send(0, 53, bytes(1000), now=network.now)
            sent += 1
        window = tcb.outbound.window
        flight = sum(c.size for c in tcb.outbound.outstanding._chunks if c.state == 0)
        assert tcb.outbound.outstanding.flight == flight
        count += len(received(second, network.now))
        network.flush()
        assert flight <= max(window.size, peak[0]) + window.payload
        peak[0] = max(tcb.outbound.outstanding.flight, 0)
        return count == 1000

    peak = [0]
    network.run(done)


def test_a_bottleneck_is_filled_and_shared_memory_stays_bounded() -> None:
    link = Link(delay=0.02, bytes_per_second=250_000, queue_bytes=30_000)
    network, first, second = opened(link)
    count = sent = 0
    began = network.now

    def done() -> bool:
        nonlocal count, sent
        while first.buffered < 100_000 and sent < 2000:
            first.send(0, 53, bytes(1000), now=network.now)
            sent += 1
        count += len(received(second, network.now))
        return count == 2000

    network.run(done)
    rate = 2_000_000 / (network.now - began)
    assert rate > 0.8 * 250_000


def test_a_reader_that_stops_stops_the_sender_and_sets_it_going_again() -> None:
    settings = Settings(receive_buffer=100_000, max_message_size=50_000)
    network, first, second = opened(Link(delay=0.01), settings)
    for _ in range(400):
        first.send(0, 53, bytes(1000), now=network.now)
    network.run_for(20.0)
    assert first.state is AssociationState.ESTABLISHED
    tcb = second._control.tcb
    assert tcb is not None
    assert 99_000 < tcb.inbound.held < 102_500
    assert first.buffered > 250_000
    probes = len(network.sent)
    network.run_for(60.0)
    assert len(network.sent) - probes < 60
    began = network.now
    count = 0

    def done() -> bool:
        nonlocal count
        count += len(received(second, network.now))
        return count == 400

    network.run(done)
    assert network.now - began < 9.0
    assert tcb.inbound.held == 0


def test_fragments_that_fill_the_buffer_end_the_association() -> None:
    settings = Settings(receive_buffer=60_000, max_message_size=50_000, interleaving=True)
    network, first, second = opened(None, Settings(), settings)
    for stream_id in range(10):
        first.send(stream_id, 53, bytes(49_000), now=network.now)
    network.run(lambda: second.is_over)
    event = second.take_events()[-1]
    assert isinstance(event, Closed)
    assert (event.reason, event.cause_code) == (CloseReason.PROTOCOL_VIOLATION, 4)


def test_a_message_longer_than_allowed_ends_the_association() -> None:
    small = Settings(max_message_size=10_000)
    network, first, second = opened(None, Settings(), small)
    first.send(0, 53, bytes(20_000), now=network.now)
    network.run(lambda: first.is_over and second.is_over)
    assert second.take_message() is None
