"""Audio and video with headless Chromium, both ways: a known pattern and a known tone arrive."""

from __future__ import annotations

import pytest
import trio

from tests.webrtc.browser.browser import (
    TIMEOUT,
    Browser,
    Connect,
    answer,
    configuration,
    offer,
    open_browser,
)
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import MediaKind, PeerConnection

PICTURES = 20


async def check_media(peer: PeerConnection, browser: Browser) -> None:
    """Watch and listen at both ends."""
    with trio.fail_after(TIMEOUT):
        tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
        readings = await watch(tracks[MediaKind.VIDEO].receiver, PICTURES)
        heard = await listen(tracks[MediaKind.AUDIO].receiver)
    counters = [reading.counter for reading in readings]
    assert counters == sorted(counters)
    assert counters[0] >= 7000
    assert all(reading.is_intact for reading in readings)
    assert heard.frequency == pytest.approx(660.0, abs=10)
    seen = await browser.call("pictures", PICTURES)
    assert all(reading["counter"] >= 1000 for reading in seen)
    assert max(reading["error"] for reading in seen) < 30
    assert await browser.call("tone") == pytest.approx(440.0, abs=10)


@pytest.mark.parametrize("connect", [offer, answer])
async def test_chromium_and_a_peer_that_does_see_and_hear_each_other(
    connect: Connect, veth_host: str
) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        peer.add_track("video", pictures(1000), ["stream"])
        peer.add_track("audio", tone(440.0), ["stream"])
        await browser.call("show", 7000, 660)
        await connect(peer, browser, nursery)
        await check_media(peer, browser)
        nursery.cancel_scope.cancel()
