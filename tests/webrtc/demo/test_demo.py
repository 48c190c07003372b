"""The demo, as its users see it: a browser clicks through the page of a server that runs."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.interop.server_under_test import SECRET, running_server
from tests.interop.tools import REPOSITORY, run_tool, tool
from tests.interop.veth import veth_address

TIMEOUT = 90.0
FILE_SIZE = 2_000_000


@contextlib.asynccontextmanager
async def running_demo(*options: str) -> AsyncIterator[str]:
    """Run the demo and yield its URL; then Ctrl-C must end it in silence."""
    command = [sys.executable, "-W", "error", "-m", "webrtc.demo", "--port", "0", *options]
    process = await trio.lowlevel.open_process(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with trio.fail_after(TIMEOUT):
            line = b""
            while not line.endswith(b"\n"):
                chunk = await process.stdout.receive_some()
                assert chunk, (await process.stderr.receive_some()).decode()
                line += chunk
        yield line.decode().split()[1]
        process.send_signal(signal.SIGINT)
        with trio.fail_after(TIMEOUT):
            complaints = b"".join([chunk async for chunk in process.stderr])
            assert (await process.wait(), complaints.decode()) == (0, "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        await process.stdout.aclose()
        await process.stderr.aclose()


@pytest.mark.parametrize("policy", ["all", "relay"])
async def test_a_browser_clicks_through_everything_the_page_has(
    policy: str, tmp_path: Path
) -> None:
    file = tmp_path / "letter.bin"
    file.write_bytes(secrets.token_bytes(FILE_SIZE))
    with veth_address() as host:
        async with (
            running_server(tmp_path, {"peers": {"allow": []}}, hosts=[host]) as server,
            running_demo(
                *("--ice-url", f"turn:{host}:{server.plain_port}?transport=udp"),
                *("--turn-secret", SECRET, "--network", f"{host}/32"),
            ) as url,
        ):
            script = [sys.executable, "-m", "tests.webrtc.demo.click_through"]
            finished = await run_tool(
                [*script, tool("chromium"), host, url, policy, str(file)], TIMEOUT
            )
            assert finished.exit_code == 0, str(finished)
            seen = json.loads(finished.output)
    assert seen["errors"] == []
    assert seen["file"].startswith(f"letter.bin: {FILE_SIZE} bytes came back unharmed")
    assert all(seen["figures"])
    if policy == "relay":
        assert seen["path"] == {"local": "relay", "remote": "relay"}
