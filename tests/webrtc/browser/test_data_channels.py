"""Data channels with headless Chromium, which offers or answers."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.webrtc.browser.browser import Connect, answer, configuration, offer, open_browser
from webrtc import ChannelState, PeerConnection

BLOCK_SIZE = 65_536
BLOCKS = 50_000_000 // BLOCK_SIZE + 1
DEFAULTS = {"ordered": True, "protocol": "", "max_retransmits": None, "max_lifetime": None}


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


KINDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"ordered": False, "protocol": "lines"}, {"ordered": False, "protocol": "lines"}),
    ({"max_retransmits": 3}, {"maxRetransmits": 3}),
    ({"max_retransmits": 0, "ordered": False}, {"maxRetransmits": 0, "ordered": False}),
    ({"max_lifetime": 0.5}, {"maxPacketLifeTime": 500}),
    ({"negotiated": True, "id": 100}, {"id": 100}),
]
"""Our options, and where a channel looks otherwise than a plain one in the page."""
PLAIN = {"ordered": True, "maxRetransmits": None, "maxPacketLifeTime": None, "protocol": ""}


async def test_channels_of_every_kind_are_opened_from_both_ends(veth_host: str) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        ours = [
            peer.create_data_channel(str(number), **options)
            for number, (options, _) in enumerate(KINDS)
        ]
        await browser.call("open", "5", {"negotiated": True, "id": 100})
        await offer(peer, browser, nursery)
        for channel, (_, shown) in zip(ours, KINDS, strict=True):
            await channel.send("there")
            assert await browser.call("messages", channel.label, 1) == ["there"]
            found = await browser.call("channel", channel.label)
            assert found == PLAIN | {"id": channel.id} | shown
        for number, (options, shown) in enumerate(KINDS[:5]):
            label = f"theirs {number}"
            names = ("ordered", "protocol", "maxRetransmits", "maxPacketLifeTime")
            wanted = {name: shown[name] for name in names if name in shown}
            await browser.call("open", label, wanted)
            channel = await anext(peer.data_channels())
            assert channel.label == label
            for name in ("ordered", "protocol", "max_retransmits", "max_lifetime"):
                assert getattr(channel, name) == options.get(name, DEFAULTS[name]), name
            await browser.call("send", label, "here")
            assert await channel.receive() == "here"
        nursery.cancel_scope.cancel()


async def test_fifty_megabytes_go_each_way_whole_and_in_order(veth_host: str) -> None:
    async with (
        open_browser(veth_host) as browser,
        PeerConnection(configuration(veth_host)) as peer,
        trio.open_nursery() as nursery,
    ):
        channel = peer.create_data_channel("file")
        await offer(peer, browser, nursery)
        await browser.call("channel", "file")
        await browser.call("count", "file")
        for number in range(BLOCKS):
            await channel.send(bytes([number % 256]) * BLOCK_SIZE)
        sums = await browser.call("counted", BLOCKS * BLOCK_SIZE)
        assert sums == {"messages": BLOCKS, "bytes": BLOCKS * BLOCK_SIZE, "inOrder": True}

        async def send_back() -> None:
            await browser.call("sendMany", "file", BLOCKS, BLOCK_SIZE)

        nursery.start_soon(send_back)
        for number in range(BLOCKS):
            assert await channel.receive() == bytes([number % 256]) * BLOCK_SIZE
        nursery.cancel_scope.cancel()
