"""Relays through real servers, over every transport and both families."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ice_client.turn import AuthenticationError, LongTermCredentials, Relay, Transport, open_relay
from tests.ice_client.turn.servers import CREDENTIALS, LINKS, SERVERS, turnd


async def exchange(alice: Relay, bob: Relay) -> None:
    """Send both ways, before a channel stands and after."""
    await alice.permit(bob.relayed_address)
    await bob.permit(alice.relayed_address)
    for number in range(10):
        for sender, receiver in ((alice, bob), (bob, alice)):
            data = b"%d" % number * 100
            await sender.send_to(data, receiver.relayed_address)
            assert await receiver.receive_from() == (data, sender.relayed_address)


@pytest.mark.parametrize("kind", SERVERS)
async def test_two_relays_exchange_datagrams_over_every_transport(
    kind: str, tmp_path: Path
) -> None:
    async with SERVERS[kind](tmp_path) as running:
        for transport, host in LINKS:
            server = running.at(transport, host)
            with trio.fail_after(20):
                async with open_relay(server) as alice, open_relay(server) as bob:
                    assert alice.mapped_address == alice.local_address
                    await exchange(alice, bob)
                    await alice.refresh()
                    await exchange(alice, bob)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "credentials", [LongTermCredentials(CREDENTIALS.username, "wrong"), None], ids=["wrong", "none"]
)
async def test_wrong_or_no_credentials_are_an_authentication_error(
    kind: str, credentials: LongTermCredentials | None, tmp_path: Path
) -> None:
    async with SERVERS[kind](tmp_path) as running:
        for transport in Transport:
            with trio.fail_after(20), pytest.raises(AuthenticationError) as caught:
                async with open_relay(running.at(transport, credentials=credentials)):
                    pytest.fail("allocated")
            assert caught.value.code == 401


async def test_every_transport_leaves_no_allocation_behind(tmp_path: Path) -> None:
    async with turnd(tmp_path) as running:
        for transport, host in LINKS:
            async with open_relay(running.at(transport, host)):
                pass
        await running.closed_all(opened=len(LINKS))
        assert running.server.transports() == {each.value for each in Transport}
