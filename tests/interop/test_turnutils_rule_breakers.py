"""coturn's turnutils_uclient in the modes made to upset servers: turnd serves the next client."""

from __future__ import annotations

import trio

from tests.interop.conftest import StartServer
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.turnutils import TRANSPORT_FLAGS, Totals, echo_peer, totals, uclient

BREAKING = {
    "requests with wrong attributes": "-N",
    "requests with random bytes in them": "-R",
    "clients that go without a word": "-B",
    "many clients that leave in the middle of anything": "-O -m 30",
    "channel data for channels that are not bound": "-I -s",
}
PATIENCE = 8.0
"""Seconds. These modes have no end of their own: a client may wait for an answer for ever."""


async def test_serves_on_after_broken_clients(start_server: StartServer) -> None:
    async with start_server({}) as server, echo_peer() as peer:
        common = f"-u {USER} -w {PASSWORD} -e 127.0.0.1 -r {peer} -z 10"

        async def break_rules(transport: str, flags: str) -> None:
            await uclient(server, transport, f"{common} {flags}", timeout=PATIENCE)

        async def keep_rules(transport: str) -> None:
            finished = await uclient(server, transport, f"{common} -c -n 10")
            assert totals(finished) == Totals(10, 10, lost=0, dropped=0), str(finished)

        async with trio.open_nursery() as nursery:
            for transport in TRANSPORT_FLAGS:
                for flags in BREAKING.values():
                    nursery.start_soon(break_rules, transport, flags)
        rejected = {line["transport"] for line in server.events("request-rejected")}
        assert rejected == set(TRANSPORT_FLAGS), "no rule was broken there"

        async with trio.open_nursery() as nursery:
            for transport in TRANSPORT_FLAGS:
                nursery.start_soon(keep_rules, transport)
