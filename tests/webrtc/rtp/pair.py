"""Two sessions over two simulated paths, on virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from tests.webrtc.rtp.network import Path
from webrtc.rtp import (
    SUPPORTED_URIS,
    Codec,
    Datagram,
    ExtensionMap,
    FrameReceived,
    KeyFrameRequested,
    ReceiverConfig,
    RtpEvent,
    RtpSession,
    SenderConfig,
    SessionConfig,
    TargetBitrateChanged,
)

EXTENSIONS = ExtensionMap(dict(enumerate(SUPPORTED_URIS, start=1)))
VP8 = Codec(96, "VP8", 90_000, nack=True, pli=True, transport_cc=True)
RTX = Codec(97, "rtx", 90_000, apt=96)
RED = Codec(98, "red", 90_000)
ULPFEC = Codec(99, "ulpfec", 90_000)
RTX_OF_RED = Codec(100, "rtx", 90_000, apt=98)
OPUS = Codec(111, "opus", 48_000, channels=2)
VIDEO, VIDEO_RTX, AUDIO = 0x1000, 0x1001, 0x2000
STEP = 0.001

video_sender = SenderConfig(
    "v", VIDEO, (VP8,), rtx_ssrc=VIDEO_RTX, rtx_payload_types={96: 97, 98: 100}
)
fec_sender = attrs.evolve(video_sender, red_payload_type=98, ulpfec_payload_type=99)
audio_sender = SenderConfig("a", AUDIO, (OPUS,))
video_receiver = ReceiverConfig("v", (VP8, RTX, RED, ULPFEC, RTX_OF_RED), sync_group="call")
audio_receiver = ReceiverConfig("a", (OPUS,), sync_group="call")


def vp8_frame(size_bytes: int, *, is_key: bool, tag: int) -> bytes:
    """Return bytes that pass for a VP8 frame: its first bit tells a key frame."""
    body = bytes((not is_key,)) + tag.to_bytes(4)
    return body + bytes(max(size_bytes - len(body), 0))


class End:
    """One peer."""

    def __init__(self, name: str, seed: int, extensions: ExtensionMap = EXTENSIONS) -> None:
        generator = random.Random(seed)
        self.session = RtpSession(SessionConfig(name, extensions), generator.randrange)
        self.events: list[tuple[float, RtpEvent]] = []

    def frames(self, mid: str) -> list[FrameReceived]:
        return [
            event
            for _, event in self.events
            if isinstance(event, FrameReceived) and event.mid == mid
        ]


class Pair:
    """A peer that sends, one that receives, and a way each."""

    def __init__(
        self,
        *,
        seed: int = 1,
        out: Path[Datagram] | None = None,
        back: Path[Datagram] | None = None,
        extensions: ExtensionMap = EXTENSIONS,
    ) -> None:
        self.now = 1000.0
        self.sender = End("sender", seed, extensions)
        self.receiver = End("receiver", seed + 1, extensions)
        self.out: Path[Datagram] = out if out is not None else Path(seed=seed)
        self.back: Path[Datagram] = back if back is not None else Path(seed=seed + 1)
        self.ticks: list[Callable[[float], None]] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            for tick in self.ticks:
                tick(self.now)
            self._exchange(self.sender, self.out, self.back)
            self._exchange(self.receiver, self.back, self.out)

    def _exchange(self, end: End, out: Path[Datagram], incoming: Path[Datagram]) -> None:
        session = end.session
        for datagram in incoming.take(self.now):
            session.receive(datagram.data, self.now)
        deadline = session.next_deadline()
        if deadline is not None and deadline <= self.now:
            session.on_deadline(self.now)
        for datagram in session.take_datagrams():
            out.send(datagram, len(datagram.data), self.now)
        end.events += [(self.now, event) for event in session.take_events()]


class Camera:
    """Sends frames that fill the target bit rate, key frames when asked."""

    def __init__(
        self, pair: Pair, *, rate: float = 30, bitrate_bps: float | None = None, ssrc: int = VIDEO
    ) -> None:
        self.pair = pair
        self.rate = rate
        self.bitrate_bps = bitrate_bps
        self.ssrc = ssrc
        self.sent: list[tuple[float, bytes]] = []
        self.key_frames = 0
        self.targets: list[tuple[float, float]] = []
        self._seen = 0
        self._wants_key = True
        self._next_at = pair.now
        self._began = pair.now
        pair.ticks.append(self.tick)

    def tick(self, now: float) -> None:
        session = self.pair.sender.session
        for at, event in self.pair.sender.events[self._seen :]:
            if isinstance(event, KeyFrameRequested) and event.ssrc == self.ssrc:
                self._wants_key = True
            elif isinstance(event, TargetBitrateChanged):
                self.targets.append((at, event.bitrate_bps))
        self._seen = len(self.pair.sender.events)
        if now < self._next_at:
            return
        self._next_at += 1 / self.rate
        if session.pacer_delay > 0.3:
            return  # as encoders do: what waits so long already is better not added to
        protected = session.target_bps / (1 + session.fec_ratio(self.ssrc))
        bitrate = self.bitrate_bps if self.bitrate_bps is not None else protected
        size = int(bitrate / self.rate / 8)
        is_key, self._wants_key = self._wants_key, False
        self.key_frames += is_key
        frame = vp8_frame(3 * size if is_key else size, is_key=is_key, tag=len(self.sent))
        self.sent.append((now, frame))
        session.send_frame(self.ssrc, frame, round((now - self._began) * 90_000), now)


class Microphone:
    """Sends 20 ms of nothing, 50 times a second."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.sent: list[tuple[float, bytes]] = []
        self._next_at = self._began = pair.now
        pair.ticks.append(self.tick)

    def tick(self, now: float) -> None:
        if now < self._next_at:
            return
        self._next_at += 0.02
        payload = b"\xfc" + len(self.sent).to_bytes(4) + bytes(75)
        self.sent.append((now, payload))
        timestamp = round((now - self._began) * 48_000)
        self.pair.sender.session.send_frame(AUDIO, payload, timestamp, now)
