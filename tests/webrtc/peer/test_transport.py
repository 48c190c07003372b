"""The transport below a peer connection: ICE, DTLS and what they carry, without SDP."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.webrtc.peer.transports import TIMEOUT, End, two_ends
from webrtc.data_channel import HIGH_WATER, LOW_WATER, ChannelClosedError, DataChannel
from webrtc.dtls import DtlsState
from webrtc.sctp import ChannelOptions, ChannelState
from webrtc.transport import DtlsChanged


async def open_channels(one: End, other: End) -> tuple[DataChannel, DataChannel]:
    """Have `one` open a channel; return both ends of it."""
    ours, theirs = one.carry_channels(), other.carry_channels()
    with trio.fail_after(TIMEOUT):
        near = ours.open(ChannelOptions(label="near"))
        await near.opened()
        far = await anext(theirs.incoming())
    return near, far


async def test_two_transports_shake_hands_and_agree_on_srtp_keys() -> None:
    async with two_ends() as (one, other):
        for end in (one, other):
            await end.wait_for(DtlsChanged(DtlsState.CONNECTED))
        assert one.transport.srtp is not None
        assert other.transport.srtp is not None
        assert one.transport.srtp.profile is other.transport.srtp.profile


async def test_messages_go_both_ways_and_keep_their_kind() -> None:
    async with two_ends() as ends:
        near, far = await open_channels(*ends)
        assert far.label == "near"
        with trio.fail_after(TIMEOUT):
            for message in ("text", b"bytes", "", b"", "ü" * 1000, bytes(100_000)):
                await near.send(message)
                assert await far.receive() == message
                await far.send(message)
                assert await near.receive() == message


async def test_a_sender_waits_for_a_receiver_that_does_not_take() -> None:
    message = bytes(60_000)
    async with two_ends() as ends, trio.open_nursery() as nursery:
        near, far = await open_channels(*ends)
        count = 0

        async def send() -> None:
            nonlocal count
            for _ in range(100):
                await near.send(message)
                count += 1
            await near.drained()
            near.close()

        nursery.start_soon(send)
        with trio.fail_after(TIMEOUT):
            # The peer's window of 2 MiB fills, then what may be queued here.
            await trio.testing.wait_all_tasks_blocked(cushion=0.2)
            assert LOW_WATER < near.buffered_amount <= HIGH_WATER + len(message)
            assert count < 100
            received = [each async for each in far]
        assert received == [message] * 100


async def test_closing_is_seen_by_both_sides_once_everything_has_arrived() -> None:
    async with two_ends() as ends:
        near, far = await open_channels(*ends)
        with trio.fail_after(TIMEOUT):
            async with near:
                for number in range(100):
                    await near.send(str(number))
            assert near.state is ChannelState.CLOSED
            await far.closed()
            assert [each async for each in far] == [str(number) for number in range(100)]
            with pytest.raises(ChannelClosedError):
                await far.send("too late")


async def test_the_end_of_a_transport_ends_its_channels_on_both_sides() -> None:
    async with two_ends() as (one, other):
        near, far = await open_channels(one, other)
        one.transport.close()
        with trio.fail_after(TIMEOUT):
            assert [each async for each in far] == []
            await near.closed()
            await other.wait_for(DtlsChanged(DtlsState.CLOSED))
