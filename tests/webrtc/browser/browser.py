"""A browser's page as a peer of ours, and the signalling with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio

from ice_client import AgentOptions, InterfaceFilter
from tests.interop.tools import REPOSITORY, tool
from webrtc import Configuration, Description, IceCandidate, PeerConnection

Connect = Callable[[PeerConnection, "Browser", trio.Nursery], Awaitable[None]]
"""How two peers come together: `offer` or `answer`."""
TIMEOUT = 40.0
"""Seconds; only failures take as long."""


class BrowserError(AssertionError):
    """The page threw, or the browser ended."""


class Browser:
    """A page in a process; one request at a time."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._rest = b""
        self._turn = trio.Lock()

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of `page` in page.js and return its value."""
        line = json.dumps({"call": name, "arguments": arguments}) + "\n"
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn:
            # Shielded: an answer that nobody took would be taken for the next one.
            with trio.fail_after(TIMEOUT, shield=True):
                await stdin.send_all(line.encode())
                while b"\n" not in self._rest:
                    chunk = await stdout.receive_some()
                    if not chunk:
                        raise BrowserError("the browser has ended")
                    self._rest += chunk
        answer, _, self._rest = self._rest.partition(b"\n")
        result = json.loads(answer)
        if "error" in result:
            raise BrowserError(result["error"])
        return result["value"]

    async def describe(self) -> Description:
        """Have the page set its local description; return it."""
        return Description.from_json(await self.call("describe"))

    async def take(self, description: Description) -> None:
        """Give the page a description of ours."""
        await self.call("take", description.to_json())

    async def tell_candidates(self, peer: PeerConnection) -> None:
        """Carry candidates both ways until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bring_candidates, peer)
            async for candidate in peer.local_candidates():
                await self.call("add", candidate.to_json())

    async def _bring_candidates(self, peer: PeerConnection) -> None:
        while True:
            for value in await self.call("takeCandidates"):
                await peer.add_ice_candidate(IceCandidate.from_json(value))
            await trio.sleep(0.02)


def configuration(host: str, **keywords: Any) -> Configuration:
    """Return how our peer is made: on the interface that the browser uses."""
    interfaces = InterfaceFilter(networks=[f"{host}/32"])
    return Configuration(ice=AgentOptions(interfaces=interfaces), **keywords)


@contextlib.asynccontextmanager
async def open_browser(host: str, rtc: dict[str, Any] | None = None) -> AsyncIterator[Browser]:
    """Run Chromium with a page that has an RTCPeerConnection.

    Args:
        host: an address that it may connect to.
        rtc: the RTCConfiguration.

    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.webrtc.browser.chromium_process", tool("chromium"), host],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        browser = Browser(process)
        await browser.call("begin", rtc or {})
        yield browser
    finally:
        # What it started goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()


async def offer(peer: PeerConnection, browser: Browser, nursery: trio.Nursery) -> None:
    """Have our peer offer, and connect."""
    await browser.take(await peer.set_local_description())
    await peer.set_remote_description(await browser.describe())
    await _connect(peer, browser, nursery)


async def answer(peer: PeerConnection, browser: Browser, nursery: trio.Nursery) -> None:
    """Have our peer answer, and connect."""
    await peer.set_remote_description(await browser.describe())
    await browser.take(await peer.set_local_description())
    await _connect(peer, browser, nursery)


async def _connect(peer: PeerConnection, browser: Browser, nursery: trio.Nursery) -> None:
    scope = await nursery.start(_trickle, peer, browser)
    with trio.fail_after(TIMEOUT):
        await peer.connected()
    scope.cancel()
    await browser.call("connected")


async def _trickle(
    peer: PeerConnection,
    browser: Browser,
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await browser.tell_candidates(peer)
