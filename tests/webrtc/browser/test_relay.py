"""A call with Chromium in which both ends use turnd's relays and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from ice_client import IceServer, TlsOptions
from tests.interop.server_under_test import SECRET, running_server
from tests.interop.test_chromium import Way
from tests.webrtc.browser.browser import answer, configuration, open_browser
from tests.webrtc.browser.test_media import check_media
from tests.webrtc.peer.media import pictures, tone
from turnd.store.rest_credentials import mint
from webrtc import PeerConnection


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way("turn", "?transport=udp", "udp", "udp"), id="turn-udp"),
        pytest.param(Way("turn", "?transport=tcp", "tcp", "tcp"), id="turn-tcp"),
        pytest.param(Way("turns", "?transport=tcp", "tls", "tls"), id="turns-tcp"),
    ],
)
async def test_chromium_and_a_peer_meet_at_relays_over(
    way: Way, veth_host: str, tmp_path: Path
) -> None:
    async with running_server(tmp_path, {"peers": {"allow": []}}, hosts=[veth_host]) as server:
        port = server.secure_port if way.scheme == "turns" else server.plain_port
        user, password = mint(SECRET, "someone", 600, time.time())
        rtc = {
            "urls": [f"{way.scheme}:{veth_host}:{port}{way.query}"],
            "username": user,
            "credential": password,
        }
        ours = configuration(
            veth_host,
            ice_servers=[IceServer.from_json(rtc, TlsOptions(verify=False))],
            ice_transport_policy="relay",
        )
        async with (
            open_browser(
                veth_host, {"iceServers": [rtc], "iceTransportPolicy": "relay"}
            ) as browser,
            PeerConnection(ours) as peer,
            trio.open_nursery() as nursery,
        ):
            channel = peer.create_data_channel("relayed")
            peer.add_track("video", pictures(1000), ["stream"])
            peer.add_track("audio", tone(440.0), ["stream"])
            await browser.call("show", 7000, 660)
            await browser.call("open", "theirs")
            await answer(peer, browser, nursery)
            await check_media(peer, browser)
            big = "ü" * 100_000
            await channel.send(big)
            assert await browser.call("messages", "relayed", 1) == [big]
            reports = peer.get_stats()
            (used,) = [each for each in reports.values() if each["type"] == "transport"]
            pair = reports[used["selectedCandidatePairId"]]
            ends = [reports[pair[f"{side}CandidateId"]] for side in ("local", "remote")]
            assert [end["candidateType"] for end in ends] == ["relay", "relay"]
            nursery.cancel_scope.cancel()
        assert server.transports() == {way.transport}
