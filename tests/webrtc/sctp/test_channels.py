"""Data channels (RFC 8831, RFC 8832, W3C WebRTC §6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webrtc.sctp.network import Link, Network, channel_pair, connected, start_both
from webrtc.sctp import (
    Association,
    BufferedAmountLow,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    ChannelOptions,
    ChannelState,
    Closed,
    DataChannel,
    DataChannels,
    Established,
    MessagesReady,
    MessageTooLongError,
    NoStreamError,
    Priority,
    SctpStateError,
    SendBufferFullError,
    Settings,
)
from webrtc.sctp.chunks import ChunkType
from webrtc.sctp.packet import decode_packet

# Opening


def opened_by_peer(network: Network, side: int) -> list[DataChannel]:
    events = network.events[side]
    return [e.channel for e in events if isinstance(e, ChannelOpened) and e.by_peer]


def pair_of(
    network: Network, first: DataChannels, **options: Any
) -> tuple[DataChannel, DataChannel]:
    channel = first.open(ChannelOptions(**options))
    side = network.ends.index(first)
    before = len(opened_by_peer(network, 1 - side))
    network.run(lambda: len(opened_by_peer(network, 1 - side)) > before)
    return channel, opened_by_peer(network, 1 - side)[-1]


def test_channels_made_before_the_role_is_known_get_ids_by_it() -> None:
    network, first, second = channel_pair()
    ours = [first.open(ChannelOptions(label=str(index))) for index in range(3)]
    theirs = [second.open(ChannelOptions(label=str(index))) for index in range(3)]
    assert [channel.id for channel in ours] == [None] * 3
    assert ours[0].state is ChannelState.CONNECTING
    with pytest.raises(SctpStateError):
        ours[0].send("early", network.now)
    start_both(network)
    network.run_for(1.0)
    assert [channel.id for channel in ours] == [0, 2, 4]
    assert [channel.id for channel in theirs] == [1, 3, 5]
    assert [channel.label for channel in opened_by_peer(network, 1)] == ["0", "1", "2"]
    assert network.events[0][0] == Established(65535, 65535)
    assert [e for e in network.events[0] if e == ChannelOpened(ours[0])] != []


def test_everything_said_of_a_channel_arrives() -> None:
    network, first, _ = connected()
    options = {
        "label": "café",
        "protocol": "chat.v1",
        "ordered": False,
        "max_lifetime": 1.5,
        "priority": Priority.HIGH,
    }
    _, theirs = pair_of(network, first, **options)
    assert theirs.options == ChannelOptions(id=0, **options)  # type: ignore[arg-type]
    assert theirs.state is ChannelState.OPEN


def test_messages_sent_at_once_wait_for_no_answer() -> None:
    network, first, _ = connected(0, Link(delay=0.1))
    began = network.now
    channel = first.open(ChannelOptions(ordered=False))
    channel.send("now", network.now)
    network.run(lambda: bool(opened_by_peer(network, 1)))
    (theirs,) = opened_by_peer(network, 1)
    assert theirs.take_message() == "now"
    assert network.now - began == pytest.approx(0.1)
    assert MessagesReady(theirs) in network.events[1]


def test_an_unordered_channel_is_ordered_until_it_is_acknowledged() -> None:
    network, first, _ = connected()
    channel = first.open(ChannelOptions(ordered=False))
    channel.send("a", network.now)
    assert first.association.queue._streams[0].messages[-1].flags == 0
    network.run_for(0.1)
    channel.send("b", network.now)
    assert first.association.queue._streams[0].messages[-1].flags == 4


def test_negotiated_channels_send_no_dcep() -> None:
    network, first, second = connected()
    ours = first.open(ChannelOptions(negotiated=True, id=9))
    theirs = second.open(ChannelOptions(negotiated=True, id=9))
    ours.send("hello", network.now)
    network.run(lambda: bool(theirs.inbox))
    assert theirs.take_message() == "hello"
    assert opened_by_peer(network, 1) == []


@pytest.mark.parametrize(
    "options",
    [
        {"max_retransmits": 1, "max_lifetime": 1.0},
        {"max_retransmits": -1},
        {"max_lifetime": 5_000_000.0},
        {"negotiated": True},
        {"id": 65535},
        {"priority": 70000},
        {"label": "x" * 65536},
        {"protocol": "ä" * 32768},
    ],
    ids=lambda options: str(options)[:30],
)
def test_options_that_contradict_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exclude|limit|needs|from"):
        ChannelOptions(**options)


def test_data_that_comes_with_the_opening_of_the_association_is_not_lost() -> None:
    network, first, second = channel_pair()
    ours = first.open(ChannelOptions(negotiated=True, id=0))
    theirs = second.open(ChannelOptions(negotiated=True, id=0))
    start_both(network)
    second.take_datagrams(network.now)
    for sender, receiver in ((first, second), (second, first), (first, second)):
        (packet,) = sender.take_datagrams(network.now)
        receiver.receive(packet, network.now)
    theirs.send("early", network.now)
    (packet,) = second.take_datagrams(network.now)
    chunks = [chunk.type for chunk in decode_packet(packet, zero_is_valid=True).chunks]
    assert chunks == [ChunkType.COOKIE_ACK, ChunkType.I_DATA]
    assert ours.state is ChannelState.CONNECTING
    first.receive(packet, network.now)
    assert ours.take_message() == "early"


def test_an_id_in_use_is_refused() -> None:
    _, first, _ = connected()
    first.open(ChannelOptions(id=4))
    with pytest.raises(NoStreamError):
        first.open(ChannelOptions(id=4))
    assert [first.open(ChannelOptions()).id for _ in range(3)] == [0, 2, 6]


def test_more_channels_than_allowed_are_refused_on_both_sides() -> None:
    network, first, second = connected()
    second._max_channels = 3
    for _ in range(5):
        first.open(ChannelOptions())
    network.run_for(3.0)
    assert len(second.channels) == 3
    assert second.unclaimed == 2
    assert [channel.id for channel in first.channels] == [0, 2, 4]
    with pytest.raises(NoStreamError):
        second.open(ChannelOptions())


def test_an_open_on_the_wrong_half_of_ids_makes_no_channel() -> None:
    network, first, second = connected()
    first.open(ChannelOptions(id=7))
    network.run_for(2.0)
    assert opened_by_peer(network, 1) == []
    assert second.unclaimed == 1


# Messages


@pytest.mark.parametrize("size", [0, 1, 65536, 262144, 1_000_000])
def test_messages_of_any_size_the_peer_takes_arrive(size: int) -> None:
    settings = Settings(max_message_size=1_000_000)
    network, first, second = channel_pair(0, None, settings)
    start_both(network, max_message_size=1_000_000)
    network.run(lambda: first._is_established and second._is_established)
    channel, theirs = pair_of(network, first)
    channel.send(bytes(size), network.now)
    network.run(lambda: bool(theirs.inbox))
    assert theirs.take_message() == bytes(size)
    assert theirs.take_message() is None


def test_a_message_longer_than_the_peer_takes_is_refused() -> None:
    network, first, _ = connected()
    channel, _ = pair_of(network, first)
    with pytest.raises(MessageTooLongError):
        channel.send(bytes(262145), network.now)
    with pytest.raises(MessageTooLongError):
        channel.send("ä" * 131073, network.now)
    assert channel.buffered_amount == 0


def test_a_peer_that_takes_any_size_is_sent_any_size() -> None:
    network, first, second = channel_pair(
        0, None, Settings(max_message_size=3 << 20, receive_buffer=4 << 20)
    )
    start_both(network, max_message_size=0)
    network.run(lambda: first._is_established and second._is_established)
    channel, theirs = pair_of(network, first)
    channel.send(bytes(3 << 20), network.now)
    network.run(lambda: bool(theirs.inbox))
    assert theirs.take_message() == bytes(3 << 20)


def test_the_send_buffer_is_bounded() -> None:
    network, first, _ = channel_pair(0, None, Settings(send_buffer=100_000))
    start_both(network)
    network.run(lambda: first._is_established)
    channel = first.open(ChannelOptions())
    for _ in range(9):
        channel.send(bytes(10_000), network.now)
    with pytest.raises(SendBufferFullError):
        channel.send(bytes(20_000), network.now)
    assert channel.buffered_amount < 100_000


def test_buffered_amount_falls_and_tells_at_its_threshold() -> None:
    network, first, _ = connected(0, Link(delay=0.05))
    channel, theirs = pair_of(network, first)
    network.run_for(0.5)
    network.events[0].clear()
    channel.buffered_amount_low_threshold = 40_000
    for _ in range(10):
        channel.send(bytes(10_000), network.now)
    assert channel.buffered_amount == 100_000
    network.flush()
    assert 80_000 < channel.buffered_amount < 100_000
    assert network.events[0] == []
    network.run(lambda: BufferedAmountLow(channel) in network.events[0])
    assert 20_000 < channel.buffered_amount <= 40_000
    network.run(lambda: len(theirs.inbox) == 10)
    assert network.events[0] == [BufferedAmountLow(channel)]


def test_unread_messages_stop_the_peer_and_reading_sets_it_going() -> None:
    settings = Settings(receive_buffer=64_000, max_message_size=64_000)
    network, first, second = connected(0, Link(delay=0.01), settings)
    channel, theirs = pair_of(network, first)
    for _ in range(100):
        channel.send(bytes(5000), network.now)
    network.run_for(5.0)
    assert 60_000 <= sum(size for _, size in theirs.inbox) < 70_000
    assert channel.buffered_amount > 300_000
    count = 0

    def read() -> bool:
        nonlocal count
        while theirs.take_message() is not None:
            count += 1
        return count == 100

    network.run(read)
    tcb = second.association._control.tcb
    assert tcb is not None
    assert tcb.inbound.held == 0


def test_messages_for_no_channel_take_no_room() -> None:
    network, first, second = connected()
    ours = first.open(ChannelOptions(negotiated=True, id=9))
    for _ in range(50):
        ours.send(bytes(10_000), network.now)
    network.run_for(2.0)
    assert second.unclaimed == 50
    tcb = second.association._control.tcb
    assert tcb is not None
    assert tcb.inbound.held == 0


# Closing


def test_closing_sends_what_is_queued_and_frees_the_stream() -> None:
    network, first, second = connected(0, Link(delay=0.02))
    channel, theirs = pair_of(network, first)
    channel.send(bytes(200_000), network.now)
    channel.close()
    assert channel.state is ChannelState.CLOSING
    with pytest.raises(SctpStateError):
        channel.send("more", network.now)
    network.run(lambda: channel.state is theirs.state is ChannelState.CLOSED)
    assert theirs.take_message() == bytes(200_000)
    assert network.events[0][-1] == ChannelClosed(channel)
    assert network.events[1][-2:] == [ChannelClosing(theirs), ChannelClosed(theirs)]
    assert first.channels == second.channels == ()
    again, theirs_again = pair_of(network, first, id=channel.id)
    again.send("again", network.now)
    network.run(lambda: bool(theirs_again.inbox))


def test_both_may_close_at_once() -> None:
    network, first, _ = connected(0, Link(delay=0.02, loss=0.2))
    channel, theirs = pair_of(network, first)
    channel.close()
    theirs.close()
    network.run(lambda: channel.state is theirs.state is ChannelState.CLOSED)
    for events, end in zip(network.events, (channel, theirs), strict=True):
        closed = [event for event in events if isinstance(event, ChannelClosed)]
        assert closed == [ChannelClosed(end)]


def test_a_channel_the_peer_closes_drops_what_was_queued() -> None:
    network, first, _ = connected(0, Link(delay=0.02))
    channel, theirs = pair_of(network, first)
    network.run_for(0.2)
    theirs.close()
    network.run_for(0.01)
    channel.send(bytes(250_000), network.now)
    channel.send(bytes(250_000), network.now)
    network.run(lambda: channel.state is theirs.state is ChannelState.CLOSED)
    assert first.association.buffered == 0


def test_a_channel_closed_before_it_was_connected_is_never_opened() -> None:
    network, first, second = channel_pair()
    channel = first.open(ChannelOptions())
    channel.close()
    channel.close()
    assert channel.state is ChannelState.CLOSED
    start_both(network)
    early = first.open(ChannelOptions())
    early.close()
    network.run_for(1.0)
    assert first.channels == second.channels == ()
    assert opened_by_peer(network, 1) == []


def test_the_end_of_the_association_closes_every_channel_with_the_reason() -> None:
    network, first, second = connected()
    channel, theirs = pair_of(network, first)
    unnumbered = DataChannels(Settings(), bytes)
    assert unnumbered.open(ChannelOptions()).id is None
    first.abort("over")
    network.settle()
    assert channel.state is theirs.state is ChannelState.CLOSED
    errors = [e.error for e in network.events[1] if isinstance(e, ChannelClosed)]
    assert errors == ["aborted by the peer: over"]
    assert any(isinstance(event, Closed) for event in network.events[0])
    with pytest.raises(SctpStateError):
        second.open(ChannelOptions())
    assert second.next_deadline() is None


def test_an_open_that_crosses_our_shutdown_makes_no_channel() -> None:
    network, first, second = connected(0, Link(delay=0.02))
    first.open(ChannelOptions())
    network.flush()
    second.shutdown(network.now)
    with pytest.raises(SctpStateError):
        second.open(ChannelOptions())
    network.run(lambda: first.association.is_over and second.association.is_over)
    assert opened_by_peer(network, 1) == []
    assert second.unclaimed == 1


def test_a_peer_that_begins_again_closes_every_channel_and_can_be_used() -> None:
    network, first, _ = connected()
    channel, _ = pair_of(network, first)
    again = DataChannels(Settings(), lambda size: bytes(range(size)))
    network.ends = (first, again)
    again.start(is_dtls_client=False, now=network.now)
    network.run(lambda: channel.state is ChannelState.CLOSED and again._is_established)
    errors = [e.error for e in network.events[0] if isinstance(e, ChannelClosed)]
    assert errors == ["the peer began again"]
    fresh, theirs = pair_of(network, first)
    fresh.send("x", network.now)
    network.run(lambda: bool(theirs.inbox))


def test_a_thousand_channels_opened_and_closed_leave_nothing() -> None:
    network, first, second = connected(0, Link(delay=0.001))
    for _ in range(10):
        channels = [first.open(ChannelOptions(label="x")) for _ in range(100)]
        network.run(lambda: len(second.channels) == 100)
        for channel in channels:
            channel.send("x", network.now)
            channel.close()
        network.run(lambda: not first.channels and not second.channels)
    for end in (first, second):
        tcb = end.association._control.tcb
        assert tcb is not None
        assert not end.association.queue._streams
        assert not tcb.inbound.reassembly._next
        assert not tcb.reconfiguration._wanted


def test_associations_alone_can_be_used_without_channels() -> None:
    association = Association(Settings(), lambda size: bytes(range(size)))
    assert association.max_streams is None
    assert association.round_trip_time is None
    assert association.congestion_window is None
    assert association.take_message() is None
    association.free(1, 0.0)
    association.shutdown(0.0)
    assert association.is_over
