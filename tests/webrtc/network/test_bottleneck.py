"""A call of ours over a line that is too narrow for what the encoder would like.

It wants a quiet machine: where both ends and the line have to wait for a processor, packets come
late as from a line that is full, and the rate falls, rightly. `tests/webrtc/lines` has the same
on virtual time, whatever else runs.

`--log-cli-level=INFO` shows the encoder's bit rate and what was seen of the video.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from fractions import Fraction
from statistics import fmean

import attrs
import numpy as np
import trio

from tests.natlab import Impairment, Lab
from tests.webrtc.network.calls import RIGHT, call, two_hosts, two_peers
from tests.webrtc.network.viewing import Viewer
from tests.webrtc.peer.media import FRAME_RATE
from tests.webrtc.peer.peers import TIMEOUT
from webrtc import ConnectionState, RtpSender
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import draw_pattern

_log = logging.getLogger(__name__)
BOTTLENECK_BPS = 500_000
CONVERGED_WITHIN = 10.0
"""Seconds from when the call is up, as the issue asks."""
LOOKED_AT = 2.5
"""Seconds before that, in which it must be there already."""
FREE = 3.0
"""Seconds in which nothing holds the encoder back."""
WIDE = Impairment(delay=0.05)
NARROW = Impairment(delay=0.05, rate_bps=BOTTLENECK_BPS, queue_bytes=32_000)


async def noisy_pictures() -> AsyncIterator[VideoFrame]:
    """The test pattern under noise, which costs whatever bit rate there is."""
    dice = np.random.default_rng(1)
    noises = [dice.integers(-20, 21, (240, 320), np.int16) for _ in range(16)]
    began = trio.current_time()
    number = 0
    while True:
        frame = draw_pattern(number, 320, 240, number, Fraction(1, FRAME_RATE))
        luma = np.clip(frame.y + noises[number % 16], 16, 235).astype(np.uint8)
        yield attrs.evolve(frame, y=luma)
        number += 1
        await trio.sleep_until(began + number / FRAME_RATE)


async def sample(sender: RtpSender, rates: list[tuple[float, int]]) -> None:
    """Note the encoder's bit rate now and then."""
    while True:
        if sender.bit_rate is not None:
            rates.append((trio.current_time(), sender.bit_rate))
        await trio.sleep(0.1)


@attrs.define
class Bottleneck:
    """A call whose video goes from right to left, and what was seen of it.

    Attributes:
        viewer: what the left one saw.
        rates: what the right one's encoder aimed at, and when.
        began: when the call was up.

    """

    viewer: Viewer
    rates: list[tuple[float, int]]
    began: float

    def rates_since(self, moment: float) -> list[int]:
        return [rate for time, rate in self.rates if time >= moment]

    def story(self) -> str:
        """Return the encoder's bit rate in kbit/s, twice a second."""
        return " ".join(str(rate // 1000) for _, rate in self.rates[::5])


@contextlib.asynccontextmanager
async def sending_video(net: Lab) -> AsyncIterator[Bottleneck]:
    async with two_peers() as peers, trio.open_nursery() as nursery:
        peers.left.add_transceiver("video", direction="recvonly")
        sending = peers.right.add_track("video", noisy_pictures())
        await call(net, peers)
        seen = Bottleneck(Viewer(), [], trio.current_time())
        with trio.fail_after(TIMEOUT):
            nursery.start_soon(sample, sending.sender, seen.rates)
            track = await anext(peers.left.tracks())
            nursery.start_soon(seen.viewer.watch, track.receiver)
            yield seen
        assert peers.left.connection_state is ConnectionState.CONNECTED
        assert peers.right.connection_state is ConnectionState.CONNECTED
        nursery.cancel_scope.cancel()


def assert_converged(seen: Bottleneck, since: float) -> None:
    """Assert that the encoder's rate has been the bottleneck's since then, and video goes on."""
    late, viewed = seen.rates_since(since), seen.viewer.since(since)
    _log.info("kbit/s: %s; in the end %d to %d; %s", seen.story(), min(late), max(late), viewed)
    assert fmean(late) >= 0.5 * BOTTLENECK_BPS
    assert max(late) <= 1.2 * BOTTLENECK_BPS
    assert viewed.frames_per_second >= 0.7 * FRAME_RATE


async def test_the_encoder_finds_a_bottlenecks_bit_rate_within_ten_seconds() -> None:
    with two_hosts() as net:
        net.impair(RIGHT, up=NARROW, down=WIDE)
        async with sending_video(net) as seen:
            await trio.sleep_until(seen.began + CONVERGED_WITHIN)
    assert_converged(seen, seen.began + CONVERGED_WITHIN - LOOKED_AT)


async def test_the_encoder_gives_way_within_ten_seconds_when_the_path_narrows_in_a_call() -> None:
    with two_hosts() as net:
        net.impair(RIGHT, up=WIDE, down=WIDE)
        async with sending_video(net) as seen:
            await trio.sleep_until(seen.began + FREE)
            narrowed = trio.current_time()
            net.impair(RIGHT, up=NARROW, down=WIDE)
            await trio.sleep_until(narrowed + CONVERGED_WITHIN)
    # It had all that its pictures have a use for, which is more than goes through later.
    assert max(seen.rates_since(narrowed - 0.5)) > BOTTLENECK_BPS
    assert_converged(seen, narrowed + CONVERGED_WITHIN - LOOKED_AT)
