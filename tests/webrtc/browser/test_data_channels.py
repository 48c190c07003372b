"""Data channels with headless browsers, which offer or answer."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import TIMEOUT, Connect, answer, offer
from tests.webrtc.browser.pages import every_browser, open_pair
from webrtc import ChannelState

BLOCK_SIZE = 65_536
FILE_SIZE = 50_000_000
DEFAULTS = {"ordered": True, "protocol": "", "max_retransmits": None, "max_lifetime": None}
every_role = pytest.mark.parametrize("connect", [offer, answer])


@every_browser
@every_role
async def test_a_browser_exchanges_messages_with_a_peer_that_does(
    browser: Browser, link: Link, connect: Connect
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        ours = peer.create_data_channel("ours")
        await page.call("open", "theirs")
        await connect(peer, page, nursery)
        theirs = await anext(peer.data_channels())
        assert theirs.label == "theirs"
        big = "ü" * 100_000
        for channel in (ours, theirs):
            for message in ("text", b"\x00\x01\xff", big):
                await channel.send(message)
            assert await page.call("messages", channel.label, 3) == ["text", [0, 1, 255], big]
            await page.call("send", channel.label, "from the page")
            await page.call("send", channel.label, [1, 2, 3])
            assert await channel.receive() == "from the page"
            assert await channel.receive() == b"\x01\x02\x03"
        await ours.aclose()
        assert ours.state is ChannelState.CLOSED
        await page.call("closed", "ours")


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


@every_browser
@every_role
async def test_channels_of_every_kind_are_opened_from_both_ends(
    browser: Browser, link: Link, connect: Connect
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        ours = [
            peer.create_data_channel(str(number), **options)
            for number, (options, _) in enumerate(KINDS)
        ]
        await page.call("open", "5", {"negotiated": True, "id": 100})
        await connect(peer, page, nursery)
        for channel, (_, shown) in zip(ours, KINDS, strict=True):
            await channel.send("there")
            assert await page.call("messages", channel.label, 1) == ["there"]
            found = await page.call("channel", channel.label)
            assert found == PLAIN | {"id": channel.id} | shown
        for number, (options, shown) in enumerate(KINDS[:5]):
            label = f"theirs {number}"
            names = ("ordered", "protocol", "maxRetransmits", "maxPacketLifeTime")
            wanted = {name: shown[name] for name in names if name in shown}
            await page.call("open", label, wanted)
            channel = await anext(peer.data_channels())
            assert channel.label == label
            for name in ("ordered", "protocol", "max_retransmits", "max_lifetime"):
                assert getattr(channel, name) == options.get(name, DEFAULTS[name]), name
            await page.call("send", label, "here")
            assert await channel.receive() == "here"


@every_browser
async def test_fifty_megabytes_go_each_way_unchanged(browser: Browser, link: Link) -> None:
    content = secrets.token_bytes(FILE_SIZE)
    async with open_pair(browser, link.near) as (page, peer, nursery):
        channel = peer.create_data_channel("file")
        await offer(peer, page, nursery)
        await page.call("collect", "file")
        with trio.fail_after(TIMEOUT):
            for start in range(0, FILE_SIZE, BLOCK_SIZE):
                await channel.send(content[start : start + BLOCK_SIZE])
        assert await page.call("collected", FILE_SIZE) == hashlib.sha256(content).hexdigest()

        digests = []

        async def send_back() -> None:
            digests.append(await page.call("sendRandom", "file", FILE_SIZE, BLOCK_SIZE))

        received, size = hashlib.sha256(), 0
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as sending:
                sending.start_soon(send_back)
                while size < FILE_SIZE:
                    block = await channel.receive()
                    assert isinstance(block, bytes)
                    received.update(block)
                    size += len(block)
    assert digests == [received.hexdigest()]
