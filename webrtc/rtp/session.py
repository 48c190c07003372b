"""All RTP of one transport: demultiplexing, reports, feedback, pacing and the target bit rate.

Sans-IO: datagrams and times in, datagrams and events out. What goes out is not yet encrypted, what
comes in is not any more: SRTP lies between this and the wire.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import msgspec

from webrtc.rtp.arrivals import ArrivalRecorder
from webrtc.rtp.congestion import CongestionController, ReceiveSideEstimator
from webrtc.rtp.congestion.controller import MAX_BPS, MIN_BPS, START_BPS
from webrtc.rtp.demultiplexer import Demultiplexer
from webrtc.rtp.errors import RtpDecodeError, RtpError
from webrtc.rtp.events import FrameReceived, PacketReceived, RtpEvent, TargetBitrateChanged
from webrtc.rtp.header_extensions import ExtensionMap, HeaderExtensions
from webrtc.rtp.jitter import Synchroniser
from webrtc.rtp.packet import is_rtcp, parse_rtp
from webrtc.rtp.receive_stream import ReceiveStream
from webrtc.rtp.receiver import Receiver, ReceiverConfig
from webrtc.rtp.rtcp import parse_rtcp
from webrtc.rtp.rtcp_exchange import RtcpExchange
from webrtc.rtp.send_path import OVERHEAD_BYTES, SendPath
from webrtc.rtp.send_stream import SenderConfig, SendStream
from webrtc.rtp.statistics import ReceiveStatistics, SendStatistics

MAX_EVENTS = 4096
MAX_DATAGRAMS = 8192
MAX_STREAMS = 256
"""Streams of ours, and media descriptions."""
TARGET_STEP = 0.02
"""Share by which the target must change to be told: an encoder has no use for less."""


@attrs.frozen
class SessionConfig:
    """What was negotiated for the transport.

    Attributes:
        cname: ours, random and lasting for the session (RFC 7022).
        extensions: identifiers of header extensions.
        reduced_size: feedback may go without reports (RFC 5506).
        start_bps: of the target bit rate; so too `min_bps`, `max_bps`.
        ntp_offset: seconds since 1900 when the monotonic clock was 0; 0 tells no wall clock.

    """

    cname: str
    extensions: ExtensionMap = attrs.field(factory=ExtensionMap)
    reduced_size: bool = True
    start_bps: float = START_BPS
    min_bps: float = MIN_BPS
    max_bps: float = MAX_BPS
    ntp_offset: float = 0.0


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """What to send.

    Attributes:
        data: before SRTP.
        is_rtcp: protect it as SRTCP.

    """

    data: bytes
    is_rtcp: bool


class RtpSession:
    """All streams of one transport.

    Attributes:
        config: as negotiated.
        malformed: datagrams and packets that did not parse.
        dropped_events: events that nobody took in time.
        dropped_datagrams: likewise.

    """

    def __init__(self, config: SessionConfig, randbelow: Callable[[int], int]) -> None:
        """Begin.

        Args:
            config: what was negotiated.
            randbelow: draws random numbers below its argument, as `secrets.randbelow` does.

        """
        self.config = config
        self._randbelow = randbelow
        self._demultiplexer = Demultiplexer()
        self._receivers: dict[str, Receiver] = {}
        self._senders: dict[int, SendStream] = {}
        self._synchroniser = Synchroniser()
        self._controller = CongestionController(config.start_bps, config.min_bps, config.max_bps)
        self._recorder = ArrivalRecorder()
        self._estimator = ReceiveSideEstimator(config.start_bps, config.min_bps, config.max_bps)
        self._told_bps = config.start_bps
        self._events: list[RtpEvent] = []
        self._datagrams: list[Datagram] = []
        self._touched: tuple[str, ReceiveStream] | None = None
        self._touched_at = 0.0
        self._path = SendPath(
            senders=self._senders,
            controller=self._controller,
            extensions=config.extensions,
            emit=lambda data: self._emit(Datagram(data, is_rtcp=False)),
        )
        self._rtcp = RtcpExchange(
            receivers=self._receivers,
            senders=self._senders,
            demultiplexer=self._demultiplexer,
            synchroniser=self._synchroniser,
            controller=self._controller,
            recorder=self._recorder,
            estimator=self._estimator,
            randbelow=randbelow,
        )
        self.malformed = 0
        self.dropped_events = 0
        self.dropped_datagrams = 0

    # What is negotiated

    def set_extensions(self, extensions: ExtensionMap) -> None:
        """Take a new map of header extensions, for all streams."""
        self.config = attrs.evolve(self.config, extensions=extensions)
        self._path.extensions = extensions
        for sender in self._senders.values():
            sender.extensions = extensions
        for receiver in self._receivers.values():
            receiver.set_extensions(extensions)

    def add_receiver(self, config: ReceiverConfig) -> None:
        """Receive a media description, or change how; its streams begin anew if codecs change.

        Raises:
            RtpError: there are too many.

        """
        old = self._receivers.get(config.mid)
        if old is None and len(self._receivers) >= MAX_STREAMS:
            raise RtpError(f"more than {MAX_STREAMS} receivers")
        payload_types = [codec.payload_type for codec in config.codecs]
        self._demultiplexer.add(config.mid, payload_types, (*config.ssrcs, *config.rtx_ssrcs))
        if old is None or old.config != config:
            self._receivers[config.mid] = Receiver(config, self.config.extensions)

    def remove_receiver(self, mid: str) -> None:
        """Receive a media description no more."""
        self._settle()
        receiver = self._receivers.pop(mid, None)
        self._demultiplexer.remove(mid)
        if receiver is not None:
            for stream in receiver.streams:
                self._synchroniser.remove(stream.ssrc)

    def add_sender(self, config: SenderConfig) -> None:
        """Send a stream, or go on with the one of this SSRC as was negotiated now.

        Raises:
            RtpError: there are too many.

        """
        old = self._senders.get(config.ssrc)
        if old is not None:
            old.configure(config)
            return
        if len(self._senders) >= MAX_STREAMS:
            raise RtpError(f"no sender {config.ssrc:#x}: more than {MAX_STREAMS}")
        self._senders[config.ssrc] = SendStream(config, self.config.extensions, self._randbelow)

    def remove_sender(self, ssrc: int) -> None:
        """Stop sending a stream, and say goodbye for it."""
        stream = self._senders.pop(ssrc, None)
        if stream is not None:
            self._send_rtcp(self._rtcp.goodbye(stream, self.config.cname))

    # Sending

    @property
    def target_bps(self) -> float:
        """What all our streams together should send."""
        return self._controller.target_bps

    def want(self, bitrate_bps: float | None) -> None:
        """Say what all our streams could use; no more is looked for. None if that is not known."""
        self._controller.want(bitrate_bps)

    @property
    def pacer_delay(self) -> float:
        """Seconds that what waits to be sent takes at the target bit rate."""
        return self._path.queue_time

    def send_frame(
        self,
        ssrc: int,
        frame: bytes,
        timestamp: int,
        now: float,
        *,
        payload_type: int | None = None,
        extensions: HeaderExtensions | None = None,
        marker: bool = False,
    ) -> None:
        """Send an encoded frame; see `SendStream.packets_of_frame`.

        Raises:
            RtpError: no such stream or format, or not a frame of it.

        """
        stream = self._sender(ssrc)
        packets = stream.packets_of_frame(
            frame,
            timestamp,
            now,
            payload_type=payload_type,
            extensions=extensions,
            marker=marker,
        )
        self._rtcp.start(now)
        self._path.add(stream, packets, now)

    def send_payload(
        self,
        ssrc: int,
        payload: bytes,
        timestamp: int,
        now: float,
        *,
        payload_type: int,
        marker: bool,
        extensions: HeaderExtensions | None = None,
    ) -> None:
        """Send one packet with a payload that was cut elsewhere; raises RtpError."""
        stream = self._sender(ssrc)
        packets = stream.packets_of_payload(
            payload,
            timestamp,
            now,
            payload_type=payload_type,
            marker=marker,
            extensions=extensions,
        )
        self._rtcp.start(now)
        self._path.add(stream, packets, now)

    def set_fec_ratio(self, ssrc: int, ratio: float) -> None:
        """Choose how many FEC packets go with each of a stream's, whatever is lost.

        Else the peer's reports decide (`webrtc.rtp.fec_control`). Raises RtpError.
        """
        self._sender(ssrc).set_fec_ratio(ratio)

    def fec_ratio(self, ssrc: int) -> float:
        """Return how many FEC packets go with each of a stream's; raises RtpError."""
        return self._sender(ssrc).fec_ratio

    def _sender(self, ssrc: int) -> SendStream:
        stream = self._senders.get(ssrc)
        if stream is None:
            raise RtpError(f"no sender {ssrc:#x}")
        return stream

    def _emit(self, datagram: Datagram) -> None:
        if len(self._datagrams) >= MAX_DATAGRAMS:
            self.dropped_datagrams += 1
            return
        self._datagrams.append(datagram)

    # Receiving

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram, decrypted. Runs per packet; whatever the bytes, nothing is raised."""
        try:
            if is_rtcp(data):
                self._receive_rtcp(data, now)
            else:
                self._receive_rtp(data, now)
        except RtpDecodeError:
            self.malformed += 1

    def _receive_rtp(self, data: bytes, now: float) -> None:
        packet = parse_rtp(data)
        extensions = self.config.extensions.read(packet)
        mid = self._demultiplexer.route(packet.ssrc, packet.payload_type, extensions.mid)
        if extensions.transport_sequence_number is not None:
            self._recorder.receive(extensions.transport_sequence_number, packet.ssrc, now)
        elif extensions.absolute_send_time is not None:
            size = len(data) + OVERHEAD_BYTES
            self._estimator.receive(extensions.absolute_send_time, size, now)
        if mid is None:
            return
        receiver = self._receivers[mid]
        known = receiver.stream(packet.ssrc)
        found = receiver.receive(packet, extensions, now)
        if found is None:
            return
        stream, media, is_retransmission = found
        if known is None and not is_retransmission:
            self._begin(stream, receiver.config, now)
        if receiver.config.wants_packets:
            stream.count(media, now, is_retransmission=is_retransmission)
            self._tell(PacketReceived(mid, stream.ssrc, stream.rid, media, extensions))
        else:
            stream.receive(media, now, is_retransmission=is_retransmission)
        # What comes together is looked at together: a frame is ten packets.
        if self._touched is not None and self._touched[1] is not stream:
            self._settle()
        self._touched = mid, stream
        self._touched_at = now

    def _settle(self) -> None:
        """Do what the last packets lead to: frames that are whole, requests for what is missing."""
        if self._touched is None:
            return
        (mid, stream), self._touched = self._touched, None
        receiver, now = self._receivers.get(mid), self._touched_at
        if receiver is None:
            return
        if not receiver.config.wants_packets:
            self._take_frames(mid, stream, now)
        self._request(stream, now)

    def _begin(self, stream: ReceiveStream, config: ReceiverConfig, now: float) -> None:
        self._rtcp.start(now)
        # It may have taken the place of others, or all began anew with other codecs.
        self._synchroniser.keep(
            {each.ssrc for receiver in self._receivers.values() for each in receiver.streams}
        )
        if config.sync_group:
            self._synchroniser.add(stream.ssrc, config.sync_group, stream.clock)

    def _take_frames(self, mid: str, stream: ReceiveStream, now: float) -> None:
        for frame in stream.take_frames(now):
            self._tell(FrameReceived(mid, stream.ssrc, stream.rid, frame))

    def _receive_rtcp(self, data: bytes, now: float) -> None:
        self._settle()
        ntp_seconds = now + self.config.ntp_offset
        for packet in parse_rtcp(data):
            for stream, numbers in self._rtcp.receive(packet, now, ntp_seconds, self._tell):
                self._path.repair(stream, numbers, now)
        self._retarget()
        self._path.pace(now)

    def _retarget(self) -> None:
        target = self._path.retarget()
        if abs(target - self._told_bps) >= TARGET_STEP * self._told_bps:
            self._told_bps = target
            self._tell(TargetBitrateChanged(target))

    def _tell(self, event: RtpEvent) -> None:
        if len(self._events) >= MAX_EVENTS:
            self.dropped_events += 1
            return
        self._events.append(event)

    def request_key_frame(self, mid: str, ssrc: int, now: float) -> None:
        """Ask the peer for a key frame: the decoder failed, or somebody new watches."""
        receiver = self._receivers.get(mid)
        stream = None if receiver is None else receiver.stream(ssrc)
        if stream is not None:
            stream.key_frames.want(now)
            self._request(stream, now)

    # Time

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`."""
        self._settle()
        deadlines = [
            self._path.next_deadline(),
            self._controller.next_deadline(),
            self._rtcp.next_deadline(),
        ]
        for receiver in self._receivers.values():
            deadlines.extend(stream.next_deadline() for stream in receiver.streams)
        return min((at for at in deadlines if at is not None), default=None)

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        self._settle()
        self._controller.on_deadline(now)
        self._retarget()
        self._path.pace(now)
        for mid, receiver in self._receivers.items():
            for stream in receiver.streams:
                if not receiver.config.wants_packets:
                    self._take_frames(mid, stream, now)
                self._request(stream, now)
        self._rtcp.on_deadline(self.config.cname, now, now + self.config.ntp_offset)
        self._send_rtcp(self._rtcp.take())

    def _request(self, stream: ReceiveStream, now: float) -> None:
        self._rtcp.request(stream, now, reduced_size=self.config.reduced_size, send=self._send_rtcp)

    def _send_rtcp(self, datagrams: list[bytes]) -> None:
        for data in datagrams:
            self._emit(Datagram(data, is_rtcp=True))

    def take_datagrams(self) -> list[Datagram]:
        """Return what to send, in order."""
        self._settle()
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def take_events(self) -> list[RtpEvent]:
        """Return what happened, in order."""
        self._settle()
        events, self._events = self._events, []
        return events

    # Looking

    def send_statistics(self) -> dict[int, SendStatistics]:
        """Return a snapshot of each stream of ours, by SSRC."""
        return {ssrc: stream.statistics() for ssrc, stream in self._senders.items()}

    def receive_statistics(self) -> dict[tuple[str, int], ReceiveStatistics]:
        """Return a snapshot of each stream of the peer's, by MID and SSRC."""
        self._settle()
        return {
            (mid, stream.ssrc): stream.statistics()
            for mid, receiver in self._receivers.items()
            for stream in receiver.streams
        }

    @property
    def unrouted(self) -> int:
        """Packets that belong to no media description."""
        return self._demultiplexer.unrouted
