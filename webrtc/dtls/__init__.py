"""DTLS 1.2 and SRTP for one ICE component, without sockets or clocks (RFC 5764, RFC 8827 §6.5)."""

from webrtc.dtls.certificate import Certificate
from webrtc.dtls.demultiplex import MediaPacketKind, media_packet_kind
from webrtc.dtls.endpoint import DtlsEndpoint
from webrtc.dtls.errors import (
    CertificateError,
    DtlsError,
    DtlsStateError,
    FingerprintError,
    PayloadSizeError,
    SetupError,
    SrtpError,
)
from webrtc.dtls.events import (
    Closed,
    Connected,
    DataReceived,
    DtlsState,
    Event,
    Failed,
    FailureReason,
)
from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.profile import SrtpKeys, SrtpProfile
from webrtc.dtls.settings import DtlsSettings, DtlsStatistics
from webrtc.dtls.setup import DtlsRole, Setup, answer_setup, negotiated_role
from webrtc.dtls.srtp import SrtpSession, SrtpStatistics

__all__ = [
    "Certificate",
    "CertificateError",
    "Closed",
    "Connected",
    "DataReceived",
    "DtlsEndpoint",
    "DtlsError",
    "DtlsRole",
    "DtlsSettings",
    "DtlsState",
    "DtlsStateError",
    "DtlsStatistics",
    "Event",
    "Failed",
    "FailureReason",
    "Fingerprint",
    "FingerprintError",
    "MediaPacketKind",
    "PayloadSizeError",
    "Setup",
    "SetupError",
    "SrtpError",
    "SrtpKeys",
    "SrtpProfile",
    "SrtpSession",
    "SrtpStatistics",
    "answer_setup",
    "media_packet_kind",
    "negotiated_role",
]
