"""Binding requests to real servers: what a client looks like from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ice_client.turn import StageEnded, TraceEvent, binding
from tests.ice_client.turn.servers import LINKS, SERVERS


@pytest.mark.parametrize("kind", SERVERS)
async def test_binding_tells_the_mapped_address_over_every_transport(
    kind: str, tmp_path: Path
) -> None:
    async with SERVERS[kind](tmp_path) as running:
        for transport, host in LINKS:
            events: list[TraceEvent] = []
            with trio.fail_after(20):
                result = await binding(running.at(transport, host), observer=events.append)
            assert result.mapped_address == result.local_address  # there is no NAT on loopback
            assert result.server_address.host == host
            assert result.round_trip_time is not None
            assert 0 < result.round_trip_time < 5
            stages = [each.stage.value for each in events if isinstance(each, StageEnded)]
            handshake = [f"{transport.value}-handshake"] if transport.is_secure else []
            assert stages == ["connect", *handshake]
