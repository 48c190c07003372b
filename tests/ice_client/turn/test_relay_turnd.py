"""Relays through a real turnd."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ice_client.turn import AuthenticationError, LongTermCredentials, TurnServer, open_relay
from tests.interop.server_under_test import PASSWORD, USER, running_server


async def test_two_relays_exchange_datagrams(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        for host in server.hosts:
            turn = TurnServer(
                host, server.plain_port, credentials=LongTermCredentials(USER, PASSWORD)
            )
            with trio.fail_after(20):
                async with open_relay(turn) as alice, open_relay(turn) as bob:
                    await alice.permit(bob.relayed_address)
                    await bob.permit(alice.relayed_address)
                    for number in range(10):
                        await alice.send_to(b"a%d" % number, bob.relayed_address)
                        assert await bob.receive_from() == (b"a%d" % number, alice.relayed_address)
                        await bob.send_to(b"b%d" % number, alice.relayed_address)
                        assert await alice.receive_from() == (b"b%d" % number, bob.relayed_address)
                    await alice.refresh()
        assert len(server.events("allocation-opened")) == 4
        assert len(server.events("allocation-closed")) == 4


async def test_a_wrong_password_is_an_authentication_error(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        turn = TurnServer(
            "127.0.0.1", server.plain_port, credentials=LongTermCredentials(USER, "wrong")
        )
        with trio.fail_after(20), pytest.raises(AuthenticationError):
            async with open_relay(turn):
                pytest.fail("allocated")
