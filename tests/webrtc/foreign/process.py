"""The processes of foreign peers; what is asked of a peer goes the way that a page is asked."""

from __future__ import annotations

import contextlib
import enum
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from tests.interop.go_programs import build_go
from tests.interop.tools import REPOSITORY
from tests.webrtc.browser.far_end import FarEnd
from webrtc import IceCandidate, PeerConnection

_MODULE = "tests.webrtc.foreign"
_DEBIAN_PYTHON = "/usr/bin/python3"
_WRTC = REPOSITORY / ".venv" / "wrtc"
_PION_SOURCE = Path(__file__).parent / "pion_peer" / "main.go"


class Program(enum.Enum):
    """A foreign implementation."""

    AIORTC = "aiortc"
    PION = "pion"
    GSTREAMER = "GStreamer"
    WRTC = "wrtc"


class Commands:
    """How to run each; what is to be built is, when first asked for.

    Args:
        folder: for what is built.
        material: what they show.

    """

    def __init__(self, folder: Path, material: Path) -> None:
        self._folder = folder
        self._material = str(material)

    def of(self, program: Program) -> list[str]:
        """Return the program and its arguments."""
        match program:
            case Program.AIORTC:
                return [sys.executable, "-m", f"{_MODULE}.aiortc_peer", self._material]
            case Program.PION:
                return [self._pion]
            case Program.GSTREAMER:
                # Its bindings are Debian's, for Debian's Python.
                return [_DEBIAN_PYTHON, "-m", f"{_MODULE}.gstreamer_peer", self._material]
            case Program.WRTC:
                assert _WRTC.is_dir(), "wrtc is missing: make test installs it"
                # Its module has the name of ours: first is what PYTHONPATH says.
                path = f"PYTHONPATH={_WRTC}:{REPOSITORY}"
                python = ["env", path, sys.executable, "-P"]
                return [*python, "-m", f"{_MODULE}.wrtc_peer", self._material]

    @functools.cached_property
    def _pion(self) -> str:
        package = "golang-github-pion-webrtc.v3-dev"
        return build_go(_PION_SOURCE, "pion_webrtc_peer", self._folder, package)


class PeerError(AssertionError):
    """A peer threw, or its program ended."""


class ForeignProcess:
    """A process that has any number of peers; any number of calls at a time."""

    def __init__(self, process: trio.Process, timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        self._numbers = itertools.count()
        self._turn = trio.Lock()
        self._ids = itertools.count()
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}

    async def open_peer(self, host: str, rtc: Mapping[str, Any] | None = None) -> ForeignPeer:
        """Have it make a peer.

        Args:
            host: the address that it is to use, if it can be told.
            rtc: the RTCConfiguration.

        """
        peer = ForeignPeer(self, next(self._numbers))
        await peer.call("begin", host, rtc or {})
        return peer

    async def call_peer(self, peer: int, name: str, *arguments: Any) -> Any:
        """Call a method of a peer and return its value."""
        number = next(self._ids)
        request = {"id": number, "peer": peer, "call": name, "arguments": arguments}
        stdin = self._process.stdin
        assert stdin is not None
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._waiting[number] = send
        with trio.fail_after(self._timeout):
            # Shielded: half a line would make nonsense of the next one.
            async with self._turn:
                with trio.CancelScope(shield=True):
                    await stdin.send_all((json.dumps(request) + "\n").encode())
            result = await receive.receive()
        if "error" in result:
            raise PeerError(f"{name}: {result['error']}")
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
        raise PeerError("the program has ended")


class ForeignPeer(FarEnd):
    """A peer in a process of others.

    Attributes:
        signalling: held while descriptions are on their way: candidates of the generation that
            they begin must come after them.

    """

    def __init__(self, process: ForeignProcess, number: int) -> None:
        self._owner = process
        self._number = number
        self.signalling = trio.Lock()

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a method and return its value."""
        return await self._owner.call_peer(self._number, name, *arguments)

    async def tell_candidates(self, peer: PeerConnection) -> None:
        """Carry candidates both ways until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bring, peer)
            async for candidate in peer.local_candidates():
                async with self.signalling:
                    await self.call("add", candidate.to_json())

    async def _bring(self, peer: PeerConnection) -> None:
        while True:
            async with self.signalling:
                for value in await self.call("takeCandidates"):
                    candidate = IceCandidate.from_json(value)
                    description = peer.remote_description
                    assert description is not None
                    # One of the generation before the last may be late: it is of no use.
                    if (candidate.username_fragment or "") in description.sdp:
                        await peer.add_ice_candidate(candidate)
            await trio.sleep(0.02)


@contextlib.asynccontextmanager
async def open_process(
    command: Sequence[str], timeout: float, trusted: Path | None = None
) -> AsyncIterator[ForeignProcess]:
    """Run peers of others for the length of the block; then they are killed.

    Args:
        command: of their program.
        timeout: of each call, in seconds.
        trusted: the authority that TURN servers' certificates are from.

    """
    environment = dict(os.environ)
    if trusted is not None:
        environment["SSL_CERT_FILE"] = str(trusted)
    process = await trio.lowlevel.open_process(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        foreign = ForeignProcess(process, timeout)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(foreign.read)
            yield foreign
            nursery.cancel_scope.cancel()
    finally:
        # What it started goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
