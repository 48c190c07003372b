"""Takes a file over a data channel and sends it back, with its SHA-256."""

from __future__ import annotations

import hashlib
import json
import tempfile

import trio

from webrtc import DataChannel

MAX_SIZE = 1 << 30
CHUNK_SIZE = 64 * 1024
"""Bytes of a message; every browser takes as much."""
MAX_NAME = 255


async def send_back(channel: DataChannel) -> None:
    """Take one file, tell its digest, and send it back.

    The page sends ``{"name": …, "size": …}``, then the bytes; it gets ``{"name", "size",
    "sha256"}`` and the bytes. What breaks these rules closes the channel.

    Raises:
        ChannelClosedError: the page closed the channel in the middle.

    """
    head = _read_head(await channel.receive())
    if head is None:
        channel.close()
        return
    name, size = head
    digest = hashlib.sha256()
    async with trio.wrap_file(tempfile.TemporaryFile()) as file:
        left = size
        while left > 0:
            chunk = await channel.receive()
            if isinstance(chunk, str) or len(chunk) > left:
                channel.close()
                return
            left -= len(chunk)
            digest.update(chunk)
            await file.write(chunk)
        await channel.send(json.dumps({"name": name, "size": size, "sha256": digest.hexdigest()}))
        await file.seek(0)
        while chunk := await file.read(CHUNK_SIZE):
            await channel.send(chunk)
        await channel.drained()


def _read_head(message: str | bytes) -> tuple[str, int] | None:
    try:
        head = json.loads(message)
        name, size = head["name"], head["size"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(name, str) or not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
        return None
    return name[:MAX_NAME], size
