"""Sends one track: from a source of frames over an encoder, or frames and packets as they are."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Protocol, TypeAlias, runtime_checkable

import trio

from webrtc.encoding import Encoding, deal
from webrtc.media.errors import MediaError
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame
from webrtc.meters import SourceMeter
from webrtc.rtp import HeaderExtensions, RtpError, SendStatistics
from webrtc.rtp_parameters import send_codec
from webrtc.sdp import Codec, MediaKind, SendParameters, Sources
from webrtc.source_reader import SourceReader, check_source
from webrtc.transport import PeerTransport

Frame: TypeAlias = VideoFrame | AudioFrame | EncodedFrame
Source: TypeAlias = AsyncIterable[Frame]
"""A track: pictures or sound, or frames that are encoded already, in real time."""

MAX_PACER_DELAY = 0.25
"""Seconds of video that wait to be sent, beyond which pictures are left out at the source."""
AUDIO_BPS = 40_000
"""What an audio sender takes of the transport's bit rate."""

_log = logging.getLogger(__name__)


@runtime_checkable
class EncodedSource(Protocol):
    """A source of `EncodedFrame` that is told what an encoder would be: another sender's, say.

    Its methods must not raise or wait: a wish takes effect with a later frame.
    """

    def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        """Return the frames."""

    def set_bit_rate(self, rate_bps: int) -> None:
        """Aim at another bit rate."""

    def request_key_frame(self) -> None:
        """Make the next frame a key frame."""


