"""Our peer connection and peers that are no browsers call each other: `cases.py` has the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
import trio

from tests.interop.veth import veth_address
from tests.webrtc.browser.browser import TIMEOUT, Browser, answer, configuration, offer
from tests.webrtc.foreign.cases import CASES, KIB, LIMITS, Case, Feature, Limits
from tests.webrtc.foreign.process import open_foreign_peer
from tests.webrtc.foreign.requests import FIRST, FREQUENCY
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import DataChannel, MediaKind, PeerConnection
from webrtc.sctp import MessageTooLongError

SIZES = (1, 16 * KIB, 256 * KIB)
PICTURES = 10
SOUNDS = 20


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with veth_address() as address:
        yield address


def noise(size: int) -> bytes:
    """Bytes that no mix-up leaves as they are."""
    return hashlib.shake_128(str(size).encode()).digest(size)


async def check_channel(channel: DataChannel, foreign: Browser, limits: Limits) -> None:
    """Send messages of every size, and get them back."""
    for size in SIZES:
        message = noise(size)
        if size <= limits.taken:
            await channel.send(message)
            assert await channel.receive() == message
            continue
        longest = noise(limits.taken)
        await channel.send(longest)
        assert await channel.receive() == longest
        with pytest.raises(MessageTooLongError):
            await channel.send(message)
        if size <= limits.sent:
            await foreign.call("send", channel.label, size)
            assert await channel.receive() == bytes(size)
    await channel.send("grüß dich")
    assert await channel.receive() == "grüß dich"


async def check_data(
    peer: PeerConnection, foreign: Browser, ours: list[DataChannel], case: Case
) -> None:
    """Have messages echoed on channels that either side opened."""
    theirs = [await anext(peer.data_channels()) for _ in range(2)]
    by_label = {channel.label: channel for channel in theirs}
    assert by_label["theirs, ordered"].ordered
    assert by_label["theirs, ordered"].max_retransmits is None
    assert not by_label["theirs, unordered"].ordered
    assert by_label["theirs, unordered"].max_retransmits == 3
    for channel in (*ours, *theirs):
        await check_channel(channel, foreign, LIMITS[case.peer])


async def check_media(peer: PeerConnection, foreign: Browser) -> None:
    """Watch and listen to the peer; have it count what it gets."""
    tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
    readings = await watch(tracks[MediaKind.VIDEO].receiver, PICTURES)
    counters = [reading.counter for reading in readings]
    assert counters == sorted(counters)
    assert counters[0] >= FIRST
    assert all(reading.is_intact for reading in readings)
    heard = await listen(tracks[MediaKind.AUDIO].receiver)
    assert heard.frequency == pytest.approx(FREQUENCY, abs=10)
    counts = await foreign.call("counted", SOUNDS)
    assert counts["video"] >= SOUNDS
    assert counts["audio"] >= SOUNDS


async def check_still_there(channel: DataChannel) -> None:
    await channel.send("still there")
    assert await channel.receive() == "still there"


def play(peer: PeerConnection) -> None:
    peer.add_track("video", pictures(1000), ["stream"])
    peer.add_track("audio", tone(440.0), ["stream"])


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_foreign_peer_and_ours(case: Case, host: str) -> None:
    connect = offer if case.we_offer else answer
    async with (
        open_foreign_peer(case.peer, host) as foreign,
        PeerConnection(configuration(host)) as peer,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(TIMEOUT):
            ours = [
                peer.create_data_channel("ours, ordered"),
                peer.create_data_channel("ours, unordered", ordered=False, max_retransmits=3),
            ]
            await foreign.call("open", "theirs, ordered", {})
            await foreign.call("open", "theirs, unordered", {"ordered": False, "maxRetransmits": 3})
            if case.feature is Feature.MEDIA:
                play(peer)
                await foreign.call("show")
            await connect(peer, foreign, nursery)
            match case.feature:
                case Feature.DATA:
                    await check_data(peer, foreign, ours, case)
                case Feature.MEDIA:
                    await check_media(peer, foreign)
                case Feature.ADD_MEDIA:
                    await check_still_there(ours[0])
                    play(peer)
                    await foreign.call("show")
                    await connect(peer, foreign, nursery)
                    await check_media(peer, foreign)
                case Feature.WE_RESTART | Feature.PEER_RESTARTS:
                    await check_still_there(ours[0])
            await check_still_there(ours[0])
        nursery.cancel_scope.cancel()
