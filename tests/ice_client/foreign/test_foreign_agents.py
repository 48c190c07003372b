"""Our agent connects to those of aioice, aiortc, libnice and pion: `cases.py` says how."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import trio

from tests.ice_client.foreign.bench import open_bench
from tests.ice_client.foreign.cases import Case, Peer, cases_of

AT_ONCE = 6
"""Cases run side by side: most of their time is waiting."""


@pytest.mark.parametrize("peer", Peer, ids=lambda peer: peer.value)
async def test_our_agent_connects_and_has_data_sent_back_by(peer: Peer, tmp_path: Path) -> None:
    failures: list[str] = []
    limiter = trio.CapacityLimiter(AT_ONCE)
    async with open_bench(peer, tmp_path) as bench, trio.open_nursery() as nursery:

        async def show(case: Case) -> None:
            async with limiter:
                try:
                    await bench.show(case)
                except Exception:  # the others are to be shown as well
                    failures.append(f"{case}:\n{traceback.format_exc(limit=-1)}")

        for case in cases_of(peer):
            nursery.start_soon(show, case)
    assert not failures, "\n".join(failures)
