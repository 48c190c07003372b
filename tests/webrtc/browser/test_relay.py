"""Calls with browsers in which both ends use turnd's relays and nothing else."""

from __future__ import annotations

import pytest
import trio

from ice_client import IceServer, TlsOptions
from tests.browsers.browser import Browser
from tests.ice_client.browsers.test_browsers import SCHEMES
from tests.ice_client.turn.servers import CREDENTIALS, Running
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.veth import NEAR_NAME, Link
from tests.webrtc.browser.far_end import Connect, answer, configuration, offer
from tests.webrtc.browser.pages import every_browser, open_page
from tests.webrtc.browser.test_media import THEIR_FIRST, check_media, play
from webrtc import PeerConnection


@every_browser
@pytest.mark.parametrize(
    ("transport", "connect"), [("udp", answer), ("tcp", offer), ("tls", answer)]
)
async def test_a_browser_and_a_peer_meet_at_relays_over(
    browser: Browser, link: Link, turnd: Running, transport: str, connect: Connect
) -> None:
    server = turnd.server
    port = server.secure_port if transport == "tls" else server.plain_port
    near = SCHEMES[transport].format(link.near, port)
    # Firefox takes no address in turns:, and Chromium in a namespace no name for UDP.
    uri = SCHEMES[transport].format(NEAR_NAME if transport == "tls" else link.near, port)
    theirs = {"urls": uri, "username": USER, "credential": PASSWORD}
    ours = configuration(
        link.near,
        ice_servers=[IceServer(near, CREDENTIALS, TlsOptions(ca_file=turnd.certificates.ca))],
        ice_transport_policy="relay",
    )
    opened = len(server.events("allocation-opened"))
    async with (
        open_page(browser, {"iceServers": [theirs], "iceTransportPolicy": "relay"}) as page,
        PeerConnection(ours) as peer,
        trio.open_nursery() as nursery,
    ):
        channel = peer.create_data_channel("relayed")
        play(peer)
        await page.show(THEIR_FIRST)
        await page.call("open", "theirs")
        await connect(peer, page, nursery)
        await check_media(peer, page)
        big = "ü" * 100_000
        await channel.send(big)
        assert await page.call("messages", "relayed", 1) == [big]
        reports = peer.get_stats()
        (used,) = [each for each in reports.values() if each["type"] == "transport"]
        pair = reports[used["selectedCandidatePairId"]]
        ends = [reports[pair[f"{side}CandidateId"]] for side in ("local", "remote")]
        assert [end["candidateType"] for end in ends] == ["relay", "relay"]
        found = await page.call("stats", "local-candidate")
        assert {each["relayProtocol"] for each in found} == {transport}
        nursery.cancel_scope.cancel()
    allocations = server.events("allocation-opened")[opened:]
    assert {each["transport"] for each in allocations} == {transport}
    assert len(allocations) >= 2
