"""A file of 50 MB over a data channel, its SHA-256 compared.

`--log-cli-level=INFO` shows how fast it went.
"""

from __future__ import annotations

import hashlib
import logging
import secrets

import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.browser import offer
from tests.webrtc.browser_more.pages import chromium, every_browser, open_pair

_log = logging.getLogger(__name__)
BLOCK_SIZE = 65_536
FILE_SIZE = 50_000_000
FILE_TIMEOUT = 60.0
"""Seconds; a busy machine with two cores takes 20."""


def tell_speed(way: str, began: float) -> None:
    seconds = trio.current_time() - began
    _log.info("%s: %.1f MB/s", way, FILE_SIZE / 1e6 / seconds)


@chromium
async def test_fifty_megabytes_of_ours_arrive_unchanged(browser: Browser, link: Link) -> None:
    sent = secrets.token_bytes(FILE_SIZE)
    async with open_pair(browser, link.near) as (page, peer, nursery):
        channel = peer.create_data_channel("file")
        await offer(peer, page, nursery)
        await page.call("collect", "file")
        began = trio.current_time()
        with trio.fail_after(FILE_TIMEOUT):
            for start in range(0, FILE_SIZE, BLOCK_SIZE):
                await channel.send(sent[start : start + BLOCK_SIZE])
        digest = await page.call("collected", FILE_SIZE)
        tell_speed(f"ours to {browser.name}", began)
        assert digest == hashlib.sha256(sent).hexdigest()


@every_browser
async def test_fifty_megabytes_of_the_browsers_arrive_unchanged(
    browser: Browser, link: Link
) -> None:
    digests = []
    received = hashlib.sha256()
    async with open_pair(browser, link.near) as (page, peer, nursery):
        channel = peer.create_data_channel("file")
        await offer(peer, page, nursery)
        await page.call("channel", "file")

        async def send() -> None:
            digests.append(await page.call("sendRandom", "file", FILE_SIZE, BLOCK_SIZE))

        count = 0
        began = trio.current_time()
        with trio.fail_after(FILE_TIMEOUT):
            async with trio.open_nursery() as sending:
                sending.start_soon(send)
                while count < FILE_SIZE:
                    block = await channel.receive()
                    assert isinstance(block, bytes)
                    received.update(block)
                    count += len(block)
                tell_speed(f"{browser.name} to ours", began)
    assert digests == [received.hexdigest()]
