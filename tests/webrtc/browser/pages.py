"""Pages of browsers that tests share, as peers of ours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from tests.browsers.browser import PROGRAMS, Browser, Page
from tests.webrtc.browser.far_end import TIMEOUT, FarEnd, configuration
from webrtc import PeerConnection
from webrtc.media.frames import AudioFrame
from webrtc.media.tone import ToneReading, read_tone

_SCRIPTS = [Path(__file__).parent / name for name in ("pattern.js", "page.js")]
_LOAD = """(source) => {
  const script = document.createElement("script");
  script.textContent = source;
  document.body.append(script);
}"""
RECORDED = 1.0
"""Seconds; the second half is looked at, when the codecs have settled."""

every_browser = pytest.mark.parametrize("browser", PROGRAMS, indirect=True, scope="package")
chromium = pytest.mark.parametrize("browser", ["chromium"], indirect=True, scope="package")


class PeerPage(FarEnd):
    """A page with an RTCPeerConnection; many requests may be under way at a time.

    Attributes:
        frequency: of what it sounds when told to `show` something of `frequency`, in Hz.

    """

    def __init__(self, page: Page, frequency: float) -> None:
        self._page = page
        self.frequency = frequency

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of `page` in page.js and return its value."""
        with trio.fail_after(TIMEOUT):
            return await self._page.evaluate("(name, args) => page[name](...args)", name, arguments)

    async def show(self, first: int) -> None:
        """Have it show the pattern, counting from `first`, and sound its tone."""
        await self.call("show", first, self.frequency)

    async def listen(self) -> ToneReading:
        """Have it listen to the tone of its peer."""
        samples = np.array(await self.call("record", RECORDED))
        wave = np.round(samples[len(samples) // 2 :] * 32_767).astype(np.int16)
        return read_tone(AudioFrame(wave))


FREQUENCIES = {"chromium": 660.0, "firefox": 1000.0}
"""Hz: what we have the one play, and what the other's fake microphone sounds by itself."""


@contextlib.asynccontextmanager
async def open_page(
    browser: Browser, rtc: Mapping[str, Any] | None = None
) -> AsyncIterator[PeerPage]:
    """Open a page of a browser, whose RTCPeerConnection has this RTCConfiguration."""
    async with browser.page() as page:
        for script in _SCRIPTS:
            await page.evaluate(_LOAD, script.read_text(encoding="utf-8"))
        peer = PeerPage(page, FREQUENCIES[browser.name])
        await peer.call("begin", rtc or {})
        yield peer


@contextlib.asynccontextmanager
async def open_pair(
    browser: Browser, near: str
) -> AsyncIterator[tuple[PeerPage, PeerConnection, trio.Nursery]]:
    """Open a page and a peer of ours on the interface that faces it, yet to be connected."""
    async with (
        open_page(browser) as page,
        PeerConnection(configuration(near)) as peer,
        trio.open_nursery() as nursery,
    ):
        yield page, peer, nursery
        nursery.cancel_scope.cancel()
