"""Simulcast: one track as several streams, told apart by RIDs, to a receiver that chooses."""

from __future__ import annotations

import attrs
import pytest
import trio

from tests.webrtc.peer.media import pictures
from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, connect, two_peers
from webrtc import Description, EncodingParameters, PeerConnection, RtpReceiver, SimulcastError
from webrtc.encoding import MIN_LAYER_BPS, Encoding, deal
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import read_pattern
from webrtc.sdp import MediaKind, Sources

LAYERS = (
    EncodingParameters(rid="full"),
    EncodingParameters(rid="half", scale_down_by=2, max_bit_rate=150_000),
    EncodingParameters(rid="off", scale_down_by=4, active=False),
)


async def until_width(receiver: RtpReceiver, width: int) -> VideoFrame:
    async for frame in receiver:
        assert isinstance(frame, VideoFrame)
        if frame.width == width:
            return frame
    raise AssertionError("the receiver has ended")


async def test_a_receiver_chooses_between_the_layers_that_are_sent() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        sending = one.add_transceiver(
            "video", pictures(width=640, height=480), direction="sendonly", encodings=LAYERS
        )
        await connect(one, two, nursery)
        assert one.local_description is not None
        assert two.local_description is not None
        assert "a=simulcast:send full;half;off" in one.local_description.sdp
        assert "a=simulcast:recv full;half;off" in two.local_description.sdp
        assert "a=ssrc:" not in one.local_description.sdp
        with trio.fail_after(TIMEOUT):
            track = await anext(two.tracks())
            for rid, width in (("half", 320), ("full", 640), ("half", 320)):
                track.receiver.select_layer(rid)
                frame = await until_width(track.receiver, width)
                reading = read_pattern(frame)
                assert reading is not None
                assert reading.is_intact
        layers = {
            report["rid"]: report
            for report in one.get_stats().values()
            if report["type"] == "outbound-rtp"
        }
        assert [(rid, layers[rid]["active"]) for rid in layers] == [
            ("full", True),
            ("half", True),
            ("off", False),
        ]
        assert [layers[rid].get("frameWidth") for rid in layers] == [640, 320, None]
        assert [layers[rid]["encodingIndex"] for rid in layers] == [0, 1, 2]
        assert layers["half"]["targetBitrate"] <= 150_000
        assert layers["off"]["packetsSent"] == 0
        assert len({report["ssrc"] for report in layers.values()}) == 3
        assert sending.sender.bit_rate is not None
        nursery.cancel_scope.cancel()


def without_simulcast(description: Description) -> Description:
    """Return what a browser answers, which receives no simulcast."""
    kept = [
        line
        for line in description.sdp.splitlines(keepends=True)
        if not line.startswith(("a=simulcast:", "a=rid:"))
    ]
    return attrs.evolve(description, sdp="".join(kept))


async def test_a_peer_without_simulcast_gets_the_first_encoding() -> None:
    async with two_peers(ON_LOOPBACK) as (one, two), trio.open_nursery() as nursery:
        one.add_transceiver(
            "video", pictures(width=640, height=480), direction="sendonly", encodings=LAYERS
        )
        offer = without_simulcast(await one.set_local_description())
        await two.set_remote_description(offer)
        await one.set_remote_description(await two.set_local_description())

        async def trickle(teller: PeerConnection, listener: PeerConnection) -> None:
            async for candidate in teller.local_candidates():
                await listener.add_ice_candidate(candidate)

        nursery.start_soon(trickle, one, two)
        nursery.start_soon(trickle, two, one)
        with trio.fail_after(TIMEOUT):
            track = await anext(two.tracks())
            await until_width(track.receiver, 640)
        assert len(track.receiver.statistics()) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("rids", [("a", "a"), ("a", None), (None, None)])
async def test_encodings_that_cannot_be_told_apart_are_refused(rids: tuple[str | None]) -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        with pytest.raises(SimulcastError):
            peer.add_transceiver("video", encodings=[EncodingParameters(rid=rid) for rid in rids])


def encodings(*scales: float) -> list[Encoding]:
    return [
        Encoding(
            MediaKind.VIDEO,
            EncodingParameters(rid=f"r{number}", scale_down_by=scale),
            Sources(ssrc=number),
        )
        for number, scale in enumerate(scales)
    ]


@pytest.mark.parametrize("total", [100_000, 200_000, 500_000, 3_000_000])
def test_the_bit_rate_is_dealt_out_and_the_largest_go_without_when_it_is_scarce(
    total: int,
) -> None:
    layers = encodings(4, 1, 2)
    shares = deal(total, layers)
    given = {each.parameters.scale_down_by: share for each, share in shares.items() if share}
    assert sum(given.values()) == pytest.approx(total, abs=3)
    assert 4 in given
    # Those that go without are the largest, and the smallest has enough or all there is.
    assert sorted(given) == sorted([1, 2, 4])[3 - len(given) :]
    assert given[4] >= min(MIN_LAYER_BPS, total)
    assert list(shares) == layers
    if total == 3_000_000:
        assert given[1] > given[2] > given[4] > 0
