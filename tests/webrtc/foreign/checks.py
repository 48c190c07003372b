"""What is looked at in a call with a foreign peer, and how both come together."""

from __future__ import annotations

import base64
import hashlib
import itertools
from typing import Any

import numpy as np
import pytest
import trio

from tests.webrtc.foreign.cases import (
    CHANNELS,
    KIB,
    OUR_FIRST,
    OUR_FREQUENCY,
    OUR_NEXT,
    Foreign,
    counters_of,
)
from tests.webrtc.foreign.lines import BLOCK_SIZE, block
from tests.webrtc.foreign.process import ForeignPeer
from tests.webrtc.peer.media import listen, pictures, tone, watch
from webrtc import DataChannel, Direction, MediaKind, PeerConnection, RtpReceiver, RtpTransceiver
from webrtc.media.frames import AudioFrame, VideoFrame
from webrtc.media.pattern import MAX_COLOUR_ERROR, read_pattern
from webrtc.media.tone import read_tone
from webrtc.sctp import MessageTooLongError

SIZES = (1, 16 * KIB, 256 * KIB)
WATCHED = 8
"""Pictures."""
HEARD = 30
"""Packets of sound of 20 ms; the last ten are looked at, when the codecs have settled."""


def play(peer: PeerConnection) -> RtpTransceiver:
    """Sound our tone and show our pictures; return what shows them."""
    peer.add_track("audio", tone(OUR_FREQUENCY), ["stream"])
    return peer.add_track("video", pictures(OUR_FIRST), ["stream"])


async def exchange(peer: PeerConnection, foreign: ForeignPeer, *, we_offer: bool) -> None:
    """Carry an offer and its answer over."""
    async with foreign.signalling:
        if we_offer:
            await foreign.take(await peer.set_local_description())
            await peer.set_remote_description(await foreign.describe())
        else:
            await peer.set_remote_description(await foreign.describe())
            await foreign.take(await peer.set_local_description())


async def connect(
    peer: PeerConnection, foreign: ForeignPeer, nursery: trio.Nursery, *, we_offer: bool
) -> None:
    """Carry descriptions over, and candidates for as long as the nursery is open."""
    await exchange(peer, foreign, we_offer=we_offer)
    nursery.start_soon(foreign.tell_candidates, peer)
    await peer.connected()
    await foreign.call("connected")


# Data channels


def noise(size: int) -> bytes:
    """Bytes that no mix-up leaves as they are."""
    return hashlib.shake_128(str(size).encode()).digest(size)


async def check_echo(channel: DataChannel, message: str | bytes) -> None:
    """Have a message sent back."""
    await channel.send(message)
    assert await channel.receive() == message


async def check_sizes(channel: DataChannel, foreign: Foreign) -> None:
    """Have messages of every size that the peer takes sent back; longer ones we refuse."""
    for size in SIZES:
        await check_echo(channel, noise(min(size, foreign.longest_read)))
    await check_echo(channel, "grüß dich")
    with pytest.raises(MessageTooLongError):
        await channel.send(bytes(foreign.longest_taken + 1))


def open_ours(peer: PeerConnection) -> list[DataChannel]:
    """Open a channel of every kind."""
    return [
        peer.create_data_channel(f"ours {number}", **options)
        for number, (options, _) in enumerate(CHANNELS)
    ]


PLAIN = {"ordered": True, "maxRetransmits": None, "maxPacketLifeTime": None, "protocol": ""}
DEFAULTS = {"ordered": True, "protocol": "", "max_retransmits": None, "max_lifetime": None}


async def check_channels(
    peer: PeerConnection, foreign: ForeignPeer, ours: list[DataChannel]
) -> None:
    """Look at channels of every kind that either end opened, and talk on them."""
    for channel, (_, shown) in zip(ours, CHANNELS, strict=True):
        await check_echo(channel, "there")
        assert await foreign.call("channel", channel.label) == PLAIN | shown
    for number, (options, shown) in enumerate(CHANNELS):
        await foreign.call("open", f"theirs {number}", shown)
        channel = await anext(peer.data_channels())
        assert channel.label == f"theirs {number}"
        for name, default in DEFAULTS.items():
            assert getattr(channel, name) == options.get(name, default), name
        await check_echo(channel, b"here")
        await channel.aclose()
        await foreign.call("closed", channel.label)


# Media


