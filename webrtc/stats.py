"""What a peer connection counted, with the names of W3C's webrtc-stats.

`get_stats` gives what a browser's does, as JSON: reports by their id, each with `id`, `type` and
`timestamp` (milliseconds since 1970), times in seconds otherwise. What is not known is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from ice_client import AgentStats, Candidate, CandidateType, PairStats, Transport
from webrtc.channel_table import ChannelTable
from webrtc.data_channel import DataChannel
from webrtc.dtls import Certificate, DtlsRole
from webrtc.rtp import ReceiveStatistics, SendStatistics
from webrtc.sdp import Codec, MediaKind
from webrtc.transceiver import RtpTransceiver
from webrtc.transport import PeerTransport

Report = dict[str, Any]
_MS = 1000
_CANDIDATE_TYPES = {
    CandidateType.HOST: "host",
    CandidateType.SERVER_REFLEXIVE: "srflx",
    CandidateType.PEER_REFLEXIVE: "prflx",
    CandidateType.RELAYED: "relay",
}


def get_stats(
    transports: Iterable[PeerTransport],
    transceivers: Iterable[RtpTransceiver],
    channels: ChannelTable,
    certificate: Certificate,
) -> dict[str, Report]:
    """Return all reports by their id."""
    now = time.time() * _MS
    transports = tuple(transports)
    reports = [_connection(channels), _certificate(certificate)]
    for transport in transports:
        reports += _transport(transport)
    for transceiver in transceivers:
        reports += _media(transceiver, transports)
    reports += [_channel(channel) for channel in channels.channels]
    return {report["id"]: {"timestamp": now, **_known(report)} for report in reports}


def _known(report: Report) -> Report:
    return {name: value for name, value in report.items() if value is not None}


def _connection(channels: ChannelTable) -> Report:
    return {
        "id": "P",
        "type": "peer-connection",
        "dataChannelsOpened": channels.opened,
        "dataChannelsClosed": channels.closed,
    }


def _certificate(certificate: Certificate) -> Report:
    fingerprint = certificate.fingerprint()
    return {
        "id": "CF",
        "type": "certificate",
        "fingerprint": fingerprint.digest.hex(":").upper(),
        "fingerprintAlgorithm": fingerprint.algorithm,
    }


# Transports


def _transport(transport: PeerTransport) -> Iterator[Report]:
    agent = transport.agent
    if agent is None:
        return
    stats = agent.stats()
    selected = None
    seen: set[str] = set()
    for pair in stats.pairs:
        name = _pair_id(transport, pair)
        if pair.checks.is_selected:
            selected = name
        yield _pair(transport, pair, name)
        for report in (
            _candidate(transport, pair.checks.local, is_local=True),
            _candidate(transport, pair.checks.remote, is_local=False),
        ):
            if report["id"] not in seen:
                seen.add(report["id"])
                yield report
    yield _transport_report(transport, stats, selected)


def _transport_report(transport: PeerTransport, stats: AgentStats, selected: str | None) -> Report:
    dtls, srtp, agent = transport.dtls, transport.srtp, transport.agent
    traffic = [pair.traffic for pair in stats.pairs]
    return {
        "id": f"T{transport.id}",
        "type": "transport",
        "packetsSent": sum(each.packets_sent for each in traffic),
        "packetsReceived": sum(each.packets_received for each in traffic),
        "bytesSent": sum(each.bytes_sent for each in traffic),
        "bytesReceived": sum(each.bytes_received for each in traffic),
        "iceRole": agent.role.value if agent is not None else None,
        "iceLocalUsernameFragment": transport.parameters.local_credentials.username_fragment,
        "iceState": transport.ice_state.value,
        "dtlsState": dtls.state.value,
        "dtlsRole": _ROLES.get(dtls.role, "unknown"),
        "srtpCipher": srtp.profile.name if srtp is not None else None,
        "selectedCandidatePairId": selected,
        "localCertificateId": "CF",
    }


_ROLES: dict[DtlsRole | None, str] = {DtlsRole.CLIENT: "client", DtlsRole.SERVER: "server"}


def _pair_id(transport: PeerTransport, pair: PairStats) -> str:
    checks = pair.checks
    return f"CP{transport.id}-{_address(checks.local)}-{_address(checks.remote)}"


def _address(candidate: Candidate) -> str:
    return f"{candidate.transport.value}:{candidate.address}"


def _pair(transport: PeerTransport, pair: PairStats, name: str) -> Report:
    checks, traffic = pair.checks, pair.traffic
    is_used = checks.is_selected
    return {
        "id": name,
        "type": "candidate-pair",
        "transportId": f"T{transport.id}",
        "localCandidateId": f"L{transport.id}-{_address(checks.local)}",
        "remoteCandidateId": f"R{transport.id}-{_address(checks.remote)}",
        "state": checks.state.value,
        "nominated": checks.is_nominated,
        "packetsSent": traffic.packets_sent,
        "packetsReceived": traffic.packets_received,
        "bytesSent": traffic.bytes_sent,
        "bytesReceived": traffic.bytes_received,
        "totalRoundTripTime": checks.total_round_trip_time,
        "currentRoundTripTime": checks.current_round_trip_time,
        "availableOutgoingBitrate": transport.rtp.target_bps if is_used else None,
        "requestsReceived": checks.requests_received,
        "requestsSent": checks.requests_sent - checks.consent_requests_sent,
        "responsesReceived": checks.responses_received,
        "responsesSent": checks.responses_sent,
        "consentRequestsSent": checks.consent_requests_sent,
    }


def _candidate(transport: PeerTransport, candidate: Candidate, *, is_local: bool) -> Report:
    side = "L" if is_local else "R"
    return {
        "id": f"{side}{transport.id}-{_address(candidate)}",
        "type": "local-candidate" if is_local else "remote-candidate",
        "transportId": f"T{transport.id}",
        "address": candidate.address.host,
        "port": candidate.address.port,
        "protocol": "udp" if candidate.transport is Transport.UDP else "tcp",
        "candidateType": _CANDIDATE_TYPES[candidate.type],
        "priority": candidate.priority,
        "foundation": candidate.foundation,
    }


# Media


def _media(transceiver: RtpTransceiver, transports: tuple[PeerTransport, ...]) -> Iterator[Report]:
    mid, kind = transceiver.mid, transceiver.kind
    transport = next((each for each in transports if mid in each.parameters.mids), None)
    if mid is None or transport is None:
        return
    common = {"kind": kind.value, "mid": mid, "transportId": f"T{transport.id}"}
    for ssrc, received in transceiver.receiver.statistics().items():
        yield _inbound(transceiver, ssrc, received, common)
    sent = transceiver.sender.statistics()
    if sent is not None:
        yield from _outbound(transceiver, sent, common)
    for codec in transceiver.receiver.codecs:
        yield _codec(codec, mid, transport)


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
    transceiver: RtpTransceiver, ssrc: int, received: ReceiveStatistics, common: Report
) -> Report:
    is_video = transceiver.kind is MediaKind.VIDEO
    return {
        "id": f"I{common['mid']}-{ssrc}",
        "type": "inbound-rtp",
        "ssrc": ssrc,
        **common,
        "packetsReceived": received.packets_received,
        "bytesReceived": received.bytes_received,
        "packetsLost": received.packets_lost,
        "jitter": received.jitter,
        "nackCount": received.nack_count,
        "pliCount": received.key_frame_requests if is_video else None,
        "packetsDiscarded": received.packets_discarded,
        "retransmittedPacketsReceived": received.retransmitted_packets_received,
        "fecPacketsReceived": received.fec_packets_recovered,
        "framesReceived": received.frames_received if is_video else None,
        "keyFramesDecoded": received.key_frames_received if is_video else None,
        "framesDecoded": transceiver.receiver.frames_decoded if is_video else None,
        "framesDropped": received.frames_dropped if is_video else None,
        "jitterBufferTargetDelay": received.jitter_buffer_delay,
        "concealmentEvents": None if is_video else received.concealed_packets,
    }


def _outbound(
    transceiver: RtpTransceiver, sent: SendStatistics, common: Report
) -> Iterator[Report]:
    sender = transceiver.sender
    is_video = transceiver.kind is MediaKind.VIDEO
    mid, ssrc = common["mid"], sender.sources.ssrc
    codec = sender.codec
    yield {
        "id": f"O{mid}-{ssrc}",
        "type": "outbound-rtp",
        "ssrc": ssrc,
        "rtxSsrc": sender.sources.rtx_ssrc,
        **common,
        "codecId": f"C{mid}-{codec.payload_type}" if codec is not None else None,
        "remoteId": f"RI{mid}-{ssrc}",
        "packetsSent": sent.packets_sent,
        "bytesSent": sent.bytes_sent,
        "retransmittedPacketsSent": sent.retransmitted_packets_sent,
        "nackCount": sent.nack_count,
        "pliCount": sent.key_frame_requests if is_video else None,
        "framesSent": sent.frames_sent if is_video else None,
        "framesEncoded": sender.frames_encoded if is_video else None,
        "targetBitrate": sender.bit_rate,
        "active": sender.track is not None,
    }
    yield {
        "id": f"RI{mid}-{ssrc}",
        "type": "remote-inbound-rtp",
        "ssrc": ssrc,
        **common,
        "localId": f"O{mid}-{ssrc}",
        "packetsLost": sent.packets_lost,
        "fractionLost": sent.fraction_lost,
        "jitter": sent.remote_jitter,
        "roundTripTime": sent.round_trip_time,
    }


# Data channels


def _channel(channel: DataChannel) -> Report:
    return {
        "id": f"D{channel.id}" if channel.id is not None else f"D-{id(channel):x}",
        "type": "data-channel",
        "label": channel.label,
        "protocol": channel.protocol,
        "dataChannelIdentifier": channel.id,
        "state": channel.state.value,
        "messagesSent": channel.messages_sent,
        "bytesSent": channel.bytes_sent,
        "messagesReceived": channel.messages_received,
        "bytesReceived": channel.bytes_received,
    }
