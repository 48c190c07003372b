"""What a peer connection counts, by W3C's names."""

from __future__ import annotations

import json
from typing import Any

import trio

from tests.webrtc.peer.media import pictures, watch
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers


def only(reports: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [report for report in reports.values() if report["type"] == kind]
    return found


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
        assert {
            transport["dtlsRole"]
            for transport in (only(ours, "transport"), only(theirs, "transport"))
        } == {"client", "server"}
        nursery.cancel_scope.cancel()
