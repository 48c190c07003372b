"""Data channels between two peer connections of ours."""

from __future__ import annotations

import attrs
import pytest
import trio

from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, connect, trickle, two_peers
from webrtc import ChannelClosedError, ChannelState, ConnectionState, Description, PeerConnection
from webrtc.dtls import DtlsSettings
from webrtc.sctp import Settings
from webrtc.sctp.chunks import ChunkType, PlainChunk


async def test_a_channel_made_before_the_offer_carries_messages_both_ways() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel("chat", protocol="lines")
        await connect(one, two, nursery)
        assert one.connection_state is two.connection_state is ConnectionState.CONNECTED
        with trio.fail_after(TIMEOUT):
            far = await anext(two.data_channels())
            assert (far.label, far.protocol, far.id) == ("chat", "lines", near.id)
            await near.send("hello")
            assert await far.receive() == "hello"
            await far.send(b"\x00\x01")
            assert await near.receive() == b"\x00\x01"
        nursery.cancel_scope.cancel()


async def test_each_side_is_reached_at_the_sctp_port_of_its_description() -> None:
    one_side, other = (
        attrs.evolve(ON_LOOPBACK, sctp=Settings(local_port=port)) for port in (5001, 7)
    )
    async with two_peers(one_side, other) as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel()
        await connect(one, two, nursery)
        assert one.local_description is not None
        assert two.local_description is not None
        assert "a=sctp-port:5001\r\n" in one.local_description.sdp
        assert "a=sctp-port:7\r\n" in two.local_description.sdp
        with trio.fail_after(TIMEOUT):
            await near.send("to port 7")
            far = await anext(two.data_channels())
            assert await far.receive() == "to port 7"
            await far.send("to port 5001")
            assert await near.receive() == "to port 5001"
        nursery.cancel_scope.cancel()


async def test_what_a_dropped_channel_had_not_read_does_not_hold_up_the_others() -> None:
    small = attrs.evolve(
        ON_LOOPBACK, sctp=Settings(receive_buffer=100_000, max_message_size=50_000)
    )
    async with two_peers(small) as (one, two), trio.open_nursery() as nursery:
        first = one.create_data_channel("never read")
        second = one.create_data_channel("read")
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            for _ in range(2):
                await first.send(bytes(45_000))
            far = [await anext(two.data_channels()) for _ in range(2)]
            (read,) = [channel for channel in far if channel.label == "read"]
            del far
            await first.aclose()
            for _ in range(10):
                nursery.start_soon(second.send, bytes(45_000))
            for _ in range(10):
                assert await read.receive() == bytes(45_000)
        nursery.cancel_scope.cancel()


async def test_channels_keep_to_the_mtu_that_dtls_is_told() -> None:
    narrow = attrs.evolve(ON_LOOPBACK, dtls=DtlsSettings(mtu=700))
    async with two_peers(narrow) as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel()
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            await near.send(bytes(20_000))
            far = await anext(two.data_channels())
            assert await far.receive() == bytes(20_000)
        nursery.cancel_scope.cancel()


async def test_a_packet_of_sctp_that_dtls_cannot_carry_costs_that_packet_alone() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel()
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            await near.send("before")
            far = await anext(two.data_channels())
            assert await far.receive() == "before"
            # The answer is as long as the question, and this end's path may be the narrower one.
            control = two._channels.core.association._control
            control.put(PlainChunk(ChunkType.HEARTBEAT_ACK, bytes(3000)).encode())
            await far.send("after")
            assert await near.receive() == "after"
        nursery.cancel_scope.cancel()


async def test_each_state_of_a_channel_is_told_once() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        never = one.create_data_channel()
        told = never.states()
        never.close()
        never.close()
        assert [state async for state in told] == [ChannelState.CLOSED]
        near = one.create_data_channel()
        told = near.states()
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            far = await anext(two.data_channels())
            far_told = far.states()
            await near.aclose()
            await near.aclose()
            await far.closed()
            far.close()
        ending = [ChannelState.CLOSING, ChannelState.CLOSED]
        assert [state async for state in told] == [ChannelState.OPEN, *ending]
        assert [state async for state in far_told] == ending
        nursery.cancel_scope.cancel()


def refusing_data(answer: Description) -> Description:
    return attrs.evolve(answer, sdp=answer.sdp.replace("m=application 9 ", "m=application 0 "))


async def test_channels_that_the_peer_refuses_are_closed_and_can_be_asked_for_again() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        refused = one.create_data_channel("chat")
        await two.set_remote_description(await one.set_local_description())
        await one.set_remote_description(refusing_data(await two.set_local_description()))
        with trio.fail_after(TIMEOUT), pytest.raises(ChannelClosedError, match="takes no data"):
            await refused.send("hello")
        assert not one._jsep.is_negotiation_needed, "or it would be offered for ever"
        again = one.create_data_channel("again")
        assert one._jsep.is_negotiation_needed
        async with PeerConnection(ON_LOOPBACK) as willing:
            await willing.set_remote_description(await one.set_local_description())
            nursery.start_soon(trickle, one, willing)
            await one.set_remote_description(await willing.set_local_description())
            nursery.start_soon(trickle, willing, one)
            with trio.fail_after(TIMEOUT):
                await again.send("hello")
                assert await (await anext(willing.data_channels())).receive() == "hello"
        nursery.cancel_scope.cancel()


async def test_channels_that_the_peer_takes_away_are_closed_at_both_ends() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_transceiver("audio")
        near = one.create_data_channel("chat")
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            await near.send("hello")
            far = await anext(two.data_channels())
            await two.set_remote_description(await one.set_local_description())
            await one.set_remote_description(refusing_data(await two.set_local_description()))
            await near.closed()
            await far.closed()
            with pytest.raises(ChannelClosedError):
                await near.send("again")
            assert one.connection_state is ConnectionState.CONNECTED
            again = one.create_data_channel("again")
            assert one._jsep.is_negotiation_needed
            assert again.state.value == "connecting"
        nursery.cancel_scope.cancel()
