"""Audio and video with headless browsers, both ways: a known pattern and a known tone arrive."""

from __future__ import annotations

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import POLL, TIMEOUT, Connect, answer, offer
from tests.webrtc.browser.pages import PeerPage, every_browser, open_pair
from tests.webrtc.peer.media import listen, pictures, tone, watch
from tests.webrtc.robust.running_call import transport_of
from webrtc import MediaKind, PeerConnection
from webrtc.encoding import useful_bps

PICTURES = 10
OUR_FIRST = 1000
THEIR_FIRST = 7000
OUR_FREQUENCY = 440.0


def play(peer: PeerConnection) -> None:
    """Show our pictures and sound our tone."""
    peer.add_track("video", pictures(OUR_FIRST), ["stream"])
    peer.add_track("audio", tone(OUR_FREQUENCY), ["stream"])


async def check_media(peer: PeerConnection, page: PeerPage) -> None:
    """Watch and listen at both ends."""
    with trio.fail_after(TIMEOUT):
        tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
        readings = await watch(tracks[MediaKind.VIDEO].receiver, PICTURES)
        heard = await listen(tracks[MediaKind.AUDIO].receiver)
    counters = [reading.counter for reading in readings]
    assert counters == sorted(counters)
    assert THEIR_FIRST <= counters[0] < THEIR_FIRST + 1000
    assert all(reading.is_intact for reading in readings)
    assert heard.frequency == pytest.approx(page.frequency, abs=10)
    seen = await page.call("pictures", PICTURES)
    assert all(OUR_FIRST <= reading["counter"] < OUR_FIRST + 1000 for reading in seen)
    assert max(reading["error"] for reading in seen) < 30
    assert (await page.listen()).frequency == pytest.approx(OUR_FREQUENCY, abs=10)
    # All that it says of what arrives is understood.
    assert transport_of(peer).rtp.malformed == 0


@every_browser
@pytest.mark.parametrize("connect", [offer, answer])
async def test_a_browser_and_a_peer_that_does_see_and_hear_each_other(
    browser: Browser, link: Link, connect: Connect
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        play(peer)
        await page.show(THEIR_FIRST)
        await connect(peer, page, nursery)
        await check_media(peer, page)
        # And its feedback gives the encoder all it has a use for.
        (sender,) = (each.sender for each in peer.transceivers if each.kind is MediaKind.VIDEO)
        with trio.fail_after(TIMEOUT):
            while sender.bit_rate != useful_bps(320, 240):
                await trio.sleep(POLL)
