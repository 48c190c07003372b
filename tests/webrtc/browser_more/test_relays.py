"""Calls with Firefox in which both ends use turnd's relays and nothing else."""

from __future__ import annotations

import pytest
import trio

from ice_client import IceServer, TlsOptions
from tests.browsers.browser import Browser
from tests.ice_client.browsers.test_browsers import SCHEMES
from tests.ice_client.turn.servers import CREDENTIALS, Running
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.veth import NEAR_NAME, Link
from tests.webrtc.browser.browser import answer, configuration
from tests.webrtc.browser_more.pages import firefox, open_page
from tests.webrtc.browser_more.test_media import check_firefox_media
from tests.webrtc.peer.media import pictures, tone
from webrtc import PeerConnection


@firefox
@pytest.mark.parametrize("transport", SCHEMES)
async def test_firefox_and_a_peer_meet_at_relays_over(
    browser: Browser, link: Link, turnd: Running, transport: str
) -> None:
    server = turnd.server
    port = server.secure_port if transport == "tls" else server.plain_port
    near = SCHEMES[transport].format(link.near, port)
    # Firefox takes no address in turns:.
    uri = SCHEMES[transport].format(NEAR_NAME if transport == "tls" else link.near, port)
    theirs = {"urls": uri, "username": USER, "credential": PASSWORD}
    ours = configuration(
        link.near,
        ice_servers=[IceServer(near, CREDENTIALS, TlsOptions(ca_file=turnd.certificates.ca))],
        ice_transport_policy="relay",
    )
    rtc = {"iceServers": [theirs], "iceTransportPolicy": "relay"}
    async with (
        open_page(browser, rtc) as page,
        PeerConnection(ours) as peer,
        trio.open_nursery() as nursery,
    ):
        channel = peer.create_data_channel("relayed")
        peer.add_track("video", pictures(1000), ["stream"])
        peer.add_track("audio", tone(440.0), ["stream"])
        await page.call("showWithMicrophone", 7000)
        await page.call("open", "theirs")
        await answer(peer, page, nursery)
        await check_firefox_media(peer, page)
        await channel.send("ü" * 100_000)
        assert await page.call("messages", "relayed", 1) == ["ü" * 100_000]
        reports = peer.get_stats()
        (used,) = [each for each in reports.values() if each["type"] == "transport"]
        pair = reports[used["selectedCandidatePairId"]]
        ends = [reports[pair[f"{side}CandidateId"]] for side in ("local", "remote")]
        assert [end["candidateType"] for end in ends] == ["relay", "relay"]
        found = await page.call("stats", "local-candidate")
        assert {each["relayProtocol"] for each in found} == {transport}
        nursery.cancel_scope.cancel()
