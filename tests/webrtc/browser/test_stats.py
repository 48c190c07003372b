"""Our statistics beside Chromium's: the same names, and of one call the same facts."""

from __future__ import annotations

from typing import Any

import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import TIMEOUT, offer
from tests.webrtc.browser.pages import chromium, open_pair
from tests.webrtc.browser.test_media import THEIR_FIRST, play
from tests.webrtc.peer.media import listen, watch
from tests.webrtc.peer.test_stats import until
from webrtc import MediaKind

Report = dict[str, Any]
ECN = {"packetsReceivedWithCe", "packetsReceivedWithEct1", "packetsSentWithEct1"}
OBSOLETE = {"mediaType", "ip", "isRemote", "networkType", "writable"}
"""Names that Chromium has kept, and W3C has not."""
ABSENT: dict[str, set[str]] = {
    # What our player does not do: it neither stretches sound nor knows a screen's clock; and what
    # codecs do not tell.
    "inbound-rtp": ECN
    | {"concealedSamples", "silentConcealedSamples", "estimatedPlayoutTimestamp"}
    | {"insertedSamplesForDeceleration", "removedSamplesForAcceleration", "playoutId"}
    | {"jitterBufferMinimumDelay", "jitterBufferTargetDelay", "totalProcessingDelay"}
    | {"fecPacketsDiscarded", "framesAssembledFromMultiplePackets", "totalAssemblyTime"}
    | {"pauseCount", "totalPausesDuration", "qpSum", "rtxSsrc", "totalCorruptionProbability"}
    | {"totalSquaredCorruptionProbability", "corruptionMeasurements"}
    | {"decoderImplementation", "powerEfficientDecoder"},
    # Nothing here makes pictures worse for want of processor time, or counts large frames.
    "outbound-rtp": ECN
    | {"totalPacketSendDelay", "hugeFramesSent", "qpSum", "totalEncodedBytesTarget"}
    | {"encoderImplementation", "powerEfficientEncoder", "scalabilityMode"}
    | {"qualityLimitationDurations", "qualityLimitationReason"}
    | {"qualityLimitationResolutionChanges"},
    # RTCP's extended reports (RFC 3611), which tell a receiver of the round trip.
    "remote-outbound-rtp": {"roundTripTimeMeasurements", "totalRoundTripTime", "roundTripTime"},
    "transport": {"selectedCandidatePairChanges"},
    "candidate-pair": {"bytesDiscardedOnSend", "packetsDiscardedOnSend"}
    | {"lastPacketReceivedTimestamp", "lastPacketSentTimestamp"},
    "codec": set(),
    "remote-inbound-rtp": set(),
    "media-source": set(),
    "peer-connection": set(),
    "data-channel": set(),
    # It may have had the time to find TCP candidates; we look for none here.
    "local-candidate": {"tcpType"},
    "remote-candidate": set(),
    "certificate": set(),
}


def one_of(reports: list[Report], **values: Any) -> Report:
    return next(each for each in reports if values.items() <= each.items())


@chromium
async def test_a_call_is_counted_by_the_names_and_to_the_facts_of_chromium(
    browser: Browser, link: Link
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        play(peer)
        await page.show(THEIR_FIRST)
        channel = peer.create_data_channel("counted")
        await offer(peer, page, nursery)
        with trio.fail_after(TIMEOUT):
            tracks = {track.kind: track for track in [await anext(peer.tracks()) for _ in range(2)]}
            await watch(tracks[MediaKind.VIDEO].receiver, 10)
            await listen(tracks[MediaKind.AUDIO].receiver)
            await channel.send("one")
            await page.call("messages", "counted", 1)
            await page.call("pictures", 5)
            for kind in ("remote-inbound-rtp", "remote-outbound-rtp"):
                for of in ("audio", "video"):
                    await until(peer, kind, of)
            theirs = {kind: await page.call("stats", kind) for kind in ABSENT}
        every = list(peer.get_stats().values())
    ours = {kind: [each for each in every if each["type"] == kind] for kind in ABSENT}
    for kind, absent in ABSENT.items():
        known = {name for each in ours[kind] for name in each}
        wanted = {name for each in theirs[kind] for name in each}
        assert wanted - known <= absent | OBSOLETE, kind
    # One call, seen from both ends.
    for of in ("audio", "video"):
        sent = one_of(ours["outbound-rtp"], kind=of)
        arrived = one_of(theirs["inbound-rtp"], kind=of, ssrc=sent["ssrc"])
        assert 0 < arrived["packetsReceived"] <= sent["packetsSent"]
        assert 0 < arrived["bytesReceived"] <= sent["bytesSent"]
        assert 0 < arrived["headerBytesReceived"] <= sent["headerBytesSent"]
        came = one_of(ours["inbound-rtp"], kind=of)
        left = one_of(theirs["outbound-rtp"], kind=of, ssrc=came["ssrc"])
        said = one_of(ours["remote-outbound-rtp"], kind=of)
        assert said["packetsSent"] > 0
        assert came["mid"] == left["mid"]
    sent = one_of(ours["outbound-rtp"], kind="video")
    arrived = one_of(theirs["inbound-rtp"], kind="video")
    for name in ("frameWidth", "frameHeight"):
        assert sent[name] == arrived[name]
    assert 0 < arrived["keyFramesDecoded"] <= sent["keyFramesEncoded"]
    (our_transport,), (their_transport,) = ours["transport"], theirs["transport"]
    for name in ("tlsVersion", "dtlsCipher", "srtpCipher", "dtlsState"):
        assert our_transport[name] == their_transport[name]
    assert {our_transport["dtlsRole"], their_transport["dtlsRole"]} == {"client", "server"}
    prints = [{each["fingerprint"] for each in end["certificate"]} for end in (ours, theirs)]
    assert prints[0] == prints[1]
    assert len(prints[0]) == 2
    (near,) = ours["data-channel"]
    far = one_of(theirs["data-channel"], label="counted")
    assert (near["messagesSent"], near["bytesSent"]) == (1, 3)
    assert (far["messagesReceived"], far["bytesReceived"]) == (1, 3)
