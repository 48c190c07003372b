"""Data channels between two peer connections of ours."""

from __future__ import annotations

import trio

from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from webrtc import ConnectionState


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
