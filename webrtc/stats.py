"""What a peer connection counted, with the names of W3C's webrtc-stats.

`get_stats` gives what a browser's does, as JSON: reports by their id, each with `id`, `type` and
`timestamp` (milliseconds since 1970), times in seconds otherwise. What is not known is left out.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator

from ice_client import AgentStats, Candidate, CandidateType, PairStats, Transport
from webrtc.channel_table import ChannelTable
from webrtc.data_channel import DataChannel
from webrtc.dtls import Certificate, DtlsRole, Fingerprint, SrtpProfile
from webrtc.media_stats import Report, media_reports
from webrtc.transceiver import RtpTransceiver
from webrtc.transport import PeerTransport

_MS = 1000
_TCP_TYPES = {
    Transport.TCP_ACTIVE: "active",
    Transport.TCP_PASSIVE: "passive",
    Transport.TCP_SO: "so",
}
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
    own = certificate.fingerprint()
    reports = [_connection(channels), _certificate("CF", own, certificate.der)]
    for transport in transports:
        reports += _transport(transport)
    for transceiver in transceivers:
        reports += media_reports(transceiver, transports, now)
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


def _certificate(name: str, fingerprint: Fingerprint, der: bytes) -> Report:
    return {
        "id": name,
        "type": "certificate",
        "fingerprint": fingerprint.digest.hex(":").upper(),
        "fingerprintAlgorithm": fingerprint.algorithm,
        "base64Certificate": base64.b64encode(der).decode(),
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
    peer = transport.peer
    if peer is not None:
        fingerprint = Fingerprint.of(peer.peer_certificate, "sha-256")
        yield _certificate(f"CF{transport.id}", fingerprint, peer.peer_certificate)
    yield _transport_report(transport, stats, selected)


def _transport_report(transport: PeerTransport, stats: AgentStats, selected: str | None) -> Report:
    dtls, srtp, agent, peer = transport.dtls, transport.srtp, transport.agent, transport.peer
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
        "tlsVersion": "FEFD" if peer is not None else None,  # DTLS 1.2, as it is on the wire
        "dtlsCipher": cipher_name(peer.cipher) if peer is not None else None,
        "srtpCipher": _srtp_name(srtp.profile) if srtp is not None else None,
        "selectedCandidatePairId": selected,
        "localCertificateId": "CF",
        "remoteCertificateId": f"CF{transport.id}" if peer is not None else None,
    }


_ROLES: dict[DtlsRole | None, str] = {DtlsRole.CLIENT: "client", DtlsRole.SERVER: "server"}


def _srtp_name(profile: SrtpProfile) -> str:
    """Return IANA's name of a protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2)."""
    return f"SRTP_{profile.name}".replace("_CM_SHA1", "_CM_HMAC_SHA1")


def cipher_name(openssl_name: str) -> str:
    """Return IANA's name of a suite of TLS 1.2, from OpenSSL's."""
    exchange, authentication, *rest = openssl_name.split("-")
    cipher = "_".join(rest).replace("AES128", "AES_128").replace("AES256", "AES_256")
    if cipher == "CHACHA20_POLY1305":
        cipher += "_SHA256"
    return f"TLS_{exchange}_{authentication}_WITH_{cipher}"


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
        "priority": checks.priority,
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
    parameters, related = transport.parameters, candidate.related_address
    remote = parameters.remote.credentials if parameters.remote is not None else None
    credentials = parameters.local_credentials if is_local else remote
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
        "relatedAddress": related.host if related is not None else None,
        "relatedPort": related.port if related is not None else None,
        "usernameFragment": credentials.username_fragment if credentials is not None else None,
        "tcpType": _TCP_TYPES.get(candidate.transport),
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
