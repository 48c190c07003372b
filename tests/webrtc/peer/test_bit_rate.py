"""What the encoders of a call aim at: what the line carries, up to what there is a use for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import trio

from tests.webrtc.peer.media import FRAME_RATE, pictures
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from webrtc import EncodingParameters, PeerConnection, RtpSender
from webrtc.encoding import useful_bps
from webrtc.media.frames import EncodedFrame


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(TIMEOUT):
        while not condition():
            await trio.sleep(0.02)


async def call_with(
    one: PeerConnection, two: PeerConnection, nursery: trio.Nursery, *parameters: EncodingParameters
) -> RtpSender:
    """Have the first send 320x240 to the second, and return by what."""
    sender = one.add_transceiver(
        "video", pictures(), direction="sendonly", encodings=parameters
    ).sender
    await connect(one, two, nursery)
    return sender


async def test_a_good_line_gives_an_encoder_all_that_its_pictures_have_a_use_for() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        sender = await call_with(one, two, nursery)
        await until(lambda: sender.bit_rate == useful_bps(320, 240))
        sender.replace_track(pictures(width=640, height=480))
        await until(lambda: sender.useful_bps == useful_bps(640, 480))
        nursery.cancel_scope.cancel()


async def test_an_encoder_stays_below_what_it_was_given_at_most() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        sender = await call_with(one, two, nursery, EncodingParameters(max_bit_rate=400_000))
        await until(lambda: sender.bit_rate == 400_000)
        assert sender.useful_bps == 400_000
        nursery.cancel_scope.cancel()


class Hardware:
    """An `EncodedSource` that notes what it is told."""

    def __init__(self) -> None:
        self.rates: list[int] = []
        self.key_frames = 0

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        frames = 0
        while True:
            yield EncodedFrame(b"\x10\x00", "VP8", frames * 90_000 // FRAME_RATE)
            frames += 1
            await trio.sleep(1 / FRAME_RATE)

    def set_bit_rate(self, rate_bps: int) -> None:
        self.rates.append(rate_bps)

    def request_key_frame(self) -> None:
        self.key_frames += 1


async def test_a_source_that_encodes_is_told_what_an_encoder_would_be() -> None:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        sender = await call_with(one, two, nursery)
        await until(lambda: sender.useful_bps is not None)
        source = Hardware()
        sender.replace_track(source)
        await until(lambda: bool(source.rates))
        # Of frames that come encoded nobody knows what they have a use for.
        assert sender.useful_bps is None
        track = await anext(two.tracks())
        wishes = source.key_frames
        track.receiver.request_key_frame()
        await until(lambda: source.key_frames > wishes)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("width", "height", "bit_rate"),
    [
        (160, 120, 600_000),
        (320, 240, 600_000),
        (240, 320, 600_000),
        (640, 360, 1_700_000),
        (960, 540, 2_000_000),
        (1280, 720, 2_500_000),
        (1920, 1080, 4_000_000),
    ],
)
def test_larger_pictures_have_a_use_for_more(width: int, height: int, bit_rate: int) -> None:
    assert useful_bps(width, height) == bit_rate
