"""Data channels with headless Chromium, which offers or answers."""

from __future__ import annotations

import pytest
import trio

from tests.webrtc.browser.browser import Connect, answer, configuration, offer, open_browser
from webrtc import ChannelState, PeerConnection


@pytest.mark.parametrize("connect", [offer, answer])
async def test_chromium_exchanges_messages_with_a_peer_that_does(
    connect: Connect, veth_host: str
) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        ours = peer.create_data_channel("ours")
        await browser.call("open", "theirs")
        await connect(peer, browser, nursery)
        theirs = await anext(peer.data_channels())
        assert theirs.label == "theirs"
        big = "ü" * 100_000
        for channel in (ours, theirs):
            for message in ("text", b"\x00\x01\xff", big):
                await channel.send(message)
            assert await browser.call("messages", channel.label, 3) == ["text", [0, 1, 255], big]
            await browser.call("send", channel.label, "from the page")
            await browser.call("send", channel.label, [1, 2, 3])
            assert await channel.receive() == "from the page"
            assert await channel.receive() == b"\x01\x02\x03"
        await ours.aclose()
        assert ours.state is ChannelState.CLOSED
        await browser.call("closed", "ours")
        nursery.cancel_scope.cancel()
