"""A browser's page as a peer of ours, and the signalling with it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio

from ice_client import AgentOptions, InterfaceFilter
from tests.interop.tools import REPOSITORY, tool
from webrtc import Configuration, Description, IceCandidate, PeerConnection
from webrtc.negotiation import negotiate

Connect = Callable[[PeerConnection, "Browser", trio.Nursery], Awaitable[None]]
"""How two peers come together: `offer` or `answer`."""
TIMEOUT = 40.0
"""Seconds; only failures take as long."""


class BrowserError(AssertionError):
    """The page threw, or the browser ended."""


class Browser:
    """A page in a process; any number of calls at a time."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._turn = trio.Lock()
        self._ids = itertools.count()
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of `page` in page.js and return its value."""
        return await self._ask({"call": name, "arguments": arguments})

    async def _ask(self, request: dict[str, Any], timeout: float = TIMEOUT) -> Any:
        number = next(self._ids)
        line = json.dumps({"id": number, **request}) + "\n"
        stdin = self._process.stdin
        assert stdin is not None
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._waiting[number] = send
        with trio.fail_after(timeout):
            # Shielded: half a line would make nonsense of the next one.
            async with self._turn:
                with trio.CancelScope(shield=True):
                    await stdin.send_all(line.encode())
            result = await receive.receive()
        if "error" in result:
            raise BrowserError(f"{request['call']}: {result['error']}")
        return result["value"]

    async def read(self) -> None:
        """Give results to who waits for them, until cancelled."""
        stdout = self._process.stdout
        assert stdout is not None
        rest = b""
        async for chunk in stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                result = json.loads(line)
                self._waiting.pop(result["id"]).send_nowait(result)
        raise BrowserError("the browser has ended")

    async def describe(self) -> Description:
        """Have the page set its local description; return it."""
        return Description.from_json(await self.call("describe"))

    async def take(self, description: Description) -> None:
        """Give the page a description of ours."""
        await self.call("take", description.to_json())

    async def negotiate(self, peer: PeerConnection) -> None:
        """Have both ends negotiate by themselves, the page politely, until cancelled."""
        await self.call("negotiate")
        await negotiate(peer, _PageLine(self), polite=False)

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


class _PageLine:
    """Signalling with a page: its messages are asked for again and again."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._messages: deque[dict[str, Any]] = deque()

    async def send(self, message: dict[str, Any]) -> None:
        await self._browser.call("takeMessage", message)

    def __aiter__(self) -> _PageLine:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._messages:
            await trio.sleep(0.02)
            self._messages.extend(await self._browser.call("takeOutbox"))
        return self._messages.popleft()


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
        async with trio.open_nursery() as nursery:
            nursery.start_soon(browser.read)
            await browser.call("begin", rtc or {})
            yield browser
            nursery.cancel_scope.cancel()
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
