"""Media that goes on when something else was negotiated."""

from __future__ import annotations

import trio

from tests.webrtc.peer.media import pictures, watch
from tests.webrtc.peer.peers import TIMEOUT, connect, exchange, two_peers
from webrtc import Direction


async def test_a_generator_goes_on_to_be_sent_after_a_pause() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        sending = one.add_transceiver("video", pictures(1000), direction="sendonly")
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            (receiving,) = two.transceivers
            before = await watch(receiving.receiver, 2)
            sending.direction = Direction.INACTIVE
            await exchange(one, two)
            assert [each.current_direction for each in two.transceivers] == [Direction.INACTIVE]
            sending.direction = Direction.SENDONLY
            await exchange(one, two)
            after = await watch(receiving.receiver, 5)
        assert after[-1].counter > before[-1].counter
        nursery.cancel_scope.cancel()
