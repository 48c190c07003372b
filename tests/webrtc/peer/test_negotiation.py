"""Exchanges of descriptions between two peer connections of ours, over and over."""

from __future__ import annotations

import contextlib
import re

import pytest
import trio

from tests.webrtc.peer.media import listen, pictures, tone, watch
from tests.webrtc.peer.peers import (
    TIMEOUT,
    connect,
    exchange,
    negotiating_peers,
    two_peers,
    wait_connected,
)
from webrtc import (
    ChannelState,
    Description,
    DescriptionType,
    Direction,
    MediaKind,
    PeerConnection,
    RtpTransceiver,
    SignalingState,
)
from webrtc.sdp import StaleCandidateError


def direction_of(transceiver: RtpTransceiver) -> Direction | None:
    """Ask anew: a type checker believes that a property stays what it was."""
    return transceiver.current_direction


def state_of(peer: PeerConnection) -> SignalingState:
    return peer.signaling_state


async def exchanged(answerer: PeerConnection) -> None:
    """Return once the answerer has got an offer and has answered it."""
    states = answerer.signaling_states()
    for wanted in (SignalingState.HAVE_REMOTE_OFFER, SignalingState.STABLE):
        async for state in states:
            if state is wanted:
                break


async def test_offers_that_cross_are_settled_by_who_is_polite() -> None:
    async with negotiating_peers() as (one, two):
        channels = [
            peer.create_data_channel(f"of {index}") for index, peer in enumerate((one, two))
        ]
        for peer, first in ((one, 100), (two, 200)):
            peer.add_track("video", pictures(first))
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            for channel, peer in zip(channels, (two, one), strict=True):
                await channel.send("hello")
                assert await (await anext(peer.data_channels())).receive() == "hello"
            for peer, first in ((one, 200), (two, 100)):
                track = await anext(peer.tracks())
                readings = await watch(track.receiver, 3)
                assert first <= readings[0].counter < first + 100


async def test_a_track_is_added_and_removed_in_a_call_that_goes_on() -> None:
    async with negotiating_peers() as (one, two):
        channel = one.create_data_channel("through it all")
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            added = one.add_track("audio", tone(500.0))
            track = await anext(two.tracks())
            assert (await listen(track.receiver)).frequency == pytest.approx(500.0, abs=10)
            added.stop()
            async for _ in track.receiver:
                pass  # it ends
            assert two.transceivers == ()
            await channel.send("still here")
            far = await anext(two.data_channels())
            assert await far.receive() == "still here"
            assert channel.state is ChannelState.OPEN


async def test_a_track_goes_over_a_transceiver_that_waits_for_one() -> None:
    async with negotiating_peers() as (one, two):
        waiting = one.add_transceiver("audio")
        receiving = one.add_transceiver("audio", direction="recvonly")
        assert one.add_track("audio", tone(500.0)) is waiting
        assert one.add_track("audio", tone(700.0)) is receiving
        assert receiving.direction is Direction.SENDRECV
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            track = await anext(two.tracks())
            assert (await listen(track.receiver)).frequency == pytest.approx(500.0, abs=10)
        waiting.sender.replace_track(None)
        waiting.direction = Direction.RECVONLY
        # It has sent: the peer knows its track by other names.
        assert one.add_track("audio", tone(900.0)) not in (waiting, receiving)


async def test_direction_says_who_sends() -> None:
    async with negotiating_peers() as (one, two):
        ours = one.add_track("video", pictures(0))
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            track = await anext(two.tracks())
            assert direction_of(track.transceiver) is Direction.RECVONLY
            track.transceiver.sender.replace_track(pictures(500))
            track.transceiver.direction = Direction.SENDRECV
            readings = await watch((await anext(one.tracks())).receiver, 3)
            assert readings[0].counter >= 500
            assert direction_of(ours) is Direction.SENDRECV
            ours.direction = Direction.INACTIVE
            await exchanged(two)
            assert direction_of(track.transceiver) is Direction.INACTIVE


async def test_an_ice_restart_leaves_channels_and_media_as_they_are() -> None:
    async with negotiating_peers() as (one, two):
        channel = one.create_data_channel("through it all")
        one.add_track("video", pictures(0))
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            far = await anext(two.data_channels())
            track = await anext(two.tracks())
            await watch(track.receiver, 3)
            before = one.local_description
            one.restart_ice()
            await exchanged(two)
            await channel.send("on new credentials")
            assert await far.receive() == "on new credentials"
            assert len(await watch(track.receiver, 5)) == 5
            after = one.local_description
        assert before is not None
        assert after is not None
        fragments = [
            {line for line in each.sdp.splitlines() if line.startswith("a=ice-ufrag")}
            for each in (before, after)
        ]
        assert not fragments[0] & fragments[1]


async def test_an_ice_restart_that_is_rolled_back_is_made_up_for_by_the_next() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        near = one.create_data_channel("chat")
        await exchange(one, two)
        for teller, listener in ((one, two), (two, one)):
            nursery.start_soon(trickle_what_is_in_force, teller, listener)
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            far = await anext(two.data_channels())
            before = one.local_description
            one.restart_ice()
            for _ in range(2):
                await one.set_local_description()
                await one.set_local_description(Description("rollback"))
            assert one._jsep.is_negotiation_needed, "the restart is still wanted"
            # The peer's offer, which may have crossed ours, is answered without a restart.
            two.add_transceiver("audio")
            await exchange(two, one)
            assert _fragment(one) == _fragment_of(before)
            await near.send("by the old way")
            assert await far.receive() == "by the old way"
            await exchange(one, two)
            assert _fragment(one) != _fragment_of(before)
            await near.send("by the new way")
            assert await far.receive() == "by the new way"
            await wait_connected(one, two)
        nursery.cancel_scope.cancel()


async def test_restarts_at_both_ends_at_once_are_settled() -> None:
    async with negotiating_peers() as (one, two):
        near = one.create_data_channel("chat")
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            far = await anext(two.data_channels())
            for turn in range(5):
                one.restart_ice()
                two.restart_ice()
                await near.send(str(turn))
                assert await far.receive() == str(turn)
                while one._jsep.is_negotiation_needed or two._jsep.is_negotiation_needed:
                    await trio.sleep(0.01)
            await wait_connected(one, two)


async def trickle_what_is_in_force(teller: PeerConnection, listener: PeerConnection) -> None:
    async for candidate in teller.local_candidates():
        with contextlib.suppress(StaleCandidateError):
            await listener.add_ice_candidate(candidate)


def _fragment_of(description: Description | None) -> str:
    assert description is not None
    found = re.search("a=ice-ufrag:(.*)", description.sdp)
    assert found is not None
    return found[1]


def _fragment(peer: PeerConnection) -> str:
    return _fragment_of(peer.local_description)


async def test_a_rollback_takes_an_offer_back() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.create_data_channel("first")
        await connect(one, two, nursery)
        one.add_transceiver("audio")
        await one.set_local_description()
        assert state_of(one) is SignalingState.HAVE_LOCAL_OFFER
        await one.set_local_description(Description(DescriptionType.ROLLBACK))
        assert state_of(one) is SignalingState.STABLE
        assert [transceiver.mid for transceiver in one.transceivers] == [None]
        await exchange(one, two)
        assert [transceiver.kind for transceiver in two.transceivers] == [MediaKind.AUDIO]
        nursery.cancel_scope.cancel()
