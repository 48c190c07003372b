"""A video that comes encoded, as of hardware, and somebody who sees when it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from tests.webrtc.network.viewing import freezes
from tests.webrtc.rtp.pair import vp8_frame
from webrtc import RtpReceiver
from webrtc.media.frames import EncodedFrame
from webrtc.rtp import FrameReceived

FRAME_RATE = 30
KEY_FRAME = 3
"""Times as large as others."""


class Film:
    """An `EncodedSource` that fills the bit rate, up to some.

    Attributes:
        frames: how many there were.
        key_frames: among these.

    """

    def __init__(self, max_bps: int) -> None:
        self.frames = self.key_frames = 0
        self._max_bps = max_bps
        self._rate_bps = 300_000
        self._wants_key = True

    def set_bit_rate(self, rate_bps: int) -> None:
        self._rate_bps = min(rate_bps, self._max_bps)

    def request_key_frame(self) -> None:
        self._wants_key = True

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        began = trio.current_time()
        while True:
            is_key, self._wants_key = self._wants_key, False
            size = self._rate_bps // FRAME_RATE // 8 * (KEY_FRAME if is_key else 1)
            data = vp8_frame(size, is_key=is_key, tag=self.frames)
            yield EncodedFrame(data, "VP8", 3000 * self.frames, is_key_frame=is_key)
            self.frames += 1
            self.key_frames += is_key
            await trio.sleep_until(began + self.frames / FRAME_RATE)


class Audience:
    """Sees each frame when it is due, or when it came, if that is later."""

    def __init__(self, receiver: RtpReceiver) -> None:
        self.shown: list[tuple[float, int]] = []
        self._take = receiver.take_frame
        receiver.take_frame = self.take  # type: ignore[method-assign]

    def take(self, event: FrameReceived) -> None:
        number = int.from_bytes(event.frame.data[1:5])
        self.shown.append((max(event.frame.playout_at, trio.current_time()), number))
        self._take(event)

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.shown]

    def frames_per_second(self, since: float) -> float:
        times = [at for at, _ in self.shown if at >= since]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def freezes(self, since: float) -> list[float]:
        return freezes([at for at, _ in self.shown if at >= since])
