"""Sends one track: from a source of frames over an encoder, or frames and packets as they are."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator
from typing import TypeAlias

import trio

from webrtc.media.codecs import VideoSettings, audio_encoder, video_encoder
from webrtc.media.codecs.base import AudioEncoder, VideoEncoder
from webrtc.media.errors import MediaError
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame
from webrtc.media.worker import CodecWorker, audio_encoder_worker, video_encoder_worker
from webrtc.rtp import HeaderExtensions, RtpError, SendStatistics
from webrtc.rtp_parameters import send_codec, sender_config
from webrtc.sdp import Codec, MediaKind, SendParameters, Sources
from webrtc.source_reader import SourceReader
from webrtc.transport import PeerTransport

Frame: TypeAlias = VideoFrame | AudioFrame | EncodedFrame
Source: TypeAlias = AsyncIterable[Frame]
"""A track: pictures or sound, or frames that are encoded already, in real time."""

MAX_PACER_DELAY = 0.25
"""Seconds of video that wait to be sent, beyond which pictures are left out at the source."""
AUDIO_BPS = 40_000
"""What an audio sender takes of the transport's bit rate."""

_log = logging.getLogger(__name__)


class RtpSender:
    """One end of a transceiver. Made by `PeerConnection`.

    Args:
        kind: audio or video.
        sources: our SSRCs.

    Attributes:
        kind: audio or video.
        sources: our SSRCs.
        frames_encoded: frames that were sent, however they came.
        frames_dropped: pictures that were not encoded, since the network was behind.
        failure: why nothing is sent any more, if a codec failed; None else.

    """

    def __init__(self, kind: MediaKind, sources: Sources) -> None:
        self.kind = kind
        self.sources = sources
        self.frames_encoded = 0
        self.frames_dropped = 0
        self.failure: str | None = None
        self._source: Source | None = None
        self._transport: PeerTransport | None = None
        self._parameters: SendParameters | None = None
        self._codec: Codec | None = None
        self._encoder: VideoEncoder | AudioEncoder | None = None
        self._bit_rate: int | None = None
        self._expected_loss = 0.0
        self._scope = trio.CancelScope()
        self._changed = trio.Event()
        self._is_added = False
        self._offset: int | None = None
        self._last: tuple[int, float] | None = None

    # What is sent

    @property
    def track(self) -> Source | None:
        """The source that is sent from."""
        return self._source

    def replace_track(self, source: Source | None) -> None:
        """Send from another source, or from none; the peer need not be asked.

        Args:
            source: an async iterator of `VideoFrame` or `AudioFrame`, which are encoded, or of
                `EncodedFrame` in a codec that was negotiated, in real time. It is iterated while
                the connection is up and the direction lets us send. An async generator is closed
                when it is no longer sent; other sources are left as they are.

        """
        self._source = source
        self._restart()

    @property
    def codec(self) -> Codec | None:
        """What is encoded with; None until negotiated."""
        return self._codec

    @property
    def bit_rate(self) -> int | None:
        """Bits per second that the encoder aims at; None while there is none."""
        return self._encoder.bit_rate if self._encoder is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether something sent now would leave."""
        return self._is_added and self._transport is not None and self._transport.srtp is not None

    def send_encoded(self, frame: EncodedFrame, extensions: HeaderExtensions | None = None) -> None:
        """Send a frame that is encoded already; it is lost unless `is_ready`.

        Raises:
            RtpError: its codec was not negotiated, or it is no frame of it.

        """
        transport, parameters = self._transport, self._parameters
        if transport is None or parameters is None or not self.is_ready:
            return
        name = frame.codec.lower()
        codec = next((each for each in parameters.codecs if each.key == name), None)
        if codec is None:
            raise RtpError(f"{frame.codec} was not negotiated")
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
        self.frames_encoded += 1
        transport.flush()

    def send_payload(
        self,
        payload: bytes,
        timestamp: int,
        *,
        payload_type: int,
        marker: bool,
        extensions: HeaderExtensions | None = None,
    ) -> None:
        """Send one RTP packet whose payload was cut elsewhere; it is lost unless `is_ready`.

        Sequence number, SSRC and the origin of timestamps are ours: a forwarder hands over what
        it got, in order.

        Raises:
            RtpError: the packet cannot be sent.

        """
        transport = self._transport
        if transport is None or not self.is_ready:
            return
        transport.rtp.send_payload(
            self.sources.ssrc,
            payload,
            timestamp,
            trio.current_time(),
            payload_type=payload_type,
            marker=marker,
            extensions=extensions,
        )
        transport.flush()

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

    # For the peer connection

    def configure(self, transport: PeerTransport | None, parameters: SendParameters | None) -> None:
        """Follow negotiation: None for either stops sending."""
        codec = send_codec(parameters) if parameters is not None else None
        is_same = (transport, codec) == (self._transport, self._codec)
        if self._transport is not None and transport is not self._transport:
            self._remove()
        self._transport, self._parameters, self._codec = transport, parameters, codec
        if transport is not None and parameters is not None:
            transport.rtp.add_sender(sender_config(parameters, self.sources))
            self._is_added = True
        if not is_same:
            self._restart()

    def stop(self) -> None:
        """Send nothing any more."""
        self._source = None
        self._remove()
        self._transport = self._parameters = self._codec = None
        self._restart()

    def _remove(self) -> None:
        if self._transport is not None and self._is_added:
            self._transport.rtp.remove_sender(self.sources.ssrc)
            self._transport.flush()
        self._is_added = False

    def request_key_frame(self) -> None:
        """Have the encoder make its next frame a key frame."""
        if self._encoder is not None and self.kind is MediaKind.VIDEO:
            self._encoder.request_key_frame()  # type: ignore[union-attr]

    def set_bit_rate(self, rate_bps: int) -> None:
        """Have the encoder aim at a bit rate."""
        limit = self._parameters.max_rate_bps if self._parameters is not None else None
        self._bit_rate = rate_bps if limit is None else min(rate_bps, limit)
        if self._encoder is not None:
            self._encoder.set_bit_rate(self._bit_rate)

    def set_expected_loss(self, fraction: float) -> None:
        """Have an audio encoder reckon with this share of lost packets (in-band FEC)."""
        self._expected_loss = fraction
        if self._encoder is not None and self.kind is MediaKind.AUDIO:
            self._encoder.set_expected_loss(fraction)  # type: ignore[union-attr]

    @property
    def fec_ratio(self) -> float:
        """FEC packets that go with each packet."""
        if self._transport is None or not self._is_added:
            return 0.0
        return self._transport.rtp.fec_ratio(self.sources.ssrc)

    def statistics(self) -> SendStatistics | None:
        """Return what was counted; None before anything could be sent."""
        if self._transport is None:
            return None
        return self._transport.rtp.send_statistics().get(self.sources.ssrc)

    def look(self) -> None:
        """See whether sending can begin: the transport's state changed."""
        self._changed.set()
        self._changed = trio.Event()

    def _restart(self) -> None:
        self._scope.cancel()
        self.look()

    # Encoding

    async def run(self) -> None:
        """Encode and send what sources give, until cancelled."""
        reader: SourceReader[Frame] | None = None
        async with trio.open_nursery() as nursery:
            while True:
                source, codec = self._source, self._codec
                if reader is not None and reader.source is not source:
                    await reader.close()
                    reader = None
                elif source is None or codec is None or not self.is_ready:
                    await self._changed.wait()
                else:
                    if reader is None:
                        reader = SourceReader(source)
                        nursery.start_soon(reader.run)
                    self._offset = None
                    try:
                        await self._send_while_wanted(reader, codec)
                    finally:
                        self._encoder = None

    async def _send_while_wanted(self, reader: SourceReader[Frame], codec: Codec) -> None:
        """Send until the source ends, or another, or another codec, is to be sent."""
        with trio.CancelScope() as self._scope:
            try:
                await self._send_from(reader, codec)
            except* (MediaError, RtpError) as errors:
                self.failure = "; ".join(map(str, errors.exceptions))
                _log.warning("a %s sender ends: %s", self.kind.value, self.failure)
        is_wanted = self._source is reader.source and self._codec is codec
        if is_wanted and not self._scope.cancel_called:
            self._source = None  # it has ended

    async def _send_from(self, frames: AsyncIterator[Frame], codec: Codec) -> None:
        first = await anext(frames, None)
        if isinstance(first, EncodedFrame):
            self.send_encoded(first)
            async for frame in frames:
                if isinstance(frame, EncodedFrame):
                    self.send_encoded(frame)
        elif isinstance(first, VideoFrame):
            await self._encode_video(first, frames, codec)
        elif isinstance(first, AudioFrame):
            await self._encode_audio(first, frames, codec)

    async def _encode_video(
        self, first: VideoFrame, frames: AsyncIterator[Frame], codec: Codec
    ) -> None:
        settings = VideoSettings(bit_rate=self._bit_rate) if self._bit_rate else VideoSettings()
        encoder = self._encoder = video_encoder(codec.name, settings)
        async with video_encoder_worker(encoder) as worker, trio.open_nursery() as nursery:
            nursery.start_soon(self._feed_video, first, frames, worker)
            async for frame in worker:
                self.send_encoded(frame)
            nursery.cancel_scope.cancel()

    async def _feed_video(
        self,
        first: VideoFrame,
        frames: AsyncIterator[Frame],
        worker: CodecWorker[VideoFrame, EncodedFrame],
    ) -> None:
        worker.offer(first)
        async for frame in frames:
            if not isinstance(frame, VideoFrame):
                continue
            # Too much is on its way already: a picture now would only come later.
            transport = self._transport
            is_behind = transport is not None and transport.rtp.pacer_delay > MAX_PACER_DELAY
            if is_behind or not worker.offer(frame):
                self.frames_dropped += 1
        worker.finish()

    async def _encode_audio(
        self, first: AudioFrame, frames: AsyncIterator[Frame], codec: Codec
    ) -> None:
        encoder = self._encoder = audio_encoder(codec.name)
        encoder.set_expected_loss(self._expected_loss)
        async with audio_encoder_worker(encoder) as worker, trio.open_nursery() as nursery:
            nursery.start_soon(self._feed_audio, first, frames, worker)
            async for frame in worker:
                self.send_encoded(frame)
            nursery.cancel_scope.cancel()

    @staticmethod
    async def _feed_audio(
        first: AudioFrame,
        frames: AsyncIterator[Frame],
        worker: CodecWorker[AudioFrame, EncodedFrame],
    ) -> None:
        await worker.put(first)
        async for frame in frames:
            if isinstance(frame, AudioFrame):
                await worker.put(frame)
        worker.finish()
