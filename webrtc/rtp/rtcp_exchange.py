"""The session's RTCP: when reports go, what feedback asks for, and whom what comes is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from webrtc.rtp.arrivals import ArrivalRecorder
from webrtc.rtp.congestion import CongestionController, ReceiveSideEstimator
from webrtc.rtp.demultiplexer import Demultiplexer
from webrtc.rtp.events import KeyFrameRequested, LossReported, RtpEvent, StreamEnded
from webrtc.rtp.jitter import Synchroniser
from webrtc.rtp.receive_stream import ReceiveStream
from webrtc.rtp.receiver import Receiver
from webrtc.rtp.rtcp import (
    FullIntraRequest,
    GenericNack,
    Goodbye,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesItem,
    SenderReport,
    SourceDescription,
    SourceDescriptionChunk,
    TransportFeedback,
    serialise_rtcp,
)
from webrtc.rtp.rtcp.reports import MAX_COUNT
from webrtc.rtp.send_stream import SendStream

REPORT_INTERVAL = 1.0
"""Seconds between reports, on average. RFC 3550 §6.2's five are for groups of many; between two
peers RFC 4585 §3.4's minimum of 0 allows this, and loss is noticed sooner."""
DEFAULT_ROUND_TRIP_TIME = 0.1
"""Seconds, before one was measured."""
MAX_NACKED = 250
"""Sequence numbers of a NACK, at worst an entry each: it stays within a datagram."""


