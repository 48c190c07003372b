"""A foreign peer's process; what it is asked goes the way that a browser's page is asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import trio

from tests.interop.tools import REPOSITORY
from tests.webrtc.browser.browser import Browser
from tests.webrtc.foreign.cases import Peer


def command_of(peer: Peer) -> list[str]:
    """Return how to run a peer."""
    match peer:
        case Peer.AIORTC:
            return [sys.executable, "-m", "tests.webrtc.foreign.aiortc_peer"]


@contextlib.asynccontextmanager
async def open_foreign_peer(peer: Peer, host: str) -> AsyncIterator[Browser]:
    """Run a foreign peer, which uses this address."""
    process = await trio.lowlevel.open_process(
        command_of(peer),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        foreign = Browser(process)
        await foreign.call("begin", host)
        yield foreign
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
