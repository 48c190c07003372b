"""What both libraries are made to do: the numbers that must be the same on either side."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

ADDRESS = "127.0.0.1"
MESSAGE_SIZE = 16_384
DATA_BYTES = 8_000_000
HIGH_WATER = 1 << 20
"""Bytes buffered in a channel, above which neither sends more."""
WARM_UP_PAIRS = 4
PAIRS = 12
CONNECTS = 7
FRAME_SIZE = 10_000
FRAMES_PER_SECOND = 40
"""3.2 Mbit/s: some 400 packets a second."""
MEDIA_WARM_UP = 2.0
MEDIA_SECONDS = 3.0
"""Seconds. Sent in real time: one side paces and the other does not."""
LEAST_SHARE = 0.25
"""Of the frames: on a busy machine not all arrive in time, but a sample without any is none."""

VP8_KEY_FRAME = bytes.fromhex("100200 9d012a 8002 e001")
"""The header of one of 640x480 (RFC 6386 §9.1); nobody decodes what follows."""
FRAME = VP8_KEY_FRAME + bytes(FRAME_SIZE - len(VP8_KEY_FRAME))


def resident_kilobytes() -> float:
    """Return this process's resident memory, after what is garbage has gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1000
