"""A file of 50 MB over a data channel, each way, with every foreign peer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.interop.veth import Link
from tests.webrtc.browser.far_end import configuration
from tests.webrtc.foreign.checks import check_file_in, check_file_out, connect
from tests.webrtc.foreign.process import Commands, ForeignPeer, Program, open_process
from webrtc import DataChannel, PeerConnection

FILE_SIZE = 50_000_000
TIMEOUT = 120.0
"""Seconds; on a quiet machine none takes ten."""


@pytest.mark.parametrize("program", Program, ids=lambda program: program.value)
@pytest.mark.parametrize("check", [check_file_out, check_file_in], ids=["from ours", "to ours"])
async def test_fifty_megabytes_arrive_unchanged(
    program: Program,
    check: Callable[[DataChannel, ForeignPeer, int], Awaitable[None]],
    link: Link,
    commands: Commands,
) -> None:
    async with open_process(commands.of(program), TIMEOUT) as process:
        foreign = await process.open_peer(link.near)
        async with PeerConnection(configuration(link.near)) as peer, trio.open_nursery() as nursery:
            with trio.fail_after(TIMEOUT):
                channel = peer.create_data_channel("file")
                await connect(peer, foreign, nursery, we_offer=True)
                await check(channel, foreign, FILE_SIZE)
            nursery.cancel_scope.cancel()
