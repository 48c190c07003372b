"""What is cancelled or closed in the middle: nothing is left half done."""

from __future__ import annotations

import pytest
import trio

from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, two_peers, wait_connected
from webrtc import ConnectionClosedError, Description, PeerConnection, SignalingState

STEPS = range(12)
"""Turns of the scheduler after which something interferes; an exchange takes fewer."""


async def after_turns(turns: int) -> None:
    for _ in range(turns):
        await trio.lowlevel.checkpoint()


async def gathered_offer(peer: PeerConnection) -> Description:
    """Return an offer that needs no trickling."""
    peer.create_data_channel("chat")
    offer = await peer.set_local_description()
    await peer.gathered()
    return peer.local_description or offer


@pytest.mark.parametrize("turns", STEPS)
async def test_setting_a_description_that_is_cancelled_is_done_or_was_not_begun(turns: int) -> None:
    async with two_peers() as (alice, bob), trio.open_nursery() as nursery:
        await bob.set_remote_description(await gathered_offer(alice))

        async def answer(scope: trio.CancelScope) -> None:
            with scope:
                await bob.set_local_description()

        scope = trio.CancelScope()
        nursery.start_soon(answer, scope)
        await after_turns(turns)
        scope.cancel()
        with trio.fail_after(TIMEOUT):
            while nursery.child_tasks:
                await trio.lowlevel.checkpoint()
        if bob.signaling_state is SignalingState.HAVE_REMOTE_OFFER:
            await bob.set_local_description()
        with trio.fail_after(TIMEOUT):
            await bob.gathered()
        assert bob.local_description is not None
        await alice.set_remote_description(bob.local_description)
        await wait_connected(alice, bob)


@pytest.mark.parametrize("turns", STEPS)
async def test_closing_in_the_middle_of_an_exchange_is_told_as_that(turns: int) -> None:
    told: list[Exception] = []
    async with PeerConnection(ON_LOOPBACK) as alice:
        offer = await gathered_offer(alice)
        async with PeerConnection(ON_LOOPBACK) as bob, trio.open_nursery() as nursery:

            async def answer() -> None:
                try:
                    await bob.set_remote_description(offer)
                    await bob.set_local_description()
                except ConnectionClosedError as error:
                    told.append(error)

            nursery.start_soon(answer)
            await after_turns(turns)
            bob.close()
            with trio.fail_after(TIMEOUT):
                while nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
    assert len(told) <= 1
