"""Pages of shared browsers as peers of ours.

They run the script of tests/webrtc/browser, so that what is known there of offers, answers,
patterns and tones holds for Firefox too; `more.js` adds what only the tests here ask for.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.browsers.browser import PROGRAMS, Browser, Page
from tests.webrtc.browser import browser as lone
from webrtc import PeerConnection

_FOLDER = Path(__file__).parent
_SCRIPTS = [
    *(_FOLDER.parent / "browser" / name for name in ("pattern.js", "page.js")),
    _FOLDER / "more.js",
]
_LOAD = """(source) => {
  const script = document.createElement("script");
  script.textContent = source;
  document.body.append(script);
}"""
TIMEOUT = 60.0
"""Seconds; only failures take as long."""

firefox = pytest.mark.parametrize("browser", ["firefox"], indirect=True, scope="module")
chromium = pytest.mark.parametrize("browser", ["chromium"], indirect=True, scope="module")
every_browser = pytest.mark.parametrize("browser", PROGRAMS, indirect=True, scope="module")


class PeerPage(lone.Browser):
    """A page with an RTCPeerConnection; many requests may be under way at a time."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of `page`, of page.js or more.js, and return its value."""
        with trio.fail_after(TIMEOUT):
            return await self._page.evaluate("(name, args) => page[name](...args)", name, arguments)


@contextlib.asynccontextmanager
async def open_page(
    browser: Browser, rtc: Mapping[str, Any] | None = None
) -> AsyncIterator[PeerPage]:
    """Open a page of a browser, whose RTCPeerConnection has this RTCConfiguration."""
    async with browser.page() as page:
        for script in _SCRIPTS:
            await page.evaluate(_LOAD, script.read_text(encoding="utf-8"))
        peer = PeerPage(page)
        await peer.call("begin", rtc or {})
        yield peer


@contextlib.asynccontextmanager
async def open_pair(
    browser: Browser, near: str
) -> AsyncIterator[tuple[PeerPage, PeerConnection, trio.Nursery]]:
    """Open a page and a peer of ours on the interface that faces it, yet to be connected."""
    async with (
        open_page(browser) as page,
        PeerConnection(lone.configuration(near)) as peer,
        trio.open_nursery() as nursery,
    ):
        yield page, peer, nursery
        nursery.cancel_scope.cancel()
