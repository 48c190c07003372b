"""A foreign agent in a process of its own that connects to ours.

It prints its credentials and candidates as a line of JSON, and reads ours as one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Sequence

import attrs
import trio

from ice_client import Agent, Credentials, format_candidate
from tests.ice_client.shell.calls import TIMEOUT
from tests.interop.tools import REPOSITORY


@attrs.define
class EchoPeer:
    """The process, and the lines it has printed."""

    process: trio.Process
    lines: trio.MemoryReceiveChannel[str]

    async def meet(self, agent: Agent) -> None:
        """Exchange credentials and candidates."""
        theirs = json.loads(await self.lines.receive())
        credentials = Credentials(theirs["username_fragment"], theirs["password"])
        agent.set_remote_credentials(credentials)
        for candidate in theirs["candidates"]:
            await agent.add_remote_candidate(f"candidate:{candidate}")
        await agent.add_remote_candidate(None)
        ours = {
            "username_fragment": agent.local_credentials.username_fragment,
            "password": agent.local_credentials.password,
            "candidates": [
                format_candidate(each).removeprefix("candidate:")
                async for each in agent.local_candidates()
            ],
        }
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps(ours).encode() + b"\n")


@contextlib.asynccontextmanager
async def echo_peer(command: Sequence[str]) -> AsyncIterator[EchoPeer]:
    """Run it for the length of the block; then it must end well by itself."""
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        sender, receiver = trio.open_memory_channel[str](10)

        async def read_lines() -> None:
            assert process.stdout is not None
            rest = b""
            async for chunk in process.stdout:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    await sender.send(line.decode())

        try:
            nursery.start_soon(read_lines)
            yield EchoPeer(process, receiver)
            with trio.fail_after(TIMEOUT):
                assert await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
