"""Calls with Firefox that change while they go on: restarts of ICE from either end."""

from __future__ import annotations

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser_more.pages import TIMEOUT, firefox, open_pair
from tests.webrtc.peer.media import pictures
from webrtc import Description, PeerConnection


def fragments(description: Description | None) -> set[str]:
    assert description is not None
    return {line for line in description.sdp.splitlines() if line.startswith("a=ice-ufrag:")}


async def both_restarted(peer: PeerConnection, ours: set[str], theirs: set[str]) -> None:
    """Return once both descriptions have credentials that are not these."""
    async for _ in peer.signaling_states():
        is_new = not fragments(peer.local_description) & ours
        if is_new and not fragments(peer.remote_description) & theirs:
            return


@firefox
@pytest.mark.parametrize("page_restarts", [True, False], ids=["by the page", "by ours"])
async def test_a_call_goes_on_through_a_restart(
    browser: Browser, link: Link, page_restarts: bool
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        nursery.start_soon(page.negotiate, peer)
        with trio.fail_after(TIMEOUT):
            channel = peer.create_data_channel("through it all")
            peer.add_track("video", pictures(1000), ["stream"])
            await peer.connected()
            await page.call("pictures", 3)
            before = fragments(peer.local_description), fragments(peer.remote_description)
            if page_restarts:
                await page.call("restart")
            else:
                peer.restart_ice()
            await both_restarted(peer, *before)
            await channel.send("on new credentials")
            assert await page.call("messages", channel.label, 1) == ["on new credentials"]
            await page.call("pictures", 5)