def read_their_picture(value: dict[str, Any]) -> tuple[int, float]:
    """Return the counter of a picture that a foreign peer saw, and how wrong its colours are."""
    width, height = value["width"], value["height"]
    data = np.frombuffer(base64.b64decode(value["i420"]), np.uint8)
    y, u, v = np.split(data, [width * height, width * height * 5 // 4])
    chroma = (height // 2, width // 2)
    frame = VideoFrame(y.reshape(height, width), u.reshape(chroma), v.reshape(chroma))
    reading = read_pattern(frame)
    assert reading is not None, "the peer sees something else than our pattern"
    return reading.counter, reading.colour_error


async def check_their_sight(foreign: ForeignPeer, first: int = OUR_FIRST) -> None:
    """Have the peer watch our pictures; one from before `first` may still be in a buffer there."""
    seen: list[tuple[int, float]] = []
    while len(seen) < WATCHED:
        values = await foreign.call("pictures", WATCHED)
        seen += [read for read in map(read_their_picture, values) if read[0] >= first]
    counters = [counter for counter, _ in seen]
    assert counters == sorted(set(counters))
    assert max(error for _, error in seen) < MAX_COLOUR_ERROR


async def check_their_hearing(foreign: ForeignPeer) -> None:
    """Have the peer listen to our tone."""
    frames = []
    for value in (await foreign.call("sound", HEARD))[-10:]:
        samples = np.frombuffer(base64.b64decode(value["samples"]), np.int16)
        frames.append(AudioFrame(samples.reshape(-1, value["channels"]), value["rate"]))
    assert read_tone(*frames).frequency == pytest.approx(OUR_FREQUENCY, abs=10)


async def check_sight(receiver: RtpReceiver, expected: range) -> None:
    """Watch the peer's pictures, which may begin again."""
    readings = await watch(receiver, WATCHED)
    counters = [reading.counter for reading in readings]
    assert set(counters) <= set(expected)
    assert len(set(counters)) == len(counters)
    assert sum(one > other for one, other in itertools.pairwise(counters)) <= 1
    assert all(reading.is_intact for reading in readings)


async def check_hearing(receiver: RtpReceiver, about: Foreign) -> None:
    """Listen to the peer's tone."""
    heard = await listen(receiver)
    assert heard.frequency == pytest.approx(about.frequency, abs=10)


async def check_media(peer: PeerConnection, foreign: ForeignPeer, about: Foreign) -> None:
    """Watch and listen at both ends."""
    tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
    await check_sight(tracks[MediaKind.VIDEO].receiver, counters_of(about))
    await check_hearing(tracks[MediaKind.AUDIO].receiver, about)
    if about.has_codecs:
        await check_their_sight(foreign)
        await check_their_hearing(foreign)


# Files


async def check_file_out(channel: DataChannel, foreign: ForeignPeer, size: int) -> None:
    """Send a file; the peer tells its hash."""
    await check_echo(channel, "counting from here")
    await foreign.call("count", channel.label)
    sent = hashlib.sha256()
    blocks = size // BLOCK_SIZE + 1
    for number in range(blocks):
        sent.update(block(number))
        await channel.send(block(number))
    sums = await foreign.call("counted", blocks * BLOCK_SIZE)
    assert sums == {"bytes": blocks * BLOCK_SIZE, "sha256": sent.hexdigest()}


async def check_file_in(channel: DataChannel, foreign: ForeignPeer, size: int) -> None:
    """Take a file in."""
    await check_echo(channel, "send it")
    blocks = size // BLOCK_SIZE + 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(foreign.call, "sendFile", channel.label, blocks)
        for number in range(blocks):
            assert await channel.receive() == block(number)


# Changes


def agreed(transceiver: RtpTransceiver, direction: Direction) -> bool:
    """Whether that was the outcome of the last exchange."""
    return transceiver.current_direction is direction


async def check_additions(peer: PeerConnection, foreign: ForeignPeer, about: Foreign) -> None:
    """Have tracks of both ends come by one offer of ours."""
    play(peer)
    await foreign.call("show")
    await exchange(peer, foreign, we_offer=True)
    await check_media(peer, foreign, about)


async def check_changes(peer: PeerConnection, foreign: ForeignPeer, about: Foreign) -> None:
    """Have tracks come, first ours, and go; one of ours comes back."""

    async def see(first: int) -> None:
        if about.has_codecs:
            await check_their_sight(foreign, first)
        else:
            await foreign.call("packets", "video", WATCHED)

    video = play(peer)
    await exchange(peer, foreign, we_offer=True)
    await see(OUR_FIRST)
    await foreign.call("show")
    await exchange(peer, foreign, we_offer=not about.offers_changes)
    assert agreed(video, Direction.SENDRECV)
    await check_media(peer, foreign, about)

    video.sender.replace_track(None)
    video.direction = Direction.RECVONLY
    await exchange(peer, foreign, we_offer=True)
    assert agreed(video, Direction.RECVONLY)
    await check_hearing(peer.transceivers[0].receiver, about)
    video.sender.replace_track(pictures(OUR_NEXT))
    video.direction = Direction.SENDRECV
    await exchange(peer, foreign, we_offer=True)
    assert agreed(video, Direction.SENDRECV)
    await see(OUR_NEXT)

    await foreign.call("unshow", "video")
    await exchange(peer, foreign, we_offer=not about.offers_changes)
    assert agreed(video, Direction.SENDONLY)
    video.sender.replace_track(None)
    video.direction = Direction.INACTIVE
    await exchange(peer, foreign, we_offer=True)
    assert agreed(video, Direction.INACTIVE)
    await check_hearing(peer.transceivers[0].receiver, about)


# Restarts


def fragments(peer: PeerConnection) -> list[str]:
    """Return the username fragments in force: ours, and the peer's."""
    found = []
    for description in (peer.local_description, peer.remote_description):
        assert description is not None
        lines = description.sdp.splitlines()
        found.append(next(line for line in lines if line.startswith("a=ice-ufrag:")))
    return found


def selected_pair(peer: PeerConnection) -> str | None:
    """Return the name of the pair in use."""
    (report,) = (each for each in peer.get_stats().values() if each["type"] == "transport")
    name: str | None = report.get("selectedCandidatePairId")
    return name


async def check_restart(peer: PeerConnection, foreign: ForeignPeer, *, we_restart: bool) -> None:
    """Restart ICE, and wait for a pair of the new generation to carry on."""
    before = fragments(peer)
    pair = selected_pair(peer)
    if we_restart:
        peer.restart_ice()
    else:
        await foreign.call("restart")
    await exchange(peer, foreign, we_offer=we_restart)
    assert all(old != new for old, new in zip(before, fragments(peer), strict=True))
    while selected_pair(peer) in (None, pair):
        await trio.sleep(0.01)


def check_relayed(peer: PeerConnection) -> None:
    """Look at the pair in use: a relay at both ends."""
    reports = peer.get_stats()
    pair = reports[selected_pair(peer) or ""]
    ends = [reports[pair[f"{side}CandidateId"]] for side in ("local", "remote")]
    assert [end["candidateType"] for end in ends] == ["relay", "relay"]
