"""How a foreign peer in Python is told what to do, and says what came of it: lines of JSON.

``{"call": NAME, "arguments": [...]}`` calls a method; its value, or what it threw, goes back as a
line. The methods are those of page.js in tests/webrtc/browser, as far as a test needs them.
Other Pythons (Debian's) import this too: it may import nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

FIRST = 7000
"""The counter of the first picture that a foreign peer sends."""
FREQUENCY = 660.0
"""Of its tone, in Hz."""
WIDTH, HEIGHT = 320, 240
FRAME_RATE = 20
KINDS = ("video", "audio")


def read_request(line: str) -> tuple[str, list[Any]]:
    """Return the method's name and its arguments."""
    request = json.loads(line)
    return request["call"], request["arguments"]


def write_answer(answer: dict[str, Any]) -> None:
    """Tell what came of a request."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def answer_asynchronously(peer: object, read_line: Callable[[], Awaitable[str]]) -> None:
    """Do what lines ask for, until there are no more."""
    while line := await read_line():
        name, arguments = read_request(line)
        try:
            value = await getattr(peer, name)(*arguments)
        except Exception as error:
            write_answer({"error": f"{type(error).__name__}: {error}"})
        else:
            write_answer({"value": value})
