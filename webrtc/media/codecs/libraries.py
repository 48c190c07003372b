"""Finds the shared libraries that PyAV's FFmpeg itself uses.

FFmpeg hides what live calls need: libvpx's change of bit rate without a key frame, libopus's DTX
and its decoding of in-band FEC. Both have a C interface that has not changed for years. PyAV's
wheels carry them in `av.libs` beside the package; a distribution's FFmpeg links the system's.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import platform
import sys
from pathlib import Path

import av


def calls_variadic() -> bool:
    """Whether ctypes calls C's variadic functions right: on Apple's ARM their arguments differ."""
    return not (sys.platform == "darwin" and platform.machine() == "arm64")


@functools.cache
def load(name: str) -> ctypes.CDLL | None:
    """Return a library by its name without `lib`, or None if it is not there."""
    package = Path(av.__file__).parent
    places = (package.with_name("av.libs"), package / ".dylibs")
    files = [str(path) for place in places for path in sorted(place.glob(f"lib{name}[-.]*"))]
    found = ctypes.util.find_library(name)
    for file in [*files, *([found] if found else [])]:
        try:
            return ctypes.CDLL(file)
        except OSError:
            continue
    return None
