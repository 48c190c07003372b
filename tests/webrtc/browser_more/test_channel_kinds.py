"""Data channels of every reliability, with messages of every size, with both browsers."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.browser import Connect, answer, offer
from tests.webrtc.browser_more.pages import TIMEOUT, PeerPage, every_browser, open_pair
from webrtc import DataChannel

RELIABILITIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_retransmits": 2}, {"maxRetransmits": 2}),
    ({"max_lifetime": 5.0}, {"maxPacketLifeTime": 5000}),
]
"""Ours, and the browser's words for it. On this link nothing is lost, so all must arrive."""
KINDS = [
    ({"ordered": ordered} | ours, {"ordered": ordered} | theirs)
    for ordered in (True, False)
    for ours, theirs in RELIABILITIES
]
NEGOTIATED: dict[str, Any] = {"negotiated": True, "id": 77}
SIZES = [0, 1, 16_384, 200_000]


def text_of(size: int) -> str:
    """Return text of so many bytes of UTF-8, not all of it ASCII."""
    return "".join(chr(97 + number % 26) for number in range(size % 2)) + "ü" * (size // 2)


def bytes_of(size: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(size))


MESSAGES: list[str | bytes] = [make(size) for size in SIZES for make in (text_of, bytes_of)]


def digest(message: str | bytes) -> str:
    """Tell a message's type, size and content, as `digests` does in the page."""
    data = message.encode() if isinstance(message, str) else message
    kind = "text" if isinstance(message, str) else "binary"
    return f"{kind} {len(data)} {hashlib.sha256(data).hexdigest()}"


DIGESTS = [digest(message) for message in MESSAGES]


async def check_channel(channel: DataChannel, page: PeerPage) -> None:
    """Send every message there and back; the page returns what it gets, as it gets it."""
    label = channel.label
    await page.call("echo", label)
    for message in MESSAGES:
        await channel.send(message)
    there = await page.call("digests", label, len(MESSAGES))
    back = [digest(await channel.receive()) for _ in MESSAGES]
    if channel.ordered:
        assert there == DIGESTS
        assert back == DIGESTS
    else:
        assert Counter(there) == Counter(DIGESTS)
        assert Counter(back) == Counter(DIGESTS)


@every_browser
@pytest.mark.parametrize("connect", [offer, answer])
async def test_messages_of_every_size_go_both_ways_on_channels_of_every_kind(
    browser: Browser, link: Link, connect: Connect
) -> None:
    async with open_pair(browser, link.near) as (page, peer, nursery):
        ours = [
            peer.create_data_channel(f"ours {number}", **options)
            for number, (options, _) in enumerate(KINDS)
        ]
        agreed = peer.create_data_channel("agreed", **NEGOTIATED)
        await page.call("open", "agreed", NEGOTIATED)
        for number, (_, options) in enumerate(KINDS):
            await page.call("open", f"theirs {number}", options)
        await connect(peer, page, nursery)
        with trio.fail_after(TIMEOUT):
            incoming = peer.data_channels()
            theirs = {channel.label: channel for channel in [await anext(incoming) for _ in KINDS]}
            for number, (options, words) in enumerate(KINDS):
                there = await page.call("channel", f"ours {number}")
                plain = {"ordered": True, "maxRetransmits": None, "maxPacketLifeTime": None}
                assert there == plain | words | {"id": ours[number].id, "protocol": ""}
                here = theirs[f"theirs {number}"]
                assert here.ordered is options["ordered"]
                assert here.max_retransmits == options.get("max_retransmits")
                assert here.max_lifetime == options.get("max_lifetime")
            assert (await page.call("channel", "agreed"))["id"] == agreed.id == NEGOTIATED["id"]
            for channel in (*ours, *theirs.values(), agreed):
                await check_channel(channel, page)
