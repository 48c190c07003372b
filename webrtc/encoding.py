"""One stream that a track is sent as: its SSRC, its encoder, what became of its frames.

Most tracks are sent as one. Simulcast (RFC 8853) sends several of one source, in sizes of their
own, for a forwarder to choose from; they are told apart by RIDs (RFC 8852).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs
import trio

from webrtc.errors import WebRtcError
from webrtc.media.codecs import VideoSettings, audio_encoder, video_encoder
from webrtc.media.codecs.base import AudioEncoder, VideoEncoder
from webrtc.media.convert import scale
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame
from webrtc.media.worker import CodecWorker, open_worker
from webrtc.rtp import HeaderExtensions, SendStatistics
from webrtc.rtp_parameters import sender_config
from webrtc.sdp import Codec, MediaKind, SendParameters, Sources
from webrtc.transport import PeerTransport

MAX_RATE = 256
"""Frames per second that are told apart."""
MIN_LAYER_BPS = 60_000
"""Of the smallest layer, before a larger one goes without."""

USEFUL_BPS = (
    (320 * 240, 600_000),
    (640 * 480, 1_700_000),
    (960 * 540, 2_000_000),
    (1280 * 720, 2_500_000),
)
"""Pixels, and the bit rate above which pictures of no more than these hardly look any better: what
libwebrtc takes at most."""
USEFUL_BPS_OF_MORE = 4_000_000

Send: TypeAlias = "Callable[[Encoding, EncodedFrame], None]"


@attrs.frozen(kw_only=True)
class EncodingParameters:
    """What is wanted of a stream (W3C: RTCRtpEncodingParameters).

    Attributes:
        rid: its name in a simulcast: letters and digits; None where it is the only one.
        scale_down_by: its pictures are smaller by this, each way.
        max_bit_rate: bits per second; None for what pictures of their size have a use for, 600
            kbit/s at 320x240 to 4 Mbit/s above 720p.
        active: whether it is sent.

    """

    rid: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.matches_re(r"[A-Za-z0-9]{1,16}")),
    )
    scale_down_by: float = attrs.field(default=1.0, validator=attrs.validators.ge(1.0))
    max_bit_rate: int | None = None
    active: bool = True


def useful_bps(width: float, height: float) -> int:
    """Return the bit rate that pictures of this size have a use for."""
    for pixels, bit_rate in USEFUL_BPS:
        if width * height <= pixels:
            return bit_rate
    return USEFUL_BPS_OF_MORE


class SimulcastError(WebRtcError):
    """Encodings of one track cannot be told apart."""


def simulcast(encodings: Iterable[EncodingParameters]) -> tuple[EncodingParameters, ...]:
    """Return the encodings, if each of several has a rid of its own; raises SimulcastError."""
    wanted = tuple(encodings)
    rids = [each.rid for each in wanted]
    if len(wanted) > 1 and (None in rids or len(set(rids)) < len(rids)):
        raise SimulcastError(f"each encoding of a simulcast has a rid of its own, not {rids}")
    return wanted


class Encoding:
    """One stream. Made by `RtpSender`.

    Args:
        kind: audio or video.
        parameters: what is wanted.
        sources: its SSRCs.

    Attributes:
        kind: audio or video.
        parameters: what is wanted.
        sources: its SSRCs.
        is_attached: whether the RTP session knows it.
        is_paused: whether there is no bit rate for it now.
        limit_bps: the most that its encoder is to aim at; None if that is not known.
        frames_sent: however they came.
        frames_encoded: by its encoder.
        key_frames_encoded: of these.
        frames_dropped: that its encoder had no time for.
        encode_time: seconds of encoding, on all threads together those that passed.
        width: of the last picture that was encoded.
        height: likewise.

    """

    def __init__(self, kind: MediaKind, parameters: EncodingParameters, sources: Sources) -> None:
        self.kind = kind
        self.parameters = parameters
        self.sources = sources
        self.is_attached = False
        self.is_paused = not parameters.active
        self.limit_bps = parameters.max_bit_rate
        self.frames_sent = 0
        self.frames_encoded = self.key_frames_encoded = self.frames_dropped = 0
        self.encode_time = 0.0
        self.width: int | None = None
        self.height: int | None = None
        self._encoder: VideoEncoder | AudioEncoder | None = None
        self._video: CodecWorker[VideoFrame, EncodedFrame] | None = None
        self._audio: CodecWorker[AudioFrame, EncodedFrame] | None = None
        self._wanted_bps: int | None = None
        self._expected_loss = 0.0
        self._offset: int | None = None
        self._last: tuple[int, float] | None = None
        self._sent_at: deque[float] = deque(maxlen=MAX_RATE)

    def __repr__(self) -> str:
        return f"<Encoding {self.parameters.rid or ''} {self.sources.ssrc:#x}>"

    # RTP

    def attach(self, transport: PeerTransport, parameters: SendParameters, rid: str | None) -> None:
        """Let the RTP session send it, or send it otherwise."""
        transport.rtp.add_sender(sender_config(parameters, self.sources, rid))
        self.is_attached = True

    def detach(self, transport: PeerTransport) -> None:
        """Let the RTP session say goodbye for it."""
        if self.is_attached:
            transport.rtp.remove_sender(self.sources.ssrc)
        self.is_attached = False

    def begin_source(self) -> None:
        """Let timestamps go on, from whatever a new source counts."""
        self._offset = None

    def send(
        self,
        transport: PeerTransport,
        codec: Codec,
        frame: EncodedFrame,
        extensions: HeaderExtensions | None,
    ) -> None:
        """Send an encoded frame; raises RtpError."""
        if extensions is None and frame.audio_level is not None:
            extensions = HeaderExtensions(audio_level=frame.audio_level)
        now = trio.current_time()
        timestamp = self._continued(frame.timestamp, codec.clock_rate, now)
        transport.rtp.send_frame(
            self.sources.ssrc,
            frame.data,
            timestamp,
            now,
            payload_type=codec.payload_type,
            extensions=extensions,
        )
        self.frames_sent += 1
        self._sent_at.append(now)

    def _continued(self, timestamp: int, clock_rate: int, now: float) -> int:
        """Return a timestamp that goes on where the source before this one ended."""
        if self._offset is None:
            self._offset = 0
            if self._last is not None:
                last, at = self._last
                self._offset = last + round((now - at) * clock_rate) - timestamp
        continued = (timestamp + self._offset) & 0xFFFFFFFF
        self._last = continued, now
        return continued

    def fec_ratio(self, transport: PeerTransport) -> float:
        """Return how many FEC packets go with each packet."""
        return transport.rtp.fec_ratio(self.sources.ssrc) if self.is_attached else 0.0

    def statistics(self, transport: PeerTransport) -> SendStatistics | None:
        """Return what RTP counted; None before anything could be sent."""
        return transport.rtp.send_statistics().get(self.sources.ssrc)

    @property
    def frames_per_second(self) -> int:
        """Frames that were sent in the last second."""
        since = trio.current_time() - 1
        return sum(at > since for at in self._sent_at)

    # What is wanted of the encoder

    @property
    def bit_rate(self) -> int | None:
        """Bits per second that its encoder aims at; None while it has none, or is paused."""
        return None if self._encoder is None or self.is_paused else self._encoder.bit_rate

    def limit(self, width: int | None, height: int | None) -> None:
        """Take the size of the source's pictures; None if they come encoded."""
        self.limit_bps = self.parameters.max_bit_rate
        if self.limit_bps is None and width is not None and height is not None:
            factor = self.parameters.scale_down_by
            self.limit_bps = useful_bps(width / factor, height / factor)

    def set_bit_rate(self, rate_bps: int | None) -> None:
        """Have the encoder aim at a bit rate; None: encode nothing for now."""
        was_paused, self.is_paused = self.is_paused, rate_bps is None
        if rate_bps is None:
            return
        limit = self.limit_bps
        self._wanted_bps = rate_bps if limit is None else min(rate_bps, limit)
        if self._encoder is not None:
            self._encoder.set_bit_rate(self._wanted_bps)
        if was_paused:
            self.request_key_frame()  # nobody can go on from a picture of minutes ago

    def set_expected_loss(self, fraction: float) -> None:
        """Have an audio encoder reckon with this share of lost packets (in-band FEC)."""
        self._expected_loss = fraction
        if self._encoder is not None and self.kind is MediaKind.AUDIO:
            self._encoder.set_expected_loss(fraction)  # type: ignore[union-attr]

    def request_key_frame(self) -> None:
        """Have the encoder make its next frame a key frame."""
        if self._encoder is not None and self.kind is MediaKind.VIDEO:
            self._encoder.request_key_frame()  # type: ignore[union-attr]

    # Encoding

    async def run_video(
        self,
        codec: Codec,
        send: Send,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Encode pictures that are offered, until `finish`; raises MediaError."""
        settings = VideoSettings(max_bit_rate=self.limit_bps or USEFUL_BPS_OF_MORE)
        if self._wanted_bps is not None:
            settings = attrs.evolve(settings, bit_rate=self._wanted_bps)
        encoder = video_encoder(codec.name, settings)

        def encode(frame: VideoFrame) -> list[EncodedFrame]:
            return self._encode_picture(encoder, frame)

        async with open_worker(encode, encoder.close) as worker:
            self._encoder, self._video = encoder, worker
            try:
                task_status.started()
                async for frame in worker:
                    send(self, frame)
            finally:
                # First: whoever has a frame still must not find a worker that is closed.
                self._encoder = self._video = None

    def _encode_picture(self, encoder: VideoEncoder, frame: VideoFrame) -> list[EncodedFrame]:
        """Make the picture as small as is wanted, and encode it. Runs in a thread."""
        began = time.perf_counter()
        factor = self.parameters.scale_down_by
        if factor > 1:
            size = (max(int(each / factor) // 2 * 2, 2) for each in (frame.width, frame.height))
            frame = scale(frame, *size)
        encoded = encoder.encode(frame)
        self.encode_time += time.perf_counter() - began
        self.frames_encoded += len(encoded)
        self.key_frames_encoded += sum(each.is_key_frame for each in encoded)
        self.width, self.height = frame.width, frame.height
        return encoded

    def offer(self, frame: VideoFrame) -> None:
        """Have a picture encoded, unless there is no bit rate or no time for it."""
        if self._video is not None and not self.is_paused and not self._video.offer(frame):
            self.frames_dropped += 1

    async def run_audio(
        self,
        codec: Codec,
        send: Send,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Encode sound that is put, until `finish`; raises MediaError."""
        encoder = audio_encoder(codec.name)
        encoder.set_expected_loss(self._expected_loss)

        def encode(frame: AudioFrame) -> list[EncodedFrame]:
            encoded = encoder.encode(frame)
            self.frames_encoded += len(encoded)
            return encoded

        async with open_worker(encode, encoder.close) as worker:
            self._encoder, self._audio = encoder, worker
            try:
                task_status.started()
                async for frame in worker:
                    send(self, frame)
            finally:
                # First: whoever has a frame still must not find a worker that is closed.
                self._encoder = self._audio = None

    async def put(self, frame: AudioFrame) -> None:
        """Have sound encoded; waits for the encoder."""
        if self._audio is not None:
            await self._audio.put(frame)

    def finish(self) -> None:
        """Let the encoder end with what it has."""
        for worker in (self._video, self._audio):
            if worker is not None:
                worker.finish()


def deal(total_bps: float, encodings: list[Encoding]) -> dict[Encoding, int | None]:
    """Divide a bit rate among the encodings of a track; those that get none have None.

    Larger pictures get more, by less than their area. If the least of them would get too little
    to be of use, the largest goes without: a forwarder then has one small stream that is good.
    """
    shares: dict[Encoding, int | None] = dict.fromkeys(encodings)
    live = sorted(
        (each for each in encodings if each.parameters.active),
        key=lambda each: each.parameters.scale_down_by,
    )
    while len(live) > 1 and _share(total_bps, live[-1], live) < MIN_LAYER_BPS:
        live.pop(0)
    for encoding in live:
        shares[encoding] = round(_share(total_bps, encoding, live))
    return shares


def _share(total_bps: float, encoding: Encoding, live: list[Encoding]) -> float:
    total = sum(_weight(each) for each in live)
    return total_bps * _weight(encoding) / total


def _weight(encoding: Encoding) -> float:
    # By the area to the power of 3/4, as the bit rates that libwebrtc gives its layers.
    return math.pow(encoding.parameters.scale_down_by, -1.5)
