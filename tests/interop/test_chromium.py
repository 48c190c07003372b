"""Two pages in headless Chromium hear and see each other through turnd alone."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import attrs
import pytest

from tests.interop.server_under_test import SECRET, running_server
from tests.interop.tools import run_tool, tool
from turnd.store.rest_credentials import mint

MESSAGES = 200
FRAMES = 40
TIMEOUT = 150.0


@attrs.frozen(slots=True)
class Way:
    """How a browser is told to reach the server.

    Attributes:
        scheme: of the URL.
        query: what follows the port.
        transport: what the server must see.
        relay_protocol: what the browser says it is.

    """

    scheme: str
    query: str
    transport: str
    relay_protocol: str


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way("turn", "?transport=udp", "udp", "udp"), id="turn-udp"),
        pytest.param(Way("turn", "?transport=tcp", "tcp", "tcp"), id="turn-tcp"),
        pytest.param(Way("turns", "?transport=tcp", "tls", "tls"), id="turns-tcp"),
    ],
)
async def test_pages_exchange_messages_and_video_through_relays_over(
    way: Way, veth_host: str, tmp_path: Path
) -> None:
    async with running_server(tmp_path, {"peers": {"allow": []}}, hosts=[veth_host]) as server:
        port = server.secure_port if way.scheme == "turns" else server.plain_port
        url = f"{way.scheme}:{veth_host}:{port}{way.query}"
        user, password = mint(SECRET, "someone", 600, time.time())
        command = [sys.executable, "-m", "tests.interop.browser_call", tool("chromium")]
        numbers = [str(MESSAGES), str(FRAMES)]
        finished = await run_tool([*command, url, user, password, *numbers], TIMEOUT)
        assert finished.exit_code == 0, str(finished)
        result = json.loads(finished.output)
        assert not result["error"], result
        for page in result["pages"]:
            assert page["state"] == "connected"
            assert page["received"] == list(range(MESSAGES))
            assert page["frames"] >= FRAMES
            assert page["candidates"] == ["relay"]
            path = {"local": "relay", "relayProtocol": way.relay_protocol, "remote": "relay"}
            assert page["paths"] == [path]
        assert server.transports() == {way.transport}
