"""Peers that do not share one transport, and candidates that belong to one of several."""

from __future__ import annotations

import itertools

import attrs
import pytest
import trio

from tests.webrtc.peer.media import listen, pictures, tone, watch
from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, two_peers, wait_connected
from webrtc import BundlePolicy, Description, IceCandidate, PeerConnection, TrackEvent

APART = attrs.evolve(ON_LOOPBACK, bundle_policy=BundlePolicy.MAX_COMPAT)


def without_bundle(description: Description) -> Description:
    """Return what a peer says that has never heard of BUNDLE."""
    lines = description.sdp.splitlines(keepends=True)
    unknown = ("a=group:BUNDLE", "a=bundle-only")
    return attrs.evolve(
        description, sdp="".join(line for line in lines if not line.startswith(unknown))
    )


async def exchange(one: PeerConnection, two: PeerConnection) -> None:
    """Exchange descriptions between two peers of whom neither hears of BUNDLE."""
    await two.set_remote_description(without_bundle(await one.set_local_description()))
    await one.set_remote_description(without_bundle(await two.set_local_description()))


async def trickle(teller: PeerConnection, listener: PeerConnection) -> None:
    async for candidate in teller.local_candidates():
        await listener.add_ice_candidate(candidate)


async def tracks_of(peer: PeerConnection, count: int) -> dict[str, TrackEvent]:
    found: dict[str, TrackEvent] = {}
    async for track in peer.tracks():
        found[track.kind.value] = track
        if len(found) == count:
            break
    return found


def transports_of(peer: PeerConnection) -> int:
    return len([each for each in peer.get_stats().values() if each["type"] == "transport"])


@pytest.mark.parametrize(
    ("policy", "offered"), [(BundlePolicy.MAX_COMPAT, 4), (BundlePolicy.BALANCED, 3)]
)
async def test_a_peer_without_bundle_gets_a_transport_for_each_section_that_can_stand_alone(
    policy: BundlePolicy, offered: int
) -> None:
    here = attrs.evolve(ON_LOOPBACK, bundle_policy=policy)
    async with two_peers(here, APART) as (one, two), trio.open_nursery() as nursery:
        one.add_track("audio", tone(440))
        one.add_track("video", pictures())
        one.add_track("video", pictures(1000))
        channel = one.create_data_channel("apart")
        await exchange(one, two)
        assert transports_of(one) == transports_of(two) == offered
        nursery.start_soon(trickle, one, two)
        nursery.start_soon(trickle, two, one)
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            tracks = await tracks_of(two, 2)
            assert (await listen(tracks["audio"].receiver)).frequency == pytest.approx(440, abs=5)
            assert len(await watch(tracks["video"].receiver, 5)) == 5
            await channel.send("over a transport of its own")
            incoming = await anext(two.data_channels())
            assert await incoming.receive() == "over a transport of its own"
        nursery.cancel_scope.cancel()


async def test_sections_are_bundled_once_a_peer_that_knows_it_offers() -> None:
    async with two_peers(APART) as (one, two), trio.open_nursery() as nursery:
        one.add_track("audio", tone(440))
        channel = one.create_data_channel()
        await two.set_remote_description(await one.set_local_description())
        assert transports_of(one) == 2
        await one.set_remote_description(await two.set_local_description())
        assert transports_of(one) == transports_of(two) == 1
        nursery.start_soon(trickle, one, two)
        nursery.start_soon(trickle, two, one)
        await wait_connected(one, two)
        with trio.fail_after(TIMEOUT):
            await channel.opened()
        nursery.cancel_scope.cancel()


def of_rtcp(candidate: IceCandidate) -> IceCandidate:
    """Return it as a peer writes that does not know yet whether RTCP goes with RTP."""
    words = candidate.candidate.split(" ")
    words[1], words[5] = "2", str(int(words[5]) + 1)
    return attrs.evolve(candidate, candidate=" ".join(words))


@pytest.mark.parametrize("is_early", [True, False], ids=["before the answer", "after it"])
async def test_each_trickled_candidate_goes_to_its_transport_and_those_for_rtcp_nowhere(
    is_early: bool,
) -> None:
    async with two_peers(APART) as (one, two):
        one.add_track("audio", tone(440))
        one.create_data_channel()
        offer = without_bundle(await one.set_local_description())
        await two.set_remote_description(offer)
        if not is_early:
            await one.set_remote_description(without_bundle(await two.set_local_description()))
        with trio.fail_after(TIMEOUT):
            await one.gathered()
            ours = one.local_candidates()
            ended: set[str | None] = set()
            while len(ended) < 2:
                candidate = await anext(ours)
                await two.add_ice_candidate(candidate)
                if candidate.candidate:
                    await two.add_ice_candidate(of_rtcp(candidate))
                else:
                    ended.add(candidate.sdp_mid)
        assert ended == {"0", "1"}
        if is_early:
            await one.set_remote_description(without_bundle(await two.set_local_description()))
        await wait_connected(one, two)
        remote = [each for each in two.get_stats().values() if each["type"] == "remote-candidate"]
        told = [each for each in one.get_stats().values() if each["type"] == "local-candidate"]
        # By address: each transport has those of its own section, and none of another's.
        ports = {
            number: {each["port"] for each in remote if each["transportId"] == f"T{number}"}
            for number in range(2)
        }
        assert {each["port"] for each in told} == set(itertools.chain(*ports.values()))
        assert not ports[0] & ports[1]
