"""What Firefox tells before it knows that RTP and RTCP share a port (RFC 5761 §5.1.3)."""

from __future__ import annotations

import trio

from tests.webrtc.peer.peers import two_peers
from webrtc import IceCandidate

FOR_RTCP = "candidate:1 2 UDP 2122252542 127.0.0.1 40001 typ host"


async def test_trickled_candidates_for_rtcp_are_passed_over() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.create_data_channel("any")
        await two.set_remote_description(await one.set_local_description())
        await one.set_remote_description(await two.set_local_description())
        await two.add_ice_candidate(IceCandidate(candidate=FOR_RTCP, sdp_mid="0"))
        nursery.cancel_scope.cancel()
        assert not two.is_closed
