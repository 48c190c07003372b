"""W3C's statistics of media: what is sent and received, and what the peer says of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trio

from webrtc.encoding import Encoding
from webrtc.rtp import ReceiveStatistics, RemoteSendStatistics, SendStatistics
from webrtc.sdp import Codec, MediaKind
from webrtc.transceiver import RtpTransceiver
from webrtc.transport import PeerTransport

Report = dict[str, Any]
_MS = 1000
_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


def media_reports(
    transceiver: RtpTransceiver, transports: tuple[PeerTransport, ...], now_ms: float
) -> Iterator[Report]:
    """Yield the reports of a transceiver; `now_ms` is milliseconds since 1970."""
    mid, kind = transceiver.mid, transceiver.kind
    transport = next((each for each in transports if mid in each.parameters.mids), None)
    if mid is None or transport is None:
        return
    common = {"kind": kind.value, "mid": mid, "transportId": f"T{transport.id}"}
    for ssrc, received in transceiver.receiver.statistics().items():
        yield _inbound(transceiver, ssrc, received, common, now_ms)
        if received.remote is not None:
            yield _remote_outbound(transceiver, ssrc, received.remote, common)
    sender = transceiver.sender
    for index, (encoding, sent) in enumerate(sender.statistics().items()):
        yield _outbound(transceiver, index, encoding, sent, common)
        if sent.reports_received:
            yield _remote_inbound(transceiver, encoding, sent, common)
    if sender.track is not None:
        yield _source(transceiver, mid)
    codecs = {codec.payload_type: codec for codec in transceiver.receiver.codecs}
    if sender.codec is not None:
        codecs.setdefault(sender.codec.payload_type, sender.codec)
    for codec in codecs.values():
        yield _codec(codec, mid, transport)


def _codec_id(mid: str, payload_type: int | None) -> str | None:
    return None if payload_type is None else f"C{mid}-{payload_type}"


def _codec(codec: Codec, mid: str, transport: PeerTransport) -> Report:
    fmtp = ";".join(k if v is None else f"{k}={v}" for k, v in codec.parameters)
    return {
        "id": f"C{mid}-{codec.payload_type}",
        "type": "codec",
        "payloadType": codec.payload_type,
        "transportId": f"T{transport.id}",
        "mimeType": codec.mime_type,
        "clockRate": codec.clock_rate,
        "channels": codec.channels if codec.kind is MediaKind.AUDIO else None,
        "sdpFmtpLine": fmtp or None,
    }


def _inbound(
    transceiver: RtpTransceiver,
    ssrc: int,
    received: ReceiveStatistics,
    common: Report,
    now_ms: float,
) -> Report:
    mid, receiver = common["mid"], transceiver.receiver
    is_video = transceiver.kind is MediaKind.VIDEO
    since = trio.current_time() - received.last_packet_at
    report: Report = {
        "id": f"I{mid}-{ssrc}",
        "type": "inbound-rtp",
        "ssrc": ssrc,
        **common,
        "trackIdentifier": transceiver.remote_track_id,
        "codecId": _codec_id(mid, receiver.payload_type),
        "remoteId": f"RO{mid}-{ssrc}" if received.remote is not None else None,
        "packetsReceived": received.packets_received,
        "bytesReceived": received.bytes_received,
        "headerBytesReceived": received.header_bytes_received,
        "lastPacketReceivedTimestamp": now_ms - since * _MS,
        "packetsLost": received.packets_lost,
        "jitter": received.jitter,
        "nackCount": received.nack_count,
        "packetsDiscarded": received.packets_discarded,
        "retransmittedPacketsReceived": received.retransmitted_packets_received,
        "retransmittedBytesReceived": received.retransmitted_bytes_received,
        "fecPacketsReceived": received.fec_packets_received,
    }
    # What is played is of one stream: of a simulcast, the layer that was chosen.
    is_shown = receiver.shown_ssrc == ssrc
    if is_video:
        uses_fir = received.uses_fir
        report |= {
            "pliCount": 0 if uses_fir else received.key_frame_requests,
            "firCount": received.key_frame_requests if uses_fir else 0,
            "framesReceived": received.frames_received,
            "keyFramesDecoded": received.key_frames_received,
            "framesDropped": received.frames_dropped,
        }
    else:
        report["concealmentEvents"] = received.concealed_packets
    return report | (_played(transceiver) if is_shown else {})


def _played(transceiver: RtpTransceiver) -> Report:
    receiver, meter = transceiver.receiver, transceiver.receiver.meter
    report: Report = {
        "jitterBufferDelay": meter.waited,
        "jitterBufferEmittedCount": meter.emitted,
    }
    if transceiver.kind is MediaKind.VIDEO:
        return report | {
            "framesDecoded": receiver.frames_decoded,
            "framesPerSecond": meter.frames_per_second,
            "frameWidth": meter.width,
            "frameHeight": meter.height,
            "freezeCount": meter.freezes,
            "totalFreezesDuration": meter.frozen,
            "totalDecodeTime": meter.decode_time,
            "totalInterFrameDelay": meter.intervals,
            "totalSquaredInterFrameDelay": meter.squared_intervals,
        }
    return report | {
        "totalSamplesReceived": meter.samples,
        "totalSamplesDuration": meter.duration,
        "totalAudioEnergy": meter.energy,
        "audioLevel": meter.level,
    }


def _remote_outbound(
    transceiver: RtpTransceiver, ssrc: int, remote: RemoteSendStatistics, common: Report
) -> Report:
    seconds = remote.ntp_time / (1 << 32) - _NTP_EPOCH
    return {
        "id": f"RO{common['mid']}-{ssrc}",
        "type": "remote-outbound-rtp",
        "ssrc": ssrc,
        **common,
        "localId": f"I{common['mid']}-{ssrc}",
        "codecId": _codec_id(common["mid"], transceiver.receiver.payload_type),
        "remoteTimestamp": seconds * _MS,
        "reportsSent": remote.reports,
        "packetsSent": remote.packets_sent,
        "bytesSent": remote.bytes_sent,
    }


def _outbound(
    transceiver: RtpTransceiver,
    index: int,
    encoding: Encoding,
    sent: SendStatistics,
    common: Report,
) -> Report:
    sender = transceiver.sender
    mid, ssrc, codec = common["mid"], encoding.sources.ssrc, sender.codec
    report: Report = {
        "id": f"O{mid}-{ssrc}",
        "type": "outbound-rtp",
        "ssrc": ssrc,
        "rtxSsrc": encoding.sources.rtx_ssrc,
        "rid": encoding.parameters.rid,
        "encodingIndex": index,
        **common,
        "mediaSourceId": f"S{mid}" if sender.track is not None else None,
        "codecId": _codec_id(mid, codec.payload_type if codec is not None else None),
        "remoteId": f"RI{mid}-{ssrc}" if sent.reports_received else None,
        "packetsSent": sent.packets_sent,
        "bytesSent": sent.bytes_sent,
        "headerBytesSent": sent.header_bytes_sent,
        "retransmittedPacketsSent": sent.retransmitted_packets_sent,
        "retransmittedBytesSent": sent.retransmitted_bytes_sent,
        "nackCount": sent.nack_count,
        "targetBitrate": encoding.bit_rate,
        "active": sender.track is not None and not encoding.is_paused,
    }
    if transceiver.kind is MediaKind.VIDEO:
        report |= {
            "pliCount": sent.key_frame_requests - sent.fir_count,
            "firCount": sent.fir_count,
            "framesSent": sent.frames_sent,
            "framesEncoded": encoding.frames_encoded,
            "keyFramesEncoded": encoding.key_frames_encoded,
            "framesPerSecond": encoding.frames_per_second,
            "frameWidth": encoding.width,
            "frameHeight": encoding.height,
            "totalEncodeTime": encoding.encode_time,
        }
    return report


def _remote_inbound(
    transceiver: RtpTransceiver, encoding: Encoding, sent: SendStatistics, common: Report
) -> Report:
    mid, ssrc, codec = common["mid"], encoding.sources.ssrc, transceiver.sender.codec
    return {
        "id": f"RI{mid}-{ssrc}",
        "type": "remote-inbound-rtp",
        "ssrc": ssrc,
        **common,
        "localId": f"O{mid}-{ssrc}",
        "codecId": _codec_id(mid, codec.payload_type if codec is not None else None),
        "packetsLost": sent.packets_lost,
        "fractionLost": sent.fraction_lost,
        "jitter": sent.remote_jitter,
        "roundTripTime": sent.round_trip_time,
        "totalRoundTripTime": sent.total_round_trip_time,
        "roundTripTimeMeasurements": sent.round_trip_times,
    }


def _source(transceiver: RtpTransceiver, mid: str) -> Report:
    meter = transceiver.sender.meter
    report: Report = {
        "id": f"S{mid}",
        "type": "media-source",
        "kind": transceiver.kind.value,
        "trackIdentifier": transceiver.track_id,
    }
    if transceiver.kind is MediaKind.VIDEO:
        return report | {
            "width": meter.width,
            "height": meter.height,
            "frames": meter.frames,
            "framesPerSecond": meter.frames_per_second,
        }
    return report | {
        "audioLevel": meter.level,
        "totalAudioEnergy": meter.energy,
        "totalSamplesDuration": meter.duration,
    }
