"""Changes in the middle of a call with Chromium: tracks that come and go, ICE restarts."""

from __future__ import annotations

import re

import trio

from tests.webrtc.browser.browser import TIMEOUT, configuration, open_browser
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import Description, MediaKind, PeerConnection


async def test_tracks_come_and_go_and_come_back_at_both_ends(veth_host: str) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        channel = peer.create_data_channel("through it all")
        nursery.start_soon(browser.negotiate, peer)
        with trio.fail_after(TIMEOUT):
            await peer.connected()
            # Ours, and gone again.
            ours = peer.add_track("video", pictures(1000), ["stream"])
            seen = await browser.call("pictures", 3)
            assert seen[0]["counter"] >= 1000
            ours.stop()
            # Until that is agreed on, the page would send its own over the same section.
            while peer.transceivers:
                await trio.sleep(0.02)
            # The page's, and its audio alone.
            await browser.call("show", 7000, 660)
            tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
            readings = await watch(tracks[MediaKind.VIDEO].receiver, 3)
            assert readings[0].counter >= 7000
            await browser.call("unshow", "video")
            heard = await listen(tracks[MediaKind.AUDIO].receiver)
            assert abs(heard.frequency - 660) < 10
            # Ours once more, beside it.
            peer.add_track("audio", tone(440), ["again"])
            assert abs(await browser.call("tone") - 440) < 10
            await channel.send("still here")
            assert await browser.call("messages", "through it all", 1) == ["still here"]
        nursery.cancel_scope.cancel()


def fragments(description: Description | None) -> set[str]:
    """The ICE generations that a description names."""
    assert description is not None
    return set(re.findall(r"a=ice-ufrag:(\S+)", description.sdp))


async def test_either_end_restarts_ice_and_the_call_goes_on(veth_host: str) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        channel = peer.create_data_channel("through it all")
        peer.add_track("video", pictures(1000), ["stream"])
        nursery.start_soon(browser.negotiate, peer)
        with trio.fail_after(TIMEOUT):
            await peer.connected()
            await browser.call("pictures", 3)
            for by_page in (False, True):
                before = fragments(peer.local_description) | fragments(peer.remote_description)
                if by_page:
                    await browser.call("restart")
                else:
                    peer.restart_ice()
                while before & (
                    fragments(peer.local_description) | fragments(peer.remote_description)
                ):
                    await trio.sleep(0.02)
                await channel.send("hello")
                await browser.call("pictures", 5)
            assert await browser.call("messages", "through it all", 2) == ["hello", "hello"]
            (transport,) = await browser.call("stats", "transport")
            assert transport["selectedCandidatePairChanges"] >= 3
        nursery.cancel_scope.cancel()
