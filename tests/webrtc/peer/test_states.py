"""What a peer connection says of itself while things go wrong."""

from __future__ import annotations

import re

import attrs
import pytest
import trio

from ice_client import Settings
from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, connect, trickle, two_peers
from webrtc import (
    AgentState,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectionState,
    Description,
    GatheringState,
    PeerConnection,
)
from webrtc.connection_state import connection_state, ice_connection_state
from webrtc.dtls import DtlsState

IMPATIENT = attrs.evolve(
    ON_LOOPBACK,
    ice=attrs.evolve(
        ON_LOOPBACK.ice,
        settings=Settings(consent_interval=0.1, disconnected_after=0.3, consent_timeout=1.0),
    ),
)


async def test_a_peer_that_falls_silent_is_disconnected_then_failed() -> None:
    async with two_peers(IMPATIENT) as (one, two), trio.open_nursery() as nursery:
        one.create_data_channel()
        await connect(one, two, nursery)
        states = one.connection_states()
        for transport in two._transports.values():
            transport._scope.cancel()  # no goodbye
        with trio.fail_after(TIMEOUT):
            seen = [await anext(states) for _ in range(3)]
        assert seen == [
            ConnectionState.CONNECTED,
            ConnectionState.DISCONNECTED,
            ConnectionState.FAILED,
        ]
        with pytest.raises(ConnectionFailedError):
            await one.connected()
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_was_not_signalled_fails_the_connection() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.create_data_channel()
        await two.set_remote_description(await one.set_local_description())
        answer = await two.set_local_description()
        forged = re.sub(r"(a=fingerprint:sha-256 )\S\S", r"\g<1>00", answer.sdp)
        forged = forged if forged != answer.sdp else re.sub(r"(sha-256 )\S\S", r"\g<1>01", forged)
        await one.set_remote_description(Description(answer.type, forged))
        nursery.start_soon(trickle, one, two)
        nursery.start_soon(trickle, two, one)
        with trio.fail_after(TIMEOUT), pytest.raises(ConnectionFailedError, match="fingerprint"):
            await one.connected()
        nursery.cancel_scope.cancel()


async def test_closing_ends_every_iterator_and_refuses_everything_else() -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        channel = peer.create_data_channel("never")
        transceiver = peer.add_transceiver("video")
        await peer.set_local_description()
        await peer.gathered()
        assert peer.ice_gathering_state is GatheringState.COMPLETE
        iterators = (
            peer.connection_states(),
            peer.signaling_states(),
            peer.ice_connection_states(),
            peer.local_candidates(),
            peer.data_channels(),
            peer.tracks(),
            peer.negotiation_needed(),
            transceiver.receiver,
            channel,
        )
        peer.close()
        with trio.fail_after(TIMEOUT):
            for iterator in iterators:
                async for _ in iterator:
                    pass
        with pytest.raises(ConnectionClosedError):
            await peer.create_offer()
        with pytest.raises(ConnectionClosedError):
            peer.create_data_channel()


async def test_leaving_the_block_tells_the_peer() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        channel = one.create_data_channel()
        await connect(one, two, nursery)
        far = await anext(two.data_channels())
        one.close()
        with trio.fail_after(TIMEOUT):
            await far.closed()
            await channel.closed()
        nursery.cancel_scope.cancel()


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    async def err() -> None:
        async with PeerConnection(ON_LOOPBACK) as peer:
            peer.create_data_channel()
            await peer.set_local_description()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await err()


S, D, C = AgentState, DtlsState, ConnectionState


@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        ([], C.NEW),
        ([(S.NEW, D.NEW)], C.NEW),
        ([(S.CHECKING, D.NEW)], C.CONNECTING),
        ([(S.CONNECTED, D.NEW)], C.CONNECTING),
        ([(S.CONNECTED, D.CONNECTING)], C.CONNECTING),
        ([(S.COMPLETED, D.CONNECTED)], C.CONNECTED),
        ([(S.COMPLETED, D.CONNECTED), (S.CHECKING, D.NEW)], C.CONNECTING),
        ([(S.COMPLETED, D.CONNECTED), (S.DISCONNECTED, D.CONNECTED)], C.DISCONNECTED),
        ([(S.COMPLETED, D.FAILED), (S.DISCONNECTED, D.CONNECTED)], C.FAILED),
        ([(S.FAILED, D.CONNECTED)], C.FAILED),
        ([(S.COMPLETED, D.CLOSED)], C.CONNECTED),
    ],
)
def test_the_connection_is_as_its_transports_are(
    transports: list[tuple[AgentState, DtlsState]], expected: ConnectionState
) -> None:
    """W3C webrtc-pc §5.6, RTCPeerConnectionState's table."""
    assert connection_state(transports) is expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], S.NEW),
        ([S.NEW, S.CLOSED], S.NEW),
        ([S.NEW, S.COMPLETED], S.CHECKING),
        ([S.CHECKING, S.CONNECTED], S.CHECKING),
        ([S.CONNECTED, S.COMPLETED], S.CONNECTED),
        ([S.COMPLETED, S.CLOSED], S.COMPLETED),
        ([S.COMPLETED, S.DISCONNECTED], S.DISCONNECTED),
        ([S.FAILED, S.DISCONNECTED], S.FAILED),
    ],
)
def test_ice_is_as_its_agents_are(states: list[AgentState], expected: AgentState) -> None:
    """W3C webrtc-pc §5.6, RTCIceConnectionState's table."""
    assert ice_connection_state(states) is expected
