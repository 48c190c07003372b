"""One stream that is received: its packets' way through RED, FEC and NACK to the jitter buffer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from webrtc.rtp.codec import Codec, CodecRole
from webrtc.rtp.errors import RtpDecodeError
from webrtc.rtp.header_extensions import ExtensionMap
from webrtc.rtp.jitter import AudioJitterBuffer, EncodedFrame, PlayoutClock, VideoJitterBuffer
from webrtc.rtp.jitter.video import MAX_WAIT
from webrtc.rtp.key_frame_requests import KeyFrameRequests
from webrtc.rtp.nack import NackGenerator
from webrtc.rtp.ntp import compact_ntp
from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.payload import Depacketiser
from webrtc.rtp.reception import ReceptionStatistics
from webrtc.rtp.red import RedBlock, parse_red
from webrtc.rtp.rtcp import SenderReport
from webrtc.rtp.sequence import Unwrapper
from webrtc.rtp.statistics import ReceiveStatistics, RemoteSendStatistics
from webrtc.rtp.ulpfec import FecDecoder

MAX_WAIT_WITHOUT_NACK = 0.15
"""Seconds that a hole is waited for where only reordering or FEC can close it."""


class ReceiveStream:
    """One SSRC of media.

    Attributes:
        ssrc: of the stream.
        rid: of the simulcast layer, once a packet said it.
        extensions: of the transport.
        is_video: which jitter buffer it has.
        wants_nack: NACK was negotiated.
        prefers_fir: FIR was negotiated, and PLI was not.
        nack: what it misses.
        key_frames: whether it asks for one.
        malformed: packets whose RED or FEC did not parse.

    """

    def __init__(
        self,
        ssrc: int,
        codecs: Mapping[int, Codec],
        extensions: ExtensionMap,
        first: Codec,
    ) -> None:
        """Begin with a stream's first packet, whose codec is `first`."""
        self.ssrc = ssrc
        self.rid: str | None = None
        self._codecs = codecs
        self.extensions = extensions
        depacketisers: dict[int, Depacketiser] = {
            payload_type: codec.format.depacketiser
            for payload_type, codec in codecs.items()
            if codec.format is not None
        }
        self.is_video = any(
            codec.format is not None and codec.format.is_video for codec in codecs.values()
        )
        self.wants_nack = any(codec.nack for codec in codecs.values())
        self._jitter_buffer: AudioJitterBuffer | VideoJitterBuffer
        if self.is_video:
            self._jitter_buffer = VideoJitterBuffer(
                first.clock_rate,
                depacketisers,
                max_wait=MAX_WAIT if self.wants_nack else MAX_WAIT_WITHOUT_NACK,
            )
        else:
            self._jitter_buffer = AudioJitterBuffer(first.clock_rate)
        self._clock_rate = first.clock_rate
        self.prefers_fir = not any(codec.pli for codec in codecs.values()) and any(
            codec.fir for codec in codecs.values()
        )
        self._statistics = ReceptionStatistics(ssrc, first.clock_rate)
        self._numbers = Unwrapper(16)
        self._timestamps = Unwrapper(32)
        self.nack = NackGenerator()
        self.key_frames = KeyFrameRequests()
        self._fec: FecDecoder | None = None
        if any(codec.role is CodecRole.ULPFEC for codec in codecs.values()):
            self._fec = FecDecoder(ssrc)
        self._retransmitted = self._retransmitted_octets = self._header_octets = 0
        self._fec_packets = 0
        self._last_at = 0.0
        self._remote: RemoteSendStatistics | None = None
        self._frames = self._key_frames = 0
        self.malformed = 0

    @property
    def clock(self) -> PlayoutClock:
        """When its frames are played."""
        return self._jitter_buffer.clock

    @property
    def reception(self) -> ReceptionStatistics:
        """What its report blocks are made of."""
        return self._statistics

    def receive(self, packet: RtpPacket, now: float, *, is_retransmission: bool = False) -> None:
        """Take a packet of any role but RTX. Runs per packet."""
        number = self.count(packet, now, is_retransmission=is_retransmission)
        codec = self._codecs.get(packet.payload_type)
        # FEC is over header extensions too, of which RTX has others: what comes by it is not, to
        # the bit, what was protected, and would recover rubbish.
        fec = None if is_retransmission else self._fec
        if codec is not None and codec.role is CodecRole.RED:
            self._receive_red(packet, number, fec, now)
        else:
            self._insert(packet, number, now)
            # Senders put what they protect into RED: others' packets cost nothing here.
            if fec is not None and fec.is_used and packet.payload:
                plain = self.extensions.without_transit(packet)
                self._insert_recovered(fec.add_media(plain), now)
        self._watch_key_frames(now)

    def count(self, packet: RtpPacket, now: float, *, is_retransmission: bool = False) -> int:
        """Count a packet without keeping it; return its unwrapped number. Runs per packet."""
        number = self._numbers.unwrap(packet.sequence_number)
        self._last_at = now
        if is_retransmission:
            self._retransmitted += 1
            self._retransmitted_octets += len(packet.payload)
        else:
            self._header_octets += packet.header_size
            self._statistics.receive(number, packet.timestamp, len(packet.payload), now)
        if self.wants_nack and not self.nack.receive(number, now):
            self.key_frames.want(now)
        return number

    def _receive_red(
        self, packet: RtpPacket, number: int, fec: FecDecoder | None, now: float
    ) -> None:
        if not packet.payload:
            self._insert(packet, number, now)
            return
        try:
            blocks = parse_red(packet.payload)
        except RtpDecodeError:
            self.malformed += 1
            return
        self._insert_redundant(packet, number, blocks[:-1], now)
        primary = blocks[-1]
        codec = self._codecs.get(primary.payload_type)
        plain = msgspec.structs.replace(
            packet, payload_type=primary.payload_type, payload=primary.payload
        )
        if codec is not None and codec.role is CodecRole.ULPFEC:
            # It takes a sequence number of the media's, which is no hole then.
            self._insert(msgspec.structs.replace(packet, payload=b""), number, now)
            self._receive_fec(primary.payload, now)
            return
        self._insert(plain, number, now)
        if fec is not None:
            protected = self.extensions.without_transit(plain)
            self._insert_recovered(fec.add_media(protected), now)

    def _insert_redundant(
        self, packet: RtpPacket, number: int, blocks: tuple[RedBlock, ...], now: float
    ) -> None:
        buffer = self._jitter_buffer
        if not isinstance(buffer, AudioJitterBuffer):
            return
        timestamp = self._timestamps.peek(packet.timestamp)
        # RFC 2198 has no sequence numbers for blocks: one per packet before, the last first.
        for age, block in enumerate(reversed(blocks), start=1):
            earlier = msgspec.structs.replace(
                packet,
                payload_type=block.payload_type,
                payload=block.payload,
                timestamp=(packet.timestamp - block.timestamp_offset) & 0xFFFFFFFF,
            )
            buffer.insert_redundant(earlier, number - age, timestamp - block.timestamp_offset, now)

    def _receive_fec(self, payload: bytes, now: float) -> None:
        self._fec_packets += 1
        if self._fec is None:
            return
        try:
            recovered = self._fec.add_fec(payload)
        except RtpDecodeError:
            self.malformed += 1
            return
        self._insert_recovered(recovered, now)

    def _insert_recovered(self, packets: list[RtpPacket], now: float) -> None:
        for packet in packets:
            number = self._numbers.unwrap(packet.sequence_number)
            self.nack.receive(number, now)
            self._insert(packet, number, now)

    def _insert(self, packet: RtpPacket, number: int, now: float) -> None:
        timestamp = self._timestamps.unwrap(packet.timestamp)
        self._jitter_buffer.insert(packet, number, timestamp, now)

    def _watch_key_frames(self, now: float) -> None:
        buffer = self._jitter_buffer
        if isinstance(buffer, VideoJitterBuffer) and buffer.needs_key_frame:
            self.key_frames.want(now, is_new_stream=not self._frames)

    def receive_sender_report(self, report: SenderReport, now: float) -> int:
        """Take a report; return its timestamp unwrapped."""
        self._statistics.receive_sender_report(compact_ntp(report.ntp_time), now)
        reports = self._remote.reports + 1 if self._remote is not None else 1
        self._remote = RemoteSendStatistics(
            reports, report.ntp_time, report.packet_count, report.octet_count
        )
        return self._timestamps.peek(report.rtp_timestamp)

    def next_deadline(self) -> float | None:
        """Return when to call `take_frames` and to look for requests."""
        deadlines = [self._jitter_buffer.next_deadline(), self.key_frames.next_deadline()]
        if self.wants_nack:
            deadlines.append(self.nack.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def take_frames(self, now: float) -> list[EncodedFrame]:
        """Return what can be decoded, or is to be played, now."""
        buffer = self._jitter_buffer
        frames = buffer.take(now)
        if isinstance(buffer, VideoJitterBuffer):
            if len(self.nack):
                self.nack.forget_before(buffer.first_useful_number)
            self._watch_key_frames(now)
            if any(frame.is_key_frame for frame in frames) and not buffer.needs_key_frame:
                self.key_frames.satisfy()
        self._frames += len(frames)
        self._key_frames += sum(frame.is_key_frame for frame in frames)
        return frames

    def take_nack(self, now: float, round_trip_time: float) -> tuple[int, ...]:
        """Return the sequence numbers to ask for now."""
        if not self.wants_nack:
            return ()
        return tuple(n & 0xFFFF for n in self.nack.take_requests(now, round_trip_time))

    def statistics(self) -> ReceiveStatistics:
        """Return a snapshot."""
        buffer = self._jitter_buffer
        reception = self._statistics
        video = buffer if isinstance(buffer, VideoJitterBuffer) else None
        return ReceiveStatistics(
            packets_received=reception.packets_received,
            bytes_received=reception.bytes_received,
            packets_lost=reception.packets_lost,
            jitter=reception.jitter / self._clock_rate,
            nack_count=self.nack.requests_sent,
            retransmitted_packets_received=self._retransmitted,
            retransmitted_bytes_received=self._retransmitted_octets,
            header_bytes_received=self._header_octets,
            last_packet_at=self._last_at,
            fec_packets_received=self._fec_packets,
            fec_packets_recovered=self._fec.recovered if self._fec is not None else 0,
            key_frame_requests=self.key_frames.sent,
            uses_fir=self.prefers_fir,
            remote=self._remote,
            packets_discarded=buffer.late
            + self.malformed
            + (video.malformed if video is not None else 0),
            frames_received=self._frames,
            key_frames_received=self._key_frames if video is not None else 0,
            frames_dropped=video.dropped if video is not None else 0,
            jitter_buffer_delay=buffer.clock.delay + buffer.clock.extra_delay,
            concealed_packets=0 if isinstance(buffer, VideoJitterBuffer) else buffer.lost,
        )
