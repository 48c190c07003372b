"""What an authenticated peer may do to memory and to channels that are not its own."""

from __future__ import annotations

import struct

import pytest

from tests.webrtc.sctp.network import connected
from webrtc.sctp import ChannelOptions, ChannelState, NoStreamError, Ppid, Settings
from webrtc.sctp.chunks import Data, IData
from webrtc.sctp.inbound import Inbound
from webrtc.sctp.reassembly import ProtocolViolationError

SETTINGS = Settings(receive_buffer=100_000, max_message_size=100_000)
BEGIN, END, WHOLE = 2, 1, 3


def feed(inbound: Inbound, *chunks: Data | IData) -> None:
    for chunk in chunks:
        encoded = chunk.encode()
        take = inbound.on_data if isinstance(chunk, Data) else inbound.on_i_data
        size = struct.unpack_from("!H", encoded, 2)[0]
        take(encoded, 0, chunk.flags, size)


def test_chunks_that_fill_a_gap_do_not_fill_memory() -> None:
    inbound = Inbound(SETTINGS, 1, 10, interleaving=False)
    feed(inbound, Data(60_000, 0, 0, 53, BEGIN, b"x"))
    chunks = [Data(tsn, 0, tsn, 53, WHOLE, bytes(1000)) for tsn in range(2, 1000)]
    with pytest.raises(ProtocolViolationError):
        feed(inbound, *chunks)
    assert inbound.held < 2.1 * SETTINGS.receive_buffer


def test_what_fills_a_gap_is_dropped_while_the_application_has_not_read() -> None:
    inbound = Inbound(SETTINGS, 1, 10, interleaving=False)
    feed(inbound, Data(60_000, 0, 0, 53, WHOLE | 4, b"x"))
    for tsn in range(2, 1000):
        feed(inbound, Data(tsn, 0, 0, 53, WHOLE | 4, bytes(1000)))
    assert inbound.held < 2.1 * SETTINGS.receive_buffer
    assert inbound.dropped > 700


@pytest.mark.parametrize("interleaving", [False, True])
def test_many_messages_begun_and_not_ended_count_more_than_their_bytes(
    interleaving: bool,
) -> None:
    inbound = Inbound(SETTINGS, 1, 65535, interleaving=interleaving)
    chunks = [
        IData(tsn, tsn, tsn, 53, BEGIN, b"x") if interleaving else Data(tsn, 0, 0, 53, BEGIN, b"x")
        for tsn in range(1, 500)
    ]
    # Each costs half a kilobyte here, and there is room for 200.
    with pytest.raises(ProtocolViolationError):
        feed(inbound, *chunks)


@pytest.mark.parametrize("interleaving", [False, True])
def test_small_fragments_count_more_than_their_bytes_until_the_message_is_whole(
    interleaving: bool,
) -> None:
    inbound = Inbound(SETTINGS, 1, 10, interleaving=interleaving)
    last = 499
    for index in range(last + 1):
        flags = BEGIN * (index == 0) | END * (index == last)
        if index == last:
            assert inbound.held > 500 * 50
        if interleaving:
            feed(inbound, IData(index + 1, 0, 0, index or 53, flags, b"xx"))
        else:
            feed(inbound, Data(index + 1, 0, 0, 53, flags, b"xx"))
    assert inbound.take_message() == (0, 53, b"x" * 1000)
    inbound.free(1000, 0.0)
    assert inbound.held == 0


@pytest.mark.parametrize("interleaving", [False, True])
def test_what_the_peer_gives_up_gives_all_its_room_back(interleaving: bool) -> None:
    inbound = Inbound(SETTINGS, 1, 10, interleaving=interleaving)
    for tsn in (1, 2, 4, 5):  # 3 is lost
        if interleaving:
            feed(inbound, IData(tsn, 0, 0, tsn - 1 or 53, BEGIN * (tsn == 1), bytes(100)))
        else:
            feed(inbound, Data(tsn, 0, 0, 53, BEGIN * (tsn == 1), bytes(100)))
    assert inbound.held > 400
    inbound.on_forward_tsn(5, [(0, 0, 0)], 1.0)
    assert inbound.held == 0


def test_an_open_whose_label_is_no_utf_8_costs_nobody_anything() -> None:
    network, first, second = connected()
    ours = first.open(ChannelOptions(label="ours"))
    label = b"\xff" * 30_000  # replaced, three times as long: more than a label may have
    opening = struct.pack("!BBHIHH", 3, 0, 256, 0, len(label), 0) + label
    second.association.send(1, Ppid.DCEP, opening, now=network.now)
    network.run_for(2.0)
    assert first.unclaimed == 1
    assert [channel.label for channel in first.channels] == ["ours"]
    assert ours.state is ChannelState.OPEN


def test_what_is_forgotten_unread_gives_its_room_back() -> None:
    network, first, second = connected()
    channel = first.open(ChannelOptions())
    channel.send(bytes(200_000), network.now)
    network.run_for(2.0)
    (theirs,) = second.channels
    channel.close()
    network.run_for(2.0)
    tcb = second.association._control.tcb
    assert tcb is not None
    assert theirs.state is ChannelState.CLOSED
    assert tcb.inbound.held >= 200_000, "it can still be read"
    theirs.forget_messages()
    network.run_for(1.0)
    assert tcb.inbound.held == 0
    assert theirs.take_message() is None


def test_an_id_whose_stream_is_being_reset_is_not_given_to_a_channel() -> None:
    network, first, second = connected()
    network.drop = lambda _sender, _packet: True
    # The peer opens on an id of ours, which is refused by resetting the stream.
    opening = bytes.fromhex("03 00 0100 00000000 0000 0000".replace(" ", ""))
    first._on_dcep(0, None, opening)
    assert first.open(ChannelOptions()).id == 2
    with pytest.raises(NoStreamError, match="being reset"):
        first.open(ChannelOptions(id=0))
    assert len(first.channels) == 1
    assert second.channels == ()
