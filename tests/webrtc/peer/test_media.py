"""Audio and video between two peer connections of ours."""

from __future__ import annotations

import pytest
import trio

from tests.webrtc.peer.media import listen, pictures, tone, watch
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from webrtc import Direction, MediaKind


async def test_a_known_picture_and_a_known_tone_arrive() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_transceiver("video", pictures(1000), stream_ids=["stream"])
        one.add_transceiver("audio", tone(440.0), stream_ids=["stream"])
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            tracks = [await anext(two.tracks()) for _ in range(2)]
            by_kind = {track.kind: track for track in tracks}
            assert [track.stream_ids for track in tracks] == [("stream",)] * 2
            assert by_kind[MediaKind.VIDEO].transceiver.current_direction is Direction.RECVONLY
            readings = await watch(by_kind[MediaKind.VIDEO].receiver, 10)
            heard = await listen(by_kind[MediaKind.AUDIO].receiver)
        counters = [reading.counter for reading in readings]
        assert counters == sorted(set(counters))
        assert counters[0] >= 1000
        assert all(reading.is_intact for reading in readings)
        assert heard.frequency == pytest.approx(440.0, abs=5)
        nursery.cancel_scope.cancel()
