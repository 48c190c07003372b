"""A call that loses packets: what its encoders are told, and what FEC brings back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import trio

from tests.webrtc.peer.media import pictures, tone, watch
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from tests.webrtc.robust.running_call import transport_of
from webrtc import PeerConnection
from webrtc.media.codecs.libopus import OpusEncoder
from webrtc.rtp import fec_control
from webrtc.rtp.packet import is_rtcp

LOST = 10
"""Every so many packets one is lost."""


def lose_media(peer: PeerConnection, patch: pytest.MonkeyPatch) -> None:
    """Lose every tenth RTP packet that the peer sends from now on."""
    transport = transport_of(peer)
    send: Callable[[bytes], None] = transport._send
    numbers = itertools.count(1)

    def lossy(datagram: bytes) -> None:
        is_rtp = 128 <= datagram[0] < 192 and not is_rtcp(datagram)
        if not is_rtp or next(numbers) % LOST:
            send(datagram)

    patch.setattr(transport, "_send", lossy)


async def test_opus_is_told_of_loss_and_video_is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    as_it_is = OpusEncoder.set_expected_loss

    def note(encoder: OpusEncoder, fraction: float) -> None:
        told.append(fraction)
        as_it_is(encoder, fraction)

    monkeypatch.setattr(OpusEncoder, "set_expected_loss", note)
    # Loopback is too short a path for FEC, otherwise.
    monkeypatch.setattr(fec_control, "SHORT_ROUND_TRIP", 0.0)
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_track("audio", tone(440))
        one.add_track("video", pictures())
        await connect(one, two, nursery)
        lose_media(one, monkeypatch)
        with trio.fail_after(TIMEOUT):
            async for track in two.tracks():
                if track.kind.value == "video":
                    break
            while not told or max(told) < 0.02:
                await watch(track.receiver, 5)
            statistics = track.receiver.statistics
            while not any(each.fec_packets_recovered for each in statistics().values()):
                await watch(track.receiver, 5)
            seen = await watch(track.receiver, 20)
        counters = [reading.counter for reading in seen]
        assert counters == sorted(set(counters))
        assert all(reading.is_intact for reading in seen)
        nursery.cancel_scope.cancel()
