"""Giving up on messages (RFC 3758, RFC 7496, RFC 8260 §2.3)."""

from __future__ import annotations

import pytest

from tests.webrtc.sctp.network import Link
from tests.webrtc.sctp.test_transfer import drop_once, opened, received, sent_by
from webrtc.sctp import Reliability, Settings
from webrtc.sctp.chunks import ForwardTsn, IForwardTsn

ONCE = Reliability(max_retransmits=0)
PAYLOAD = 1132


@pytest.mark.parametrize("interleaving", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_message_that_may_not_be_repeated_is_skipped(ordered: bool, interleaving: bool) -> None:
    settings = Settings(interleaving=interleaving, zero_checksum=False)
    network, first, second = opened(Link(delay=0.02), settings)
    network.drop = drop_once(1)
    for index in range(6):
        payload = bytes([index]) * 1100
        first.send(5, 53, payload, ordered=ordered, reliability=ONCE, now=network.now)
    network.run_for(2.0)
    assert [message[0] for message in received(second, network.now)] == [0, 2, 3, 4, 5]
    tcb = first._control.tcb
    assert tcb is not None
    assert tcb.outbound.outstanding.is_empty
    assert tcb.outbound.retransmitted == 0
    skips = sent_by(network, 0, IForwardTsn if interleaving else ForwardTsn)
    expected: dict[tuple[bool, bool], object] = {
        (False, False): (),
        (True, False): ((5, 1),),
        (False, True): ((5, 1, 1),),
        (True, True): ((5, 0, 1),),
    }
    assert [getattr(skip, "skips") for skip in skips] == [  # noqa: B009
        expected[ordered, interleaving]
    ]


@pytest.mark.parametrize(("limit", "arrives"), [(1, False), (2, True)])
def test_retransmissions_are_counted(limit: int, arrives: bool) -> None:
    network, first, second = opened(Link(delay=0.02))
    network.drop = drop_once(0, 1)
    reliability = Reliability(max_retransmits=limit)
    first.send(0, 53, b"tried", reliability=reliability, now=network.now)
    network.run_for(5.0)
    assert received(second, network.now) == [b"tried"] * arrives
    first.send(0, 53, b"next", now=network.now)
    network.run_for(5.0)
    assert received(second, network.now) == [b"next"]


def test_what_waits_past_its_lifetime_is_never_sent_and_leaves_no_hole() -> None:
    network, first, second = opened(Link(delay=0.02))
    network.drop = lambda sender, _packet: sender == 0
    for _ in range(20):
        first.send(0, 53, bytes(PAYLOAD), now=network.now)
    first.send(0, 53, b"late", reliability=Reliability(lifetime=0.1), now=network.now)
    first.send(0, 53, b"last", now=network.now)
    network.run_for(0.5)
    network.drop = lambda _sender, _packet: False
    network.run_for(10.0)
    messages = received(second, network.now)
    assert len(messages) == 21
    assert messages[-1] == b"last"
    assert sent_by(network, 0, ForwardTsn) == []


def test_a_message_that_expires_half_sent_is_taken_back_whole() -> None:
    network, first, second = opened(Link(delay=0.2))
    reliability = Reliability(lifetime=0.3)
    first.send(0, 53, bytes(200_000), reliability=reliability, now=network.now)
    first.send(0, 53, b"next", now=network.now)
    network.run_for(5.0)
    assert received(second, network.now) == [b"next"]
    tcb = second._control.tcb
    assert tcb is not None
    assert tcb.inbound.held == 0
    assert first.buffered == 0


def test_a_lost_forward_tsn_is_sent_again() -> None:
    network, first, second = opened(Link(delay=0.02))
    dropped = 0

    def drop(sender: int, packet: bytes) -> bool:
        nonlocal dropped
        is_wanted = sender == 0 and packet[12] in (0, 192) and dropped < 4
        dropped += is_wanted
        return is_wanted

    network.drop = drop
    first.send(0, 53, b"gone", reliability=ONCE, now=network.now)
    network.run_for(8.0)
    first.send(0, 53, b"next", now=network.now)
    network.run_for(2.0)
    assert received(second, network.now) == [b"next"]
    assert len(sent_by(network, 0, ForwardTsn)) >= 4


def test_a_peer_without_forward_tsn_gets_everything() -> None:
    network, first, second = opened(Link(delay=0.02))
    tcb = first._control.tcb
    assert tcb is not None
    tcb.outbound._partial_reliability = False
    network.drop = drop_once(0, 2)
    for index in range(5):
        first.send(0, 53, bytes([index]) * PAYLOAD, reliability=ONCE, now=network.now)
    network.run_for(5.0)
    assert [message[0] for message in received(second, network.now)] == [0, 1, 2, 3, 4]


def test_many_streams_given_up_at_once_do_not_outgrow_a_packet() -> None:
    network, first, second = opened(Link(delay=0.02, max_size=540), Settings(path_mtu=576))
    network.drop = lambda sender, _packet: sender == 0
    for stream_id in range(400):
        first.send(stream_id, 53, b"gone", reliability=ONCE, now=network.now)
    network.run_for(2.0)
    network.drop = lambda _sender, _packet: False
    for stream_id in range(400):
        first.send(stream_id, 53, b"here", now=network.now)
    count = 0

    def done() -> bool:
        nonlocal count
        messages = received(second, network.now)
        count += messages.count(b"here")
        return count == 400

    network.run(done)
