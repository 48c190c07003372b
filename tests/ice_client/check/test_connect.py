"""Two machines of a lab, each with an ice-check of its own, and a person who copies and pastes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from ice_client import AgentOptions, ConnectError, Policy, Settings, open_ice_agent
from ice_client.check.connect import LARGEST_DESCRIPTION, Description, connect, pack, unpack
from ice_client.check.target import TargetError
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.tools import REPOSITORY
from tests.natlab import (
    PORT_RESTRICTED,
    SYMMETRIC,
    Behaviour,
    Host,
    LabHost,
    Nat,
    Topology,
    lab,
)
from tests.natlab.servers import turnd_on

DESCRIPTION = Description(
    "abcd", "0123456789abcdefghijkl", ("candidate:1 1 udp 1 192.0.2.1 1 typ host",)
)


RESULT = (
    r"here   (?P<here>\w+) udp [\s\S]*there  (?P<there>\w+) udp [\s\S]*?(?P<lost>\d+)% of 50 lost"
)


@contextlib.asynccontextmanager
async def _ice_check(host: LabHost, *arguments: str) -> AsyncIterator[trio.Process]:
    command = host.command(sys.executable, "-u", "-m", "ice_client.check", *arguments)
    process = await trio.lowlevel.open_process(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                await stream.aclose()


async def _read_until(process: trio.Process, pattern: str) -> re.Match[str]:
    """Read what it prints until the pattern is in it."""
    assert process.stdout is not None
    text = ""
    while not (match := re.search(pattern, text)):
        chunk = await process.stdout.receive_some(65536)
        assert chunk, f"ended after:\n{text}"
        text += bytes(chunk).decode()
    return match


@pytest.mark.parametrize(
    ("nats", "types"),
    [
        ((PORT_RESTRICTED, PORT_RESTRICTED), {"srflx", "prflx"}),
        ((SYMMETRIC, SYMMETRIC), {"relay"}),
    ],
    ids=["port-restricted", "symmetric"],
)
async def test_two_machines_connect_by_copy_and_paste(
    nats: tuple[Behaviour, Behaviour], types: set[str], tmp_path: Path
) -> None:
    topology = Topology(
        hosts=(Host("server", addresses=2), Host("alice", on="home"), Host("bob", on="office")),
        boxes=(Nat("home", nats[0]), Nat("office", nats[1])),
    )
    with lab(topology) as net:
        target = (f"turn:{net['server'].address}", "-u", USER, "-p", PASSWORD)
        joined = ("connect", "--join")
        async with (
            turnd_on(net["server"], tmp_path),
            _ice_check(net["alice"], "connect", *target) as alice,
        ):
            with trio.fail_after(60):
                offer = await _read_until(alice, r"--join (ice1\.\S+)\s")
                async with _ice_check(net["bob"], *joined, offer[1], *target) as bob:
                    answer = await _read_until(bob, r"\n(ice1\.\S+)\s")
                    assert alice.stdin is not None
                    await alice.stdin.send_all(answer[1].encode() + b"\n")
                    for process in (alice, bob):
                        found = await _read_until(process, RESULT)
                        ends = {found["here"], found["there"]}
                        assert ends & types
                        assert ("relay" in types) == ("relay" in ends)
                        assert int(found["lost"]) <= 4
                        assert await process.wait() == 0


def test_description_survives_a_chat_that_breaks_lines() -> None:
    text = pack(DESCRIPTION)
    assert unpack(f"  {text[:20]}\n{text[20:]}  \n") == DESCRIPTION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "ice1.",
        "ice1.@@@",
        pack(DESCRIPTION)[:-8],
        "ice1." + "A" * LARGEST_DESCRIPTION,
        pack(Description("abcd", "x" * 10_000_000)),
        pack(Description("abcd", "p", ("c",) * 101)),
    ],
    ids=range(8),
)
def test_what_is_no_description_is_said_to_be_none(text: str) -> None:
    with pytest.raises(TargetError):
        unpack(text)


async def test_candidates_that_nobody_could_use_are_passed_over() -> None:
    useless = ("candidate:1 2 udp 1 192.0.2.1 1 typ host", "candidate:1 1 sctp 1 192.0.2.1 1 typ x")
    other = Description(DESCRIPTION.fragment, DESCRIPTION.password, useless)
    settings = Settings(patience=0.0, trickle_timeout=0.0)
    options = AgentOptions(policy=Policy.RELAY, settings=settings)
    async with open_ice_agent(controlling=True, options=options) as agent:
        with pytest.raises(ConnectError), trio.fail_after(20):
            await connect(agent, other)
