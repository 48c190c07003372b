"""The judge of turnutils_uclient's runs finds losses where there are some.

Without this, a program that always counted zero losses would pass every test beside it.
"""

from __future__ import annotations

import trio

from tests.interop.conftest import StartServer
from tests.interop.test_turnutils_uclient import LOGIN, MESSAGES, PACE, judge
from tests.interop.turnutils import Totals, totals, uclient


async def test_a_peer_that_answers_nothing_is_told_from_one_that_does(
    start_server: StartServer,
) -> None:
    async with start_server({}) as server:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as silent:
            await silent.bind(("127.0.0.1", 0))
            flags = f"{LOGIN} {PACE} -c -e 127.0.0.1 -r {silent.getsockname()[1]}"
            finished = await uclient(server, "udp", flags)
            arrived = [await silent.recv(2000) for _ in range(MESSAGES)]
        assert len(arrived) == MESSAGES
        assert totals(finished) == Totals(MESSAGES, 0, lost=MESSAGES, dropped=0), str(finished)
        # Its exit code is 0 all the same: the counts are what matters.
        assert finished.exit_code == 0
        assert judge(finished, MESSAGES)
