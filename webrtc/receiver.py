"""Receives one track: decoded frames when they are due, encoded frames, or RTP packets."""

from __future__ import annotations

import logging
from collections import deque
from typing import Generic, TypeVar

import trio

from webrtc.media.codecs import audio_decoder, video_decoder
from webrtc.media.codecs.base import Decoded
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame
from webrtc.media.worker import CodecWorker, audio_decoder_worker, video_decoder_worker
from webrtc.meters import PlaybackMeter
from webrtc.rtp import FrameReceived, PacketReceived, ReceiveStatistics
from webrtc.rtp_parameters import receiver_config
from webrtc.sdp import Codec, MediaKind, ReceiveParameters
from webrtc.transport import PeerTransport

MAX_ENCODED = 512
"""Encoded frames that wait: ten seconds of audio. Playout is never that far off."""
MAX_DECODED = 32
MAX_PACKETS = 2048

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Queue(Generic[T]):
    """A bounded queue that loses its oldest; an async iterator over what is put into it.

    Attributes:
        lost: how many were not taken in time.

    """

    def __init__(self, size: int) -> None:
        self.lost = 0
        self._items: deque[T] = deque(maxlen=size)
        self._readers = trio.lowlevel.ParkingLot()
        self._is_closed = False

    def put(self, item: T) -> None:
        """Add an item. Hot."""
        if len(self._items) == self._items.maxlen:
            self.lost += 1
        self._items.append(item)
        self._readers.unpark()

    def close(self) -> None:
        """End iteration once all is taken."""
        self._is_closed = True
        self._readers.unpark_all()

    def clear(self) -> None:
        """Forget what waits."""
        self._items.clear()

    def __aiter__(self) -> Queue[T]:
        return self

    async def __anext__(self) -> T:
        if self._items or self._is_closed:
            await trio.lowlevel.checkpoint()
        while not self._items:
            if self._is_closed:
                raise StopAsyncIteration
            await self._readers.park()
        return self._items.popleft()