class RtpSender:
    """One end of a transceiver. Made by `PeerConnection`.

    Args:
        kind: audio or video.
        encodings: the streams that a track is sent as, the one for everybody first.

    Attributes:
        kind: audio or video.
        encodings: likewise.
        frames_dropped: pictures that were not encoded, since the network was behind.
        failure: why nothing is sent any more, if a codec failed; None else.
        meter: what the source gave.

    """

    def __init__(self, kind: MediaKind, encodings: Iterable[Encoding]) -> None:
        self.kind = kind
        self.encodings = tuple(encodings)
        self.frames_dropped = 0
        self.failure: str | None = None
        self.meter = SourceMeter()
        self._source: Source | None = None
        self._transport: PeerTransport | None = None
        self._parameters: SendParameters | None = None
        self._codec: Codec | None = None
        self._live: tuple[Encoding, ...] = ()
        self._rate_bps: int | None = None
        self._scope = trio.CancelScope()
        self._changed = trio.Event()

    # What is sent

    @property
    def track(self) -> Source | None:
        """The source that is sent from."""
        return self._source

    def replace_track(self, source: Source | None) -> None:
        """Send from another source, or from none; the peer need not be asked.

        Args:
            source: an async iterator of `VideoFrame` or `AudioFrame`, which are encoded, or of
                `EncodedFrame` in a codec that was negotiated, in real time; an `EncodedSource` is
                told of bit rates and key frames. It is iterated while the connection is up and
                the direction lets us send. An async generator is closed when it is no longer
                sent; other sources are left as they are.

        Raises:
            TypeError: it is no async iterable.

        """
        check_source(source)
        self._source = source
        self._restart()

    @property
    def sources(self) -> Sources:
        """SSRCs of the first encoding."""
        return self.encodings[0].sources

    @property
    def codec(self) -> Codec | None:
        """What is encoded with; None until negotiated."""
        return self._codec

    @property
    def bit_rate(self) -> int | None:
        """Bits per second that the encoders aim at together; None while there is none."""
        rates = [each.bit_rate for each in self.encodings]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    @property
    def frames_encoded(self) -> int:
        """Frames that were sent, however they came."""
        return sum(each.frames_sent for each in self.encodings)

    @property
    def is_ready(self) -> bool:
        """Whether something sent now would leave."""
        return bool(self._live) and self._transport is not None and self._transport.srtp is not None

    def send_encoded(
        self,
        frame: EncodedFrame,
        extensions: HeaderExtensions | None = None,
        *,
        rid: str | None = None,
    ) -> None:
        """Send a frame that is encoded already; it is lost unless `is_ready`.

        Args:
            frame: in a codec that was negotiated.
            extensions: RTP header extensions to go with it.
            rid: of a simulcast, which stream it is of.

        Raises:
            RtpError: its codec was not negotiated, or it is no frame of it.

        """
        encoding = next((each for each in self._live if rid in (None, each.parameters.rid)), None)
        if encoding is not None:
            self._send(encoding, frame, extensions)

    def _send(
        self, encoding: Encoding, frame: EncodedFrame, extensions: HeaderExtensions | None = None
    ) -> None:
        transport, parameters = self._transport, self._parameters
        if transport is None or parameters is None or not self.is_ready:
            return
        name = frame.codec.lower()
        codec = next((each for each in parameters.codecs if each.key == name), None)
        if codec is None:
            raise RtpError(f"{frame.codec} was not negotiated")
        encoding.send(transport, codec, frame, extensions)
        if frame.audio_level is not None:
            self.meter.hear_level(frame.audio_level)
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

    # For the peer connection

    def configure(self, transport: PeerTransport | None, parameters: SendParameters | None) -> None:
        """Follow negotiation: None for either stops sending."""
        codec = send_codec(parameters) if parameters is not None else None
        live = self._negotiated(parameters)
        is_same = (transport, codec, live) == (self._transport, self._codec, self._live)
        old = self._transport
        if old is not None and transport is not old:
            # One that pauses on its transport keeps its numbers: the peer knows its SSRC.
            for encoding in self.encodings:
                encoding.detach(old)
            old.flush()
        self._transport, self._parameters, self._codec = transport, parameters, codec
        self._live = live if transport is not None else ()
        if transport is not None and parameters is not None:
            for encoding in live:
                rid = encoding.parameters.rid if parameters.layers else None
                encoding.attach(transport, parameters, rid)
        if not is_same:
            self._restart()

    def _negotiated(self, parameters: SendParameters | None) -> tuple[Encoding, ...]:
        """Return the encodings that the peer takes: of a peer without simulcast the first."""
        if parameters is None:
            return ()
        wanted = {layer.rid for layer in parameters.layers}
        taken = tuple(each for each in self.encodings if each.parameters.rid in wanted)
        return taken or self.encodings[:1]

    def stop(self) -> None:
        """Send nothing any more."""
        self._source = None
        self.configure(None, None)
        self._restart()

    def request_key_frame(self, ssrc: int) -> None:
        """Have an encoder make its next frame a key frame."""
        for encoding in self.encodings:
            if encoding.sources.ssrc == ssrc:
                encoding.request_key_frame()
                if isinstance(self._source, EncodedSource):
                    self._source.request_key_frame()

    @property
    def useful_bps(self) -> int | None:
        """What its encoders have a use for all together; None if that is not known."""
        limits = [each.limit_bps for each in self._live if each.parameters.active]
        known = [limit for limit in limits if limit is not None]
        allowed = self._parameters.max_rate_bps if self._parameters is not None else None
        if len(known) < len(limits) or not limits:
            return allowed
        return sum(known) if allowed is None else min(sum(known), allowed)

    def set_bit_rate(self, rate_bps: int) -> None:
        """Have the encoders aim at a bit rate, all together."""
        self._rate_bps = rate_bps
        limit = self._parameters.max_rate_bps if self._parameters is not None else None
        rate = rate_bps if limit is None else min(rate_bps, limit)
        for encoding, share in deal(rate, list(self._live)).items():
            encoding.set_bit_rate(share)
        if isinstance(self._source, EncodedSource):
            self._source.set_bit_rate(rate)

    def _limit(self, frame: VideoFrame | None) -> None:
        """Take a source's first picture, or one of another size; None if they come encoded."""
        for encoding in self.encodings:
            size = (frame.width, frame.height) if frame is not None else (None, None)
            encoding.limit(*size)
        if self._rate_bps is not None:
            self.set_bit_rate(self._rate_bps)

    def set_expected_loss(self, fraction: float) -> None:
        """Have an audio encoder reckon with this share of lost packets (in-band FEC)."""
        for encoding in self.encodings:
            encoding.set_expected_loss(fraction)

    def has_ssrc(self, ssrc: int) -> bool:
        """Whether it sends media under this SSRC."""
        return any(each.sources.ssrc == ssrc for each in self.encodings)

    @property
    def fec_ratio(self) -> float:
        """FEC packets that go with each packet, at most."""
        transport = self._transport
        if transport is None:
            return 0.0
        return max((each.fec_ratio(transport) for each in self._live), default=0.0)

    def statistics(self) -> dict[Encoding, SendStatistics]:
        """Return what was counted of each encoding that could be sent."""
        if self._transport is None:
            return {}
        found = {each: each.statistics(self._transport) for each in self._live}
        return {encoding: each for encoding, each in found.items() if each is not None}

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
                    for encoding in self.encodings:
                        encoding.begin_source()
                    await self._send_while_wanted(reader, codec)

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
        if not self._live:
            return  # paused at the very moment: the scope is cancelled already
        if isinstance(first, EncodedFrame):
            self._limit(None)
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
        live = self._live
        self._limit(first)
        async with trio.open_nursery() as nursery:
            for encoding in live:
                await nursery.start(encoding.run_video, codec, self._send)
            self._offer(first, live)
            async for frame in frames:
                if isinstance(frame, VideoFrame):
                    self._offer(frame, live)
            for encoding in live:
                encoding.finish()

    def _offer(self, frame: VideoFrame, live: Iterable[Encoding]) -> None:
        if (frame.width, frame.height) != (self.meter.width, self.meter.height):
            self._limit(frame)
        self.meter.see(frame)
        # Too much is on its way already: a picture now would only come later.
        transport = self._transport
        if transport is not None and transport.rtp.pacer_delay > MAX_PACER_DELAY:
            self.frames_dropped += 1
            return
        for encoding in live:
            encoding.offer(frame)

    async def _encode_audio(
        self, first: AudioFrame, frames: AsyncIterator[Frame], codec: Codec
    ) -> None:
        encoding = self._live[0]
        async with trio.open_nursery() as nursery:
            await nursery.start(encoding.run_audio, codec, self._send)
            self.meter.hear(first)
            await encoding.put(first)
            async for frame in frames:
                if isinstance(frame, AudioFrame):
                    self.meter.hear(frame)
                    await encoding.put(frame)
            encoding.finish()
