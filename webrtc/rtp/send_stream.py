"""One stream that is sent: frames or packets in, numbered RTP packets out, and its repair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import msgspec

from webrtc.rtp.codec import Codec
from webrtc.rtp.errors import RtpError
from webrtc.rtp.fec_control import FecControl
from webrtc.rtp.header_extensions import ExtensionMap, HeaderExtensions
from webrtc.rtp.ntp import round_trip_time, to_ntp
from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.red import RedBlock, serialise_red
from webrtc.rtp.rtcp import ReportBlock, SenderReport
from webrtc.rtp.rtx import RetransmissionHistory, wrap_rtx
from webrtc.rtp.sequence import forward_distance
from webrtc.rtp.statistics import SendStatistics
from webrtc.rtp.ulpfec import FecEncoder

MAX_PAYLOAD_SIZE = 1100
"""Bytes: with headers, extensions, RTX, SRTP, TURN and IPv6 a packet stays below 1280."""
MAX_FEC_RATIO = 0.5


@attrs.frozen
class SenderConfig:
    """One encoding of a media description.

    Attributes:
        mid: of the media description.
        ssrc: of the stream.
        codecs: what may be sent; the first is the one that frames are in unless said otherwise.
        rid: of the simulcast layer.
        rtx_ssrc: of its retransmissions; None for none.
        rtx_payload_types: payload type to that of its retransmissions.
        red_payload_type: put payloads into RED: for video, while there is FEC.
        ulpfec_payload_type: of FEC inside RED.
        max_payload_size: bytes.

    """

    mid: str
    ssrc: int
    codecs: tuple[Codec, ...]
    rid: str | None = None
    rtx_ssrc: int | None = None
    rtx_payload_types: Mapping[int, int] = attrs.field(factory=dict)
    red_payload_type: int | None = None
    ulpfec_payload_type: int | None = None
    max_payload_size: int = MAX_PAYLOAD_SIZE


class SendStream:
    """One SSRC of ours.

    Attributes:
        config: as negotiated.
        extensions: of the transport.
        is_video: whether it is paced.
        round_trip_time: in seconds, by the last report; None before.

    """

    def __init__(
        self, config: SenderConfig, extensions: ExtensionMap, randbelow: Callable[[int], int]
    ) -> None:
        """Begin.

        Args:
            config: what was negotiated.
            extensions: of the transport.
            randbelow: draws the random origins (RFC 3550 §5.1), as `secrets.randbelow` does.

        """
        self.extensions = extensions
        self._randbelow = randbelow
        self.configure(config)
        # Below half, so that SRTP's roll-over counter is not guessed wrong (RFC 3711 §3.3.1).
        self._sequence_number = randbelow(1 << 15)
        self._rtx_sequence_number = randbelow(1 << 15)
        self._timestamp_offset = randbelow(1 << 32)
        self._history = RetransmissionHistory()
        self._fec = FecEncoder() if config.ulpfec_payload_type is not None else None
        self._fec_control = FecControl(repairs=self.has_rtx)
        self._has_fixed_fec = False
        self._identify = True
        self._captured: tuple[int, float] | None = None
        self._fir_number: int | None = None
        self._reported: ReportBlock | None = None
        self.round_trip_time: float | None = None
        self._packets = self._octets = self._header_octets = self._retransmitted_octets = 0
        self._reports = self._round_trips = self._firs = 0
        self._round_trip_total = 0.0
        self._retransmitted = self._fec_packets = self._nacks = 0
        self._requests = self._frames = 0

    def configure(self, config: SenderConfig) -> None:
        """Follow negotiation; numbers, timestamps and what was counted go on."""
        self.config = config
        self._packetisers = {
            codec.payload_type: codec.format.packetiser(self._randbelow(1 << 15))
            for codec in config.codecs
            if codec.format is not None
        }
        self._clock_rate = config.codecs[0].clock_rate
        self.is_video = any(codec.format and codec.format.is_video for codec in config.codecs)

    @property
    def has_rtx(self) -> bool:
        """Whether it sends retransmissions, and so may be probed with."""
        return self.config.rtx_ssrc is not None

    @property
    def can_pad(self) -> bool:
        """Whether there is something to send again as padding."""
        return self.has_rtx and bool(len(self._history))

    def set_fec_ratio(self, ratio: float) -> None:
        """Choose how many FEC packets go with a media packet, whatever is lost; 0 for none."""
        self._has_fixed_fec = True
        self._set_fec_ratio(ratio)

    def _set_fec_ratio(self, ratio: float) -> None:
        if self._fec is not None:
            self._fec.ratio = min(max(ratio, 0.0), MAX_FEC_RATIO)

    @property
    def fec_ratio(self) -> float:
        """FEC packets that go with a media packet."""
        return self._fec.ratio if self._fec is not None else 0.0

    @property
    def expected_loss(self) -> float:
        """Share of packets that is lost, by the last reports, 0 to 1."""
        return self._fec_control.loss

    def packets_of_frame(
        self,
        frame: bytes,
        timestamp: int,
        now: float,
        *,
        payload_type: int | None = None,
        extensions: HeaderExtensions | None = None,
        marker: bool = False,
    ) -> list[tuple[RtpPacket, HeaderExtensions]]:
        """Cut a frame into packets.

        Args:
            frame: one encoded frame.
            timestamp: on the media's clock, from any origin; ours is added.
            now: when it was captured, in monotonic seconds.
            payload_type: of its codec; the first by default.
            extensions: audio level and the like; MID and RID are added here.
            marker: for audio, whether talk begins (RFC 3551 §4.1).

        Raises:
            RtpError: no format for this payload type, or no frame of it.

        """
        if payload_type is None:
            payload_type = self.config.codecs[0].payload_type
        packetiser = self._packetisers.get(payload_type)
        if packetiser is None:
            raise RtpError(f"payload type {payload_type} has no packetiser")
        payloads = packetiser.packetise(frame, self.config.max_payload_size)
        wire_timestamp = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        self._captured = wire_timestamp, now
        self._frames += 1
        last = len(payloads) - 1
        packets = []
        for index, payload in enumerate(payloads):
            packets += self._packet(
                payload_type,
                wire_timestamp,
                payload,
                extensions,
                marker=index == last if self.is_video else marker,
            )
        return packets

    def packets_of_payload(
        self,
        payload: bytes,
        timestamp: int,
        now: float,
        *,
        payload_type: int,
        marker: bool,
        extensions: HeaderExtensions | None = None,
    ) -> list[tuple[RtpPacket, HeaderExtensions]]:
        """Return the packet of a payload that was cut elsewhere: a forwarder's, say."""
        wire_timestamp = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        self._captured = wire_timestamp, now
        return self._packet(payload_type, wire_timestamp, payload, extensions, marker=marker)

    def _packet(
        self,
        payload_type: int,
        timestamp: int,
        payload: bytes,
        extensions: HeaderExtensions | None,
        *,
        marker: bool,
    ) -> list[tuple[RtpPacket, HeaderExtensions]]:
        """Return the packet and the FEC that goes after it."""
        values = extensions if extensions is not None else HeaderExtensions()
        if self._identify:
            values = msgspec.structs.replace(values, mid=self.config.mid, rid=self.config.rid)
        red = self.config.red_payload_type
        # FEC protects the packet as it is without RED, and its extensions without their times.
        packet = RtpPacket(
            payload_type, self._next_number(), timestamp, self.config.ssrc, payload, marker
        )
        if red is None or (self._fec is not None and not self._fec.ratio):
            return [(packet, values)]
        wrapped = [(self._in_red(packet, payload_type, red), values)]
        if self._fec is not None:
            profile, data = self.extensions.write(self._timed(values))
            protected = self.extensions.without_transit(
                msgspec.structs.replace(packet, extension_profile=profile, extension=data)
            )
            for fec in self._fec.add(protected):
                fec_packet = RtpPacket(
                    red, self._next_number(), timestamp, self.config.ssrc, fec.pack()
                )
                self._fec_packets += 1
                wrapped.append(
                    (self._in_red(fec_packet, self.config.ulpfec_payload_type or 0, red), values)
                )
        return wrapped

    def _timed(self, values: HeaderExtensions) -> HeaderExtensions:
        """Return the extensions with room for the times that the session fills in."""
        return msgspec.structs.replace(values, absolute_send_time=0, transport_sequence_number=0)

    @staticmethod
    def _in_red(packet: RtpPacket, payload_type: int, red: int) -> RtpPacket:
        payload = serialise_red((RedBlock(payload_type, packet.payload),))
        return msgspec.structs.replace(packet, payload_type=red, payload=payload)

    def _next_number(self) -> int:
        number = self._sequence_number
        self._sequence_number = (number + 1) & 0xFFFF
        return number

    def sent(
        self, packet: RtpPacket, extensions: HeaderExtensions, header_size: int, now: float
    ) -> None:
        """Note that a packet left, with how many bytes of headers. Runs per packet."""
        self._packets += 1
        self._octets += len(packet.payload)
        self._header_octets += header_size
        if packet.ssrc != self.config.ssrc:
            self._retransmitted += 1
            self._retransmitted_octets += len(packet.payload)
        elif self.config.rtx_ssrc is not None:
            self._history.add(packet, extensions, now)

    def retransmissions(
        self, sequence_numbers: Sequence[int], now: float
    ) -> list[tuple[RtpPacket, HeaderExtensions]]:
        """Return RTX packets for a NACK; what is gone, or on its way already, is left out."""
        self._nacks += len(sequence_numbers)
        round_trip = self.round_trip_time if self.round_trip_time is not None else 0.05
        out = []
        for number in sequence_numbers:
            entry = self._history.take(number, now, round_trip)
            if entry is not None:
                out += self._rtx(*entry)
        return out

    def padding(self, size_bytes: int) -> list[tuple[RtpPacket, HeaderExtensions]]:
        """Return a packet to send again, for a probe."""
        entry = self._history.best_padding(size_bytes)
        return [] if entry is None else self._rtx(*entry)

    def _rtx(
        self, packet: RtpPacket, extensions: HeaderExtensions
    ) -> list[tuple[RtpPacket, HeaderExtensions]]:
        payload_type = self.config.rtx_payload_types.get(packet.payload_type)
        ssrc = self.config.rtx_ssrc
        if payload_type is None or ssrc is None:
            return []
        number = self._rtx_sequence_number
        self._rtx_sequence_number = (number + 1) & 0xFFFF
        wrapped = wrap_rtx(packet, ssrc=ssrc, payload_type=payload_type, sequence_number=number)
        # RFC 8852 §3.3: RTX says which stream it repairs, in place of which it is. Always: it is
        # rare, and the peer may not have bound its SSRC yet.
        values = msgspec.structs.replace(
            extensions, mid=self.config.mid, rid=None, repaired_rid=self.config.rid
        )
        return [(wrapped, values)]

    def receive_report(self, block: ReportBlock, ntp_seconds: float) -> tuple[float, int]:
        """Take a report block on this stream.

        Returns:
            The fraction lost, 0 to 1, and of how many packets.

        """
        # The peer has bound SSRC to MID: no more need to say it (RFC 8843 §9.2).
        self._identify = False
        before = self._reported
        self._reported = block
        measured = round_trip_time(
            to_ntp(ntp_seconds), block.last_sender_report, block.delay_since_last_sender_report
        )
        self._reports += 1
        if measured is not None:
            self.round_trip_time = measured
            self._round_trip_total += measured
            self._round_trips += 1
        ratio = self._fec_control.receive(block.fraction_lost / 256, self.round_trip_time)
        if not self._has_fixed_fec:
            self._set_fec_ratio(ratio)
        if before is None:
            return block.fraction_lost / 256, 0
        packets = forward_distance(
            before.highest_sequence_number, block.highest_sequence_number, bits=32
        )
        return block.fraction_lost / 256, max(packets, 0)

    def receive_key_frame_request(self, fir_number: int | None = None) -> bool:
        """Take a PLI, or a FIR with its number; return whether it asks for something new."""
        if fir_number is not None:
            if fir_number == self._fir_number:
                return False  # RFC 5104 §4.3.1.2: a repeat of one that was answered
            self._fir_number = fir_number
            self._firs += 1
        self._requests += 1
        return True

    def sender_report(
        self, now: float, ntp_seconds: float, reports: tuple[ReportBlock, ...] = ()
    ) -> SenderReport | None:
        """Return an SR; None before anything was sent (RFC 3550 §6.4: an RR then)."""
        if self._captured is None or not self._packets:
            return None
        timestamp, at = self._captured
        return SenderReport(
            self.config.ssrc,
            to_ntp(ntp_seconds),
            (timestamp + round((now - at) * self._clock_rate)) & 0xFFFFFFFF,
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
            reports,
        )

    def statistics(self) -> SendStatistics:
        """Return a snapshot."""
        block = self._reported
        return SendStatistics(
            packets_sent=self._packets,
            bytes_sent=self._octets,
            retransmitted_packets_sent=self._retransmitted,
            fec_packets_sent=self._fec_packets,
            nack_count=self._nacks,
            key_frame_requests=self._requests,
            fir_count=self._firs,
            frames_sent=self._frames,
            header_bytes_sent=self._header_octets,
            retransmitted_bytes_sent=self._retransmitted_octets,
            reports_received=self._reports,
            fraction_lost=block.fraction_lost / 256 if block else 0.0,
            packets_lost=block.packets_lost if block else 0,
            remote_jitter=block.jitter / self._clock_rate if block else 0.0,
            round_trip_time=self.round_trip_time,
            total_round_trip_time=self._round_trip_total,
            round_trip_times=self._round_trips,
        )