class RtpReceiver:
    """One end of a transceiver. Made by `PeerConnection`.

    Iterating gives `VideoFrame` or `AudioFrame`, each when it should be seen or heard, audio and
    video of one stream in step; nothing is decoded before somebody iterates. Instead of these,
    `encoded_frames` and `packets` give what a forwarder or recorder wants.

    Attributes:
        kind: audio or video.
        frames_decoded: frames that came out of the decoder.
        meter: what was played.
        failure: why nothing is decoded any more, if a codec failed; None else.

    """

    def __init__(self, kind: MediaKind) -> None:
        self.kind = kind
        self.frames_decoded = 0
        self.meter = PlaybackMeter()
        self.failure: str | None = None
        self._transport: PeerTransport | None = None
        self._parameters: ReceiveParameters | None = None
        self._sync_group = ""
        self._encoded: Queue[FrameReceived] = Queue(MAX_ENCODED)
        self._decoded: Queue[VideoFrame | AudioFrame] = Queue(MAX_DECODED)
        self._forwarded: Queue[EncodedFrame] | None = None
        self._packets: Queue[PacketReceived] | None = None
        self._wanted = trio.Event()
        self._ssrc: int | None = None
        self._payload_type: int | None = None
        self._layer: str | None = None
        self._is_stopped = False

    # What is received

    def __aiter__(self) -> RtpReceiver:
        return self

    async def __anext__(self) -> VideoFrame | AudioFrame:
        if not self._wanted.is_set():
            self._wanted.set()
            self.request_key_frame()
        return await anext(self._decoded)

    def encoded_frames(self) -> Queue[EncodedFrame]:
        """Return an async iterator over frames as they come out of the jitter buffer."""
        if self._forwarded is None:
            self._forwarded = Queue(MAX_ENCODED)
            if self._is_stopped:
                self._forwarded.close()
            self.request_key_frame()
        return self._forwarded

    def packets(self) -> Queue[PacketReceived]:
        """Return an async iterator over RTP packets as they come, instead of any frames.

        Repaired by retransmissions, but neither ordered nor waited for.
        """
        if self._packets is None:
            self._packets = Queue(MAX_PACKETS)
            if self._is_stopped:
                self._packets.close()
            self._configure()
        return self._packets

    def select_layer(self, rid: str) -> None:
        """Receive another layer of a simulcast; the first that comes is the one until then."""
        self._layer = rid
        self._ssrc = None
        self.request_key_frame()

    def request_key_frame(self) -> None:
        """Ask the peer for a picture that can be decoded alone (PLI)."""
        transport, parameters = self._transport, self._parameters
        if transport is None or parameters is None or self.kind is MediaKind.AUDIO:
            return
        for mid, ssrc in transport.rtp.receive_statistics():
            if mid == parameters.mid and self._ssrc in (None, ssrc):
                transport.rtp.request_key_frame(mid, ssrc, trio.current_time())
        transport.flush()

    def statistics(self) -> dict[int, ReceiveStatistics]:
        """Return what was counted, by SSRC."""
        transport, parameters = self._transport, self._parameters
        if transport is None or parameters is None:
            return {}
        every = transport.rtp.receive_statistics().items()
        return {ssrc: found for (mid, ssrc), found in every if mid == parameters.mid}

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """What the peer may send."""
        return self._parameters.codecs if self._parameters is not None else ()

    # For the peer connection

    def configure(
        self,
        transport: PeerTransport | None,
        parameters: ReceiveParameters | None,
        sync_group: str,
    ) -> None:
        """Follow negotiation: None for either stops receiving."""
        old = self._transport
        if old is not None and self._parameters is not None:
            is_gone = transport is not old or parameters is None
            if is_gone or (parameters is not None and parameters.mid != self._parameters.mid):
                old.rtp.remove_receiver(self._parameters.mid)
        self._transport, self._parameters = transport, parameters
        self._sync_group = sync_group
        self._configure()

    def _configure(self) -> None:
        if self._transport is not None and self._parameters is not None:
            self._transport.rtp.add_receiver(
                receiver_config(
                    self._parameters,
                    sync_group=self._sync_group,
                    wants_packets=self._packets is not None,
                )
            )

    def stop(self) -> None:
        """Receive nothing any more: iterators end."""
        self.configure(None, None, "")
        self._is_stopped = True
        self._wanted.set()
        self._encoded.close()
        self._decoded.close()
        for queue in (self._forwarded, self._packets):
            if queue is not None:
                queue.close()

    def take_packet(self, event: PacketReceived) -> None:
        """Take what the RTP session gives. Hot."""
        if self._packets is not None:
            self._packets.put(event)

    def take_frame(self, event: FrameReceived) -> None:
        """Take what the RTP session gives. Hot."""
        if not self._is_of_choice(event):
            return
        self._payload_type = event.frame.payload_type
        if self._wanted.is_set():
            self._encoded.put(event)
        if self._forwarded is not None:
            codec = self._codec_of(event)
            if codec is not None:
                self._forwarded.put(_encoded(event, codec))

    def _is_of_choice(self, event: FrameReceived) -> bool:
        """Whether it is of the stream to show: one SSRC at a time, another from a key frame on."""
        if event.ssrc == self._ssrc:
            return True
        if event.rid is not None:
            self._layer = self._layer or event.rid
            if event.rid != self._layer:
                return False
        if self._ssrc is not None and not event.frame.is_key_frame:
            return False
        self._ssrc = event.ssrc
        return True

    def _codec_of(self, event: FrameReceived) -> Codec | None:
        number = event.frame.payload_type
        return next((codec for codec in self.codecs if codec.payload_type == number), None)

    # Decoding

    async def run(self) -> None:
        """Decode what comes once somebody wants it, until cancelled or stopped."""
        await self._wanted.wait()
        waiting: FrameReceived | None = await anext(self._encoded, None)
        while waiting is not None:
            codec = self._codec_of(waiting)
            if codec is None:
                waiting = await anext(self._encoded, None)
                continue
            try:
                waiting = await self._decode(waiting, codec)
            except* Exception as errors:
                # Whatever a codec thinks of the peer's bytes is no business of other tracks.
                self.failure = "; ".join(map(str, errors.exceptions))
                _log.warning("a %s receiver fails: %s", self.kind.value, self.failure)
                waiting = await anext(self._encoded, None)
        self._decoded.close()

    async def _decode(self, first: FrameReceived, codec: Codec) -> FrameReceived | None:
        """Decode one codec's frames; return the first of another, or None at the end."""
        if self.kind is MediaKind.VIDEO:
            async with video_decoder_worker(video_decoder(codec.name)) as video:
                return await self._work(video, first, codec)
        async with audio_decoder_worker(audio_decoder(codec.name)) as audio:
            return await self._work(audio, first, codec)

    async def _work(
        self,
        worker: CodecWorker[EncodedFrame, Decoded[VideoFrame]]
        | CodecWorker[EncodedFrame, Decoded[AudioFrame]],
        first: FrameReceived,
        codec: Codec,
    ) -> FrameReceived | None:
        due: deque[tuple[float, float]] = deque()
        rest: FrameReceived | None = None

        async def feed() -> None:
            nonlocal rest
            event: FrameReceived | None = first
            while event is not None:
                if event.frame.payload_type != codec.payload_type:
                    rest = event
                    break
                due.append((event.frame.playout_at, event.frame.received_at))
                await worker.put(_encoded(event, codec))
                event = await anext(self._encoded, None)
            worker.finish()

        before = self.meter.decode_time
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            async for decoded in worker:
                if decoded.key_frame_wanted:
                    self.request_key_frame()
                playout_at, received_at = due.popleft()
                await trio.sleep_until(playout_at)
                for frame in decoded.frames:
                    self.frames_decoded += 1
                    self._measure(frame, received_at)
                    self._decoded.put(frame)
                self.meter.decode_time = before + worker.busy
        return rest

    def _measure(self, frame: VideoFrame | AudioFrame, received_at: float) -> None:
        if isinstance(frame, VideoFrame):
            self.meter.show(frame, received_at, trio.current_time())
        else:
            self.meter.play(frame, received_at, trio.current_time())

    @property
    def shown_ssrc(self) -> int | None:
        """The stream that is decoded; None before there is one."""
        return self._ssrc

    @property
    def payload_type(self) -> int | None:
        """Of the last frame that came; None before."""
        return self._payload_type


def _encoded(event: FrameReceived, codec: Codec) -> EncodedFrame:
    frame = event.frame
    return EncodedFrame(
        frame.data,
        codec.name,
        frame.timestamp,
        is_key_frame=frame.is_key_frame,
        lost_before=frame.lost_before,
    )
