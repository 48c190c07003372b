"""Data channels between two peer connections of ours."""

from __future__ import annotations

import attrs
import trio

from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, connect, two_peers
from webrtc import ConnectionState
from webrtc.sctp import Settings


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