class RtcpExchange:
    """Of one session, whose tables it shares.

    Attributes:
        unknown: packets that are about streams nobody knows.

    """

    def __init__(
        self,
        *,
        receivers: Mapping[str, Receiver],
        senders: Mapping[int, SendStream],
        demultiplexer: Demultiplexer,
        synchroniser: Synchroniser,
        controller: CongestionController,
        recorder: ArrivalRecorder,
        estimator: ReceiveSideEstimator,
        randbelow: Callable[[int], int],
    ) -> None:
        self._receivers = receivers
        self._senders = senders
        self._demultiplexer = demultiplexer
        self._synchroniser = synchroniser
        self._controller = controller
        self._recorder = recorder
        self._estimator = estimator
        self._randbelow = randbelow
        self._own_ssrc = randbelow(1 << 32)
        self._report_at: float | None = None
        self._fir_number = 0
        self._has_transport_feedback = False
        self._out: list[bytes] = []
        self.unknown = 0

    @property
    def sender_ssrc(self) -> int:
        """Whom feedback is from: a stream of ours, or a number that only RTCP uses."""
        return next(iter(self._senders), self._own_ssrc)

    @property
    def round_trip_time(self) -> float:
        """The path's, in seconds, by any stream that knows."""
        for stream in self._senders.values():
            if stream.round_trip_time is not None:
                return stream.round_trip_time
        return DEFAULT_ROUND_TRIP_TIME

    def _streams(self) -> Iterator[ReceiveStream]:
        for receiver in self._receivers.values():
            yield from receiver.streams

    def _find(self, ssrc: int) -> tuple[str, ReceiveStream] | None:
        mid = self._demultiplexer.route_ssrc(ssrc)
        stream = None if mid is None else self._receivers[mid].stream(ssrc)
        return None if mid is None or stream is None else (mid, stream)

    # Time

    def start(self, now: float) -> None:
        """Schedule the first report: something is sent or received."""
        if self._report_at is None:
            self._report_at = now + REPORT_INTERVAL / 2 * self._jitter()

    def _jitter(self) -> float:
        """Return 0.5 to 1.5, so that peers do not report in step (RFC 3550 §6.3.1)."""
        return 0.5 + self._randbelow(1 << 16) / (1 << 16)

    def next_deadline(self) -> float | None:
        """Return when reports or feedback are due."""
        deadlines = [self._report_at, self._recorder.next_deadline()]
        return min((at for at in deadlines if at is not None), default=None)

    def on_deadline(self, cname: str, now: float, ntp_seconds: float) -> None:
        """Make what is due; `take` returns it."""
        for feedback in self._recorder.take_feedback(self.sender_ssrc, now):
            self._out.append(serialise_rtcp([feedback]))
        if self._report_at is not None and now >= self._report_at:
            self._report_at = now + REPORT_INTERVAL * self._jitter()
            self._report(cname, now, ntp_seconds)

    def take(self) -> list[bytes]:
        """Return datagrams that were made."""
        out, self._out = self._out, []
        return out

    # Reports

    def _report(self, cname: str, now: float, ntp_seconds: float) -> None:
        blocks = [
            block
            for stream in self._streams()
            if (block := stream.reception.report(now)) is not None
        ]
        reports: list[SenderReport | ReceiverReport] = []
        for sender in self._senders.values():
            own = sender.sender_report(now, ntp_seconds, tuple(blocks[:MAX_COUNT]))
            if own is not None:
                reports.append(own)
                blocks = blocks[MAX_COUNT:]
        while blocks or not reports:
            reports.append(ReceiverReport(self.sender_ssrc, tuple(blocks[:MAX_COUNT])))
            blocks = blocks[MAX_COUNT:]
        remb = self._remb(now)
        for report in reports:
            # A datagram each: 31 blocks are 750 bytes.
            compound: list[RtcpPacket] = [report, self._description(report.ssrc, cname), *remb]
            self._out.append(serialise_rtcp(compound))
            remb = []

    @staticmethod
    def _description(ssrc: int, cname: str) -> SourceDescription:
        items = ((int(SdesItem.CNAME), cname.encode()[:255]),)
        return SourceDescription((SourceDescriptionChunk(ssrc, items),))

    def _remb(self, now: float) -> list[RtcpPacket]:
        wanting = [
            stream.ssrc
            for receiver in self._receivers.values()
            if any(codec.remb for codec in receiver.config.codecs)
            for stream in receiver.streams
        ]
        bitrate = self._estimator.take_remb(now) if wanting else None
        if bitrate is None:
            return []
        return [ReceiverEstimatedMaximumBitrate(self.sender_ssrc, bitrate, tuple(wanting[:255]))]

    def goodbye(self, stream: SendStream, cname: str) -> list[bytes]:
        """Return the end of a stream (RFC 3550 §6.6)."""
        ssrc = stream.config.ssrc
        packets: list[RtcpPacket] = [ReceiverReport(ssrc)]
        packets += [self._description(ssrc, cname), Goodbye((ssrc,))]
        return [serialise_rtcp(packets)]

    # Feedback

    def request(
        self,
        stream: ReceiveStream,
        now: float,
        *,
        reduced_size: bool,
        send: Callable[[list[bytes]], None],
    ) -> None:
        """Send what a stream misses, if its time has come. Runs per packet."""
        feedback: list[RtcpPacket] = []
        numbers = stream.take_nack(now, self.round_trip_time) if len(stream.nack) else ()
        for start in range(0, len(numbers), MAX_NACKED):
            part = numbers[start : start + MAX_NACKED]
            feedback.append(GenericNack(self.sender_ssrc, stream.ssrc, part))
        if stream.key_frames.take(now, self.round_trip_time):
            feedback.append(self._key_frame_request(stream))
        if not feedback:
            return
        if not reduced_size:
            feedback.insert(0, ReceiverReport(self.sender_ssrc))
        send([serialise_rtcp(feedback)])

    def _key_frame_request(self, stream: ReceiveStream) -> RtcpPacket:
        if stream.prefers_fir:
            self._fir_number = (self._fir_number + 1) & 0xFF
            return FullIntraRequest(self.sender_ssrc, ((stream.ssrc, self._fir_number),))
        return PictureLossIndication(self.sender_ssrc, stream.ssrc)

    # What comes

    def receive(
        self, packet: RtcpPacket, now: float, ntp_seconds: float, tell: Callable[[RtpEvent], None]
    ) -> list[tuple[SendStream, tuple[int, ...]]]:
        """Take a packet; return which streams are to send what again."""
        match packet:
            case SenderReport():
                self._receive_sender_report(packet, now)
                self._receive_blocks(packet.reports, now, ntp_seconds, tell)
            case ReceiverReport():
                self._receive_blocks(packet.reports, now, ntp_seconds, tell)
            case GenericNack():
                stream = self._senders.get(packet.media_ssrc)
                if stream is not None:
                    return [(stream, packet.sequence_numbers)]
                self.unknown += 1
            case PictureLossIndication() | FullIntraRequest():
                self._receive_key_frame_request(packet, tell)
            case TransportFeedback():
                self._has_transport_feedback = True
                self._controller.receive_feedback(packet, now)
            case ReceiverEstimatedMaximumBitrate():
                self._controller.receive_remb(packet.bitrate_bps)
            case Goodbye():
                self._receive_goodbye(packet, tell)
        return []

    def _receive_sender_report(self, report: SenderReport, now: float) -> None:
        found = self._find(report.ssrc)
        if found is None:
            self.unknown += 1
            return
        timestamp = found[1].receive_sender_report(report, now)
        self._synchroniser.receive_sender_report(report.ssrc, report.ntp_time, timestamp)

    def _receive_blocks(
        self,
        blocks: tuple[ReportBlock, ...],
        now: float,
        ntp_seconds: float,
        tell: Callable[[RtpEvent], None],
    ) -> None:
        for block in blocks:
            stream = self._senders.get(block.ssrc)
            if stream is None:
                continue  # an RTX stream's, or one that ended
            loss, packets = stream.receive_report(block, ntp_seconds)
            tell(LossReported(block.ssrc, stream.expected_loss))
            if not self._has_transport_feedback and packets:
                self._controller.receive_loss(loss, packets, now)

    def _receive_key_frame_request(
        self, packet: PictureLossIndication | FullIntraRequest, tell: Callable[[RtpEvent], None]
    ) -> None:
        entries: tuple[tuple[int, int | None], ...]
        if isinstance(packet, FullIntraRequest):
            entries = packet.entries
        else:
            entries = ((packet.media_ssrc, None),)
        for ssrc, number in entries:
            stream = self._senders.get(ssrc)
            if stream is None:
                self.unknown += 1
            elif stream.receive_key_frame_request(number):
                tell(KeyFrameRequested(ssrc))

    def _receive_goodbye(self, packet: Goodbye, tell: Callable[[RtpEvent], None]) -> None:
        for ssrc in packet.ssrcs:
            found = self._find(ssrc)
            if found is None:
                self.unknown += 1
                continue
            self._receivers[found[0]].remove(ssrc)
            self._synchroniser.remove(ssrc)
            tell(StreamEnded(found[0], ssrc))
