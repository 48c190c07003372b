"""What a peer connection counts, by W3C's names."""

from __future__ import annotations

import json
from typing import Any

import trio

from tests.webrtc.peer.media import listen, pictures, tone, watch
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from webrtc import PeerConnection, TrackEvent
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import draw_pattern
from webrtc.meters import PlaybackMeter
from webrtc.stats import cipher_name


def only(reports: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [report for report in reports.values() if report["type"] == kind]
    return found


async def until(peer: PeerConnection, kind: str, of: str | None = None) -> dict[str, Any]:
    """Wait for the first report of a type, about audio or video."""
    while True:
        found = [
            each
            for each in peer.get_stats().values()
            if each["type"] == kind and of in (None, each["kind"])
        ]
        if found:
            return found[0]
        await trio.sleep(0.05)


async def test_reports_refer_to_each_other_and_say_what_happened() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        channel = one.create_data_channel("counted")
        one.add_transceiver("video", pictures())
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            for _ in range(3):
                await channel.send("ü")
            far = await anext(two.data_channels())
            for _ in range(3):
                await far.receive()
            await watch((await anext(two.tracks())).receiver, 5)
            await until(one, "remote-inbound-rtp")
            await until(two, "remote-outbound-rtp")
        ours, theirs = one.get_stats(), two.get_stats()
        json.dumps([ours, theirs])
        for reports in (ours, theirs):
            assert all(report["id"] == name for name, report in reports.items())
            transport = only(reports, "transport")
            assert transport["dtlsState"] == "connected"
            pair = reports[transport["selectedCandidatePairId"]]
            assert pair["state"] == "succeeded"
            assert reports[pair["localCandidateId"]]["candidateType"] == "host"
            assert pair["bytesSent"] > 0
            assert pair["bytesReceived"] > 0
        sent, received = only(ours, "data-channel"), only(theirs, "data-channel")
        assert (sent["messagesSent"], sent["bytesSent"]) == (3, 6)
        assert (received["messagesReceived"], received["bytesReceived"]) == (3, 6)
        outbound, inbound = only(ours, "outbound-rtp"), only(theirs, "inbound-rtp")
        assert outbound["ssrc"] == inbound["ssrc"]
        assert outbound["framesSent"] >= inbound["framesReceived"] >= 5
        assert inbound["framesDecoded"] >= 5
        assert inbound["packetsLost"] == 0
        assert only(ours, "remote-inbound-rtp")["localId"] == outbound["id"]
        assert only(theirs, "remote-outbound-rtp")["localId"] == inbound["id"]
        for reports in (ours, theirs):
            for report in reports.values():
                for name, value in report.items():
                    if name.endswith("Id") and name not in ("mid", "transactionId"):
                        assert value in reports, (report["type"], name)
        assert {
            transport["dtlsRole"]
            for transport in (only(ours, "transport"), only(theirs, "transport"))
        } == {"client", "server"}
        nursery.cancel_scope.cancel()


async def test_media_is_measured_at_its_source_on_its_way_and_where_it_is_played() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_track("video", pictures(), ["stream"])
        one.add_track("audio", tone(440), ["stream"])
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            tracks: dict[str, TrackEvent] = {}
            while len(tracks) < 2:
                track = await anext(two.tracks())
                tracks[track.kind.value] = track
            await watch(tracks["video"].receiver, 25)
            await listen(tracks["audio"].receiver)
            for kind in ("audio", "video"):
                await until(two, "remote-outbound-rtp", kind)
        ours, theirs = one.get_stats(), two.get_stats()

        def report(reports: dict[str, Any], kind: str, of: str) -> dict[str, Any]:
            return next(
                each for each in reports.values() if each["type"] == kind and each["kind"] == of
            )

        source, sent = report(ours, "media-source", "video"), report(ours, "outbound-rtp", "video")
        assert (source["width"], source["height"]) == (320, 240)
        assert (sent["frameWidth"], sent["frameHeight"]) == (320, 240)
        assert source["frames"] >= sent["framesEncoded"] >= 25
        assert 25 <= sent["framesSent"] <= sent["framesEncoded"]
        assert 1 <= sent["keyFramesEncoded"] < sent["framesEncoded"]
        assert 0 < sent["totalEncodeTime"] < 25
        assert sent["headerBytesSent"] >= 12 * sent["packetsSent"]
        assert sent["pliCount"] >= 0 == sent["firCount"]
        seen = report(theirs, "inbound-rtp", "video")
        assert (seen["frameWidth"], seen["frameHeight"]) == (320, 240)
        assert seen["framesDecoded"] == seen["jitterBufferEmittedCount"] >= 25
        assert seen["totalInterFrameDelay"] > 0
        assert seen["jitterBufferDelay"] >= 0
        assert seen["totalDecodeTime"] > 0
        assert seen["headerBytesReceived"] >= 12 * seen["packetsReceived"]
        assert abs(seen["timestamp"] - seen["lastPacketReceivedTimestamp"]) < 10_000
        assert theirs[seen["codecId"]]["mimeType"] == "video/VP8"
        heard, spoken = (
            report(theirs, "inbound-rtp", "audio"),
            report(ours, "media-source", "audio"),
        )
        assert heard["totalSamplesReceived"] == round(48_000 * heard["totalSamplesDuration"])
        for end in (heard, spoken):
            assert 0.1 < end["audioLevel"] < 1
            assert 0 < end["totalAudioEnergy"] < end["totalSamplesDuration"]
        remote = report(theirs, "remote-outbound-rtp", "audio")
        assert 0 < remote["packetsSent"] <= report(ours, "outbound-rtp", "audio")["packetsSent"]
        assert abs(remote["remoteTimestamp"] - remote["timestamp"]) < 60_000
        nursery.cancel_scope.cancel()


def shown(*times: float) -> PlaybackMeter:
    meter = PlaybackMeter()
    picture: VideoFrame = draw_pattern(1, 320, 240, 0)
    for at in times:
        meter.show(picture, at - 0.02, at)
    return meter


async def test_a_picture_that_comes_far_too_late_ends_a_freeze() -> None:
    regular = [number / 20 for number in range(20)]
    assert shown(*regular).freezes == 0
    # Thrice the usual 50 ms is 150 ms; but 150 ms more than usual is what counts, if that is more.
    assert shown(*regular, regular[-1] + 0.19).freezes == 0
    late = shown(*regular, regular[-1] + 0.21)
    assert late.freezes == 1
    assert abs(late.frozen - 0.21) < 1e-9
    assert abs(late.intervals - (0.95 + 0.21)) < 1e-9
    assert abs(late.waited - 21 * 0.02) < 1e-9


def test_cipher_suites_have_the_names_of_iana() -> None:
    assert cipher_name("ECDHE-ECDSA-AES128-GCM-SHA256") == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    assert (
        cipher_name("ECDHE-RSA-CHACHA20-POLY1305") == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    )
