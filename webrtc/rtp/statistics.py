"""What streams count, as snapshots."""

from __future__ import annotations

import attrs


@attrs.frozen
class SendStatistics:
    """A snapshot, with the names of W3C's `RTCOutboundRtpStreamStats` in our spelling.

    Attributes:
        packets_sent: retransmissions included.
        bytes_sent: of payload, retransmissions included.
        retransmitted_packets_sent: of these.
        fec_packets_sent: of these.
        nack_count: sequence numbers that the peer asked for.
        key_frame_requests: PLI and FIR that came.
        fir_count: FIR of these.
        frames_sent: that were cut into packets.
        header_bytes_sent: of RTP headers with their extensions.
        retransmitted_bytes_sent: of payload, in retransmissions.
        reports_received: blocks of the peer's on this stream.
        fraction_lost: of the last report, 0 to 1.
        packets_lost: of the last report.
        remote_jitter: of the last report, in seconds.
        round_trip_time: of the last report, in seconds; None before one could be measured.
        total_round_trip_time: the sum of all, in seconds.
        round_trip_times: how many these are.

    """

    packets_sent: int
    bytes_sent: int
    retransmitted_packets_sent: int
    fec_packets_sent: int
    nack_count: int
    key_frame_requests: int
    fir_count: int
    frames_sent: int
    header_bytes_sent: int
    retransmitted_bytes_sent: int
    reports_received: int
    fraction_lost: float
    packets_lost: int
    remote_jitter: float
    round_trip_time: float | None
    total_round_trip_time: float
    round_trip_times: int


@attrs.frozen
class RemoteSendStatistics:
    """What the peer's sender reports said (W3C: `RTCRemoteOutboundRtpStreamStats`).

    Attributes:
        reports: how many came.
        ntp_time: of the last, 64 bits.
        packets_sent: by then.
        bytes_sent: by then, of payload.

    """

    reports: int
    ntp_time: int
    packets_sent: int
    bytes_sent: int


@attrs.frozen
class ReceiveStatistics:
    """A snapshot, with the names of W3C's `RTCInboundRtpStreamStats` in our spelling.

    Attributes:
        packets_received: without retransmissions.
        bytes_received: of payload.
        packets_lost: signed.
        jitter: seconds.
        nack_count: sequence numbers asked for.
        retransmitted_packets_received: by RTX.
        retransmitted_bytes_received: of payload, by RTX.
        header_bytes_received: of RTP headers with their extensions, without retransmissions.
        last_packet_at: when one came, in monotonic seconds.
        fec_packets_received: packets of FEC.
        fec_packets_recovered: packets that FEC brought back.
        key_frame_requests: PLI or FIR sent.
        uses_fir: which of the two.
        remote: the peer's own count, of its last report; None before one came.
        packets_discarded: too late, or malformed.
        frames_received: given to the decoder.
        key_frames_received: of these.
        frames_dropped: given up.
        jitter_buffer_delay: seconds that are waited now, synchronisation included.
        concealed_packets: of audio, that did not come in time.

    """

    packets_received: int
    bytes_received: int
    packets_lost: int
    jitter: float
    nack_count: int
    retransmitted_packets_received: int
    retransmitted_bytes_received: int
    header_bytes_received: int
    last_packet_at: float
    fec_packets_received: int
    fec_packets_recovered: int
    key_frame_requests: int
    uses_fir: bool
    remote: RemoteSendStatistics | None
    packets_discarded: int
    frames_received: int
    key_frames_received: int
    frames_dropped: int
    jitter_buffer_delay: float
    concealed_packets: int
