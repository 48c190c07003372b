"""Audio, video and a data channel with Firefox in both roles: a known pattern and tone arrive."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.browser import Connect, answer, offer
from tests.webrtc.browser_more.pages import TIMEOUT, PeerPage, firefox, open_pair
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import MediaKind, PeerConnection
from webrtc.media.frames import AudioFrame
from webrtc.media.tone import read_tone

PICTURES = 10
FIREFOX_TONE = 1000.0
"""Hz, of the microphone that `media.navigator.streams.fake` gives."""
RECORDED = 1.0
"""Seconds; its second half is looked at, when the codecs have settled."""


async def check_firefox_media(peer: PeerConnection, page: PeerPage) -> None:
    """Watch and listen at both ends: ours shows from 1000 and sounds 440 Hz, theirs from 7000."""
    with trio.fail_after(TIMEOUT):
        tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
        readings = await watch(tracks[MediaKind.VIDEO].receiver, PICTURES)
        heard = await listen(tracks[MediaKind.AUDIO].receiver)
    counters = [reading.counter for reading in readings]
    assert counters == sorted(counters)
    assert 7000 <= counters[0] < 8000
    assert all(reading.is_intact for reading in readings)
    assert heard.frequency == pytest.approx(FIREFOX_TONE, abs=10)
    seen = await page.call("pictures", PICTURES)
    assert all(1000 <= reading["counter"] < 2000 for reading in seen)
    assert max(reading["error"] for reading in seen) < 30
    samples = np.array(await page.call("record", RECORDED))
    wave = np.round(samples[len(samples) // 2 :] * 32_767).astype(np.int16)
    assert read_tone(AudioFrame(wave)).frequency == pytest.approx(440.0, abs=10)


@firefox
@pytest.mark.parametrize("connect", [offer, answer])
async def test_firefox_and_a_peer_that_does_see_hear_and_write_to_each_other(
    browser: Browser, link: Link, connect: Connect
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        peer.add_track("video", pictures(1000), ["stream"])
        peer.add_track("audio", tone(440.0), ["stream"])
        ours = peer.create_data_channel("ours")
        await page.call("showWithMicrophone", 7000)
        await page.call("open", "theirs")
        await connect(peer, page, nursery)
        await check_firefox_media(peer, page)
        theirs = await anext(peer.data_channels())
        for channel in (ours, theirs):
            await channel.send("there")
            assert await page.call("messages", channel.label, 1) == ["there"]
            await page.call("send", channel.label, "back")
            assert await channel.receive() == "back"
