"""The example in docs/turn-client.md runs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import trio

from tests.interop.server_under_test import running_server
from tests.interop.tools import REPOSITORY


async def test_the_example_relays(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/turn-client.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    talk = cast("Callable[[str, int], Awaitable[bytes]]", names["talk"])
    async with running_server(tmp_path) as server:
        with trio.fail_after(20):
            assert await talk("127.0.0.1", server.plain_port) == b"hello"
