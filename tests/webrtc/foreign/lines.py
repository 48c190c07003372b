"""How a foreign peer in Python is told what to do, and says what came of it: lines of JSON.

``{"id": ID, "peer": NUMBER, "call": NAME, "arguments": [...]}`` calls a method of one of the
process's peers, which is made at its first call; its value, or what it threw, goes back as a line
with the same id, in whatever order calls end. The methods are those of page.js in
tests/webrtc/browser, as far as a test needs them. Other Pythons (Debian's) and programs that have
a `webrtc` of their own import this too: it may import nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIRST = 7000
"""The counter of the first picture that a foreign peer sends."""
PICTURES = 200
"""How many there are; then they begin again."""
FREQUENCY = 660.0
"""Of its tone, in Hz."""
WIDTH, HEIGHT = 320, 240
PICTURE_SIZE = WIDTH * HEIGHT * 3 // 2
"""Bytes in I420."""
FRAME_RATE = 20
RATE = 48_000
PACKET = RATE // 50
"""Samples."""
LONGEST_LINE = 1 << 24
BLOCK_SIZE = 16_384
"""Of a file; every implementation takes messages of this size."""


def block(number: int) -> bytes:
    """Return a block of the file that peers send."""
    return bytes([number % 251]) * BLOCK_SIZE


class Material:
    """What `material.py` has drawn: pictures and a tone."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._pictures = (Path(folder) / "pictures.i420").read_bytes()
        self._sound = (Path(folder) / "tone.s16").read_bytes()

    def picture(self, number: int) -> bytes:
        """Return a picture in I420."""
        start = number % PICTURES * PICTURE_SIZE
        return self._pictures[start : start + PICTURE_SIZE]

    def sound(self, number: int) -> bytes:
        """Return 20 ms of the tone, one channel of 16 bits at 48 kHz."""
        start = number * PACKET * 2 % len(self._sound)
        return self._sound[start : start + PACKET * 2]


def picture_value(width: int, height: int, i420: bytes) -> dict[str, Any]:
    """Return how a picture that came is told of."""
    return {"width": width, "height": height, "i420": base64.b64encode(i420).decode()}


def sound_value(rate: int, channels: int, samples: bytes) -> dict[str, Any]:
    """Return how sound that came is told of, in 16 bits."""
    data = base64.b64encode(samples).decode()
    return {"rate": rate, "channels": channels, "samples": data}


class _Output:
    """Lines of answers, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = os.fdopen(os.dup(1), "wb")
        # What libraries print would be taken for an answer.
        os.dup2(2, 1)

    def answer(self, number: int, **result: Any) -> None:
        line = json.dumps({"id": number, **result}) + "\n"
        with self._lock:
            self._file.write(line.encode())
            self._file.flush()


async def serve(make: Callable[[], object]) -> None:
    """Do what lines ask of peers whose methods are coroutines, until there are no more lines."""
    output = _Output()
    peers: dict[int, object] = {}
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()

    async def do(request: dict[str, Any]) -> None:
        try:
            peer = peers.get(request["peer"]) or peers.setdefault(request["peer"], make())
            value = await getattr(peer, request["call"])(*request["arguments"])
        except Exception as error:
            output.answer(request["id"], error=f"{type(error).__name__}: {error}")
        else:
            output.answer(request["id"], value=value)

    while line := await reader.readline():
        task = loop.create_task(do(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)


def serve_in_threads(make: Callable[[], object]) -> None:
    """Do what lines ask of peers whose methods wait, each in a thread, until there are no more."""
    output = _Output()
    peers: dict[int, object] = {}

    def do(request: dict[str, Any]) -> None:
        try:
            value = getattr(peers[request["peer"]], request["call"])(*request["arguments"])
        except Exception as error:
            output.answer(request["id"], error=f"{type(error).__name__}: {error}")
        else:
            output.answer(request["id"], value=value)

    for line in sys.stdin:
        request = json.loads(line)
        if request["peer"] not in peers:
            peers[request["peer"]] = make()
        threading.Thread(target=do, args=(request,), daemon=True).start()
    os._exit(0)
