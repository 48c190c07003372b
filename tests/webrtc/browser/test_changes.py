"""Changes in the middle of a call with a browser: tracks that come and go, ICE restarts."""

from __future__ import annotations

import re

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import POLL, TIMEOUT
from tests.webrtc.browser.pages import PeerPage, every_browser, open_pair
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import (
    DataChannel,
    Description,
    Direction,
    MediaKind,
    PeerConnection,
    RtpReceiver,
    RtpTransceiver,
)

WATCHED = 3
"""Pictures."""
every_role = pytest.mark.parametrize("page_offers", [False, True], ids=["we offer", "it offers"])


LABEL = "through it all"


async def open_call(
    page: PeerPage, peer: PeerConnection, nursery: trio.Nursery, *, page_offers: bool
) -> DataChannel:
    """Connect by the first offer of the end that is told, and have both go on to negotiate."""
    await nursery.start(page.negotiate, peer)
    if page_offers:
        await page.call("open", LABEL)
        channel = await anext(peer.data_channels())
    else:
        channel = peer.create_data_channel(LABEL)
    await peer.connected()
    return channel


async def check_channel(page: PeerPage, channel: DataChannel, message: str) -> None:
    """Have a message, the first of all, arrive at either end."""
    await channel.send(message)
    assert await page.call("messages", LABEL, 1) == [message]
    await page.call("send", LABEL, message)
    assert await channel.receive() == message


async def agreed(video: RtpTransceiver, direction: Direction) -> None:
    """Return once that is what both ends do."""
    while video.current_direction is not direction:
        await trio.sleep(POLL)


def selected_pair(peer: PeerConnection) -> str | None:
    """Return the name of the pair in use."""
    (report,) = (each for each in peer.get_stats().values() if each["type"] == "transport")
    name: str | None = report.get("selectedCandidatePairId")
    return name


async def check_their_sight(page: PeerPage, first: int) -> None:
    """Have the page watch ours, which counts from `first`."""
    seen = await page.call("pictures", WATCHED, first)
    assert all(reading["counter"] < first + 1000 for reading in seen)
    assert max(reading["error"] for reading in seen) < 30


async def check_sight(receiver: RtpReceiver, first: int) -> None:
    """Watch theirs, which counts from `first`."""
    readings = await watch(receiver, WATCHED)
    assert all(first <= reading.counter < first + 1000 for reading in readings)
    assert all(reading.is_intact for reading in readings)


@every_browser
@every_role
async def test_tracks_come_and_go_and_come_back_at_both_ends(
    browser: Browser, link: Link, page_offers: bool
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        with trio.fail_after(TIMEOUT):
            channel = await open_call(page, peer, nursery, page_offers=page_offers)
            # Ours, and the page's in the same section.
            video = peer.add_track("video", pictures(1000), ["stream"])
            await check_their_sight(page, 1000)
            await page.show(7000)
            tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
            assert tracks[MediaKind.VIDEO].transceiver is video
            sound = tracks[MediaKind.AUDIO]
            await check_sight(video.receiver, 7000)
            await agreed(video, Direction.SENDRECV)
            # The page's is gone, then ours. The rest goes on.
            await page.call("unshow", "video")
            await agreed(video, Direction.SENDONLY)
            await check_their_sight(page, 1000)
            video.sender.replace_track(None)
            video.direction = Direction.INACTIVE
            await agreed(video, Direction.INACTIVE)
            assert await page.call("directions", "video") == ["inactive"]
            heard = await listen(sound.receiver)
            assert heard.frequency == pytest.approx(page.frequency, abs=10)
            # Ours is back, and there is sound of ours beside the page's.
            video.sender.replace_track(pictures(3000))
            video.direction = Direction.SENDRECV
            peer.add_track("audio", tone(440.0), ["again"])
            await check_their_sight(page, 3000)
            assert (await page.listen()).frequency == pytest.approx(440.0, abs=10)
            # The page's is back: in a section of its own, as JSEP has it (RFC 8829 §4.1.2).
            await page.call("showPictures", 9000)
            theirs = await anext(peer.tracks())
            assert theirs.transceiver is not video
            await check_sight(theirs.receiver, 9000)
            # And whole sections are gone for good: ours, and the page's.
            video.stop()
            while video in peer.transceivers:
                await trio.sleep(POLL)
            await page.call("stop", "video")
            async for _ in theirs.receiver:
                pass
            assert theirs.transceiver not in peer.transceivers
            heard = await listen(sound.receiver)
            assert heard.frequency == pytest.approx(page.frequency, abs=10)
            await check_channel(page, channel, "still here")


def fragments(description: Description | None) -> set[str]:
    """The ICE generations that a description names."""
    assert description is not None
    return set(re.findall(r"a=ice-ufrag:(\S+)", description.sdp))


@every_browser
@every_role
async def test_either_end_restarts_ice_and_the_call_goes_on(
    browser: Browser, link: Link, page_offers: bool
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        with trio.fail_after(TIMEOUT):
            channel = await open_call(page, peer, nursery, page_offers=page_offers)
            peer.add_track("video", pictures(1000), ["stream"])
            await check_their_sight(page, 1000)
            for number, by_page in enumerate((False, True)):
                before = [fragments(peer.local_description), fragments(peer.remote_description)]
                pair = selected_pair(peer)
                if by_page:
                    await page.call("restart")
                else:
                    peer.restart_ice()
                while (
                    before[0] & fragments(peer.local_description)
                    or before[1] & fragments(peer.remote_description)
                    or selected_pair(peer) in (None, pair)
                ):
                    await trio.sleep(POLL)
                await channel.send("hello")
                messages = await page.call("messages", LABEL, number + 1)
                assert messages == ["hello"] * (number + 1)
                (last,) = await page.call("pictures", 1)
                await check_their_sight(page, last["counter"] + 1)
