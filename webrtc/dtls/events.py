"""What a DTLS endpoint tells its owner: the whole vocabulary."""

from __future__ import annotations

import enum

import attrs

from webrtc.dtls.profile import SrtpKeys


class DtlsState(enum.Enum):
    """How far an endpoint is, with the W3C's words (RTCDtlsTransportState)."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class FailureReason(enum.Enum):
    """Why an endpoint failed."""

    TIMEOUT = "timeout"
    """The peer did not finish the handshake in time, or said nothing at all."""
    FINGERPRINT = "fingerprint"
    """The peer's certificate is not one of those that were signalled."""
    SRTP_PROFILE = "srtp-profile"
    """No SRTP protection profile in common."""
    PEER_ALERT = "peer-alert"
    """The peer gave up, as far as an alert in the clear can be believed."""
    PROTOCOL = "protocol"
    """OpenSSL gave up; the detail is its reason."""
    INTERNAL = "internal"
    """An error of this program's."""


@attrs.frozen(slots=True)
class Connected:
    """The peer is who it should be, and keys are agreed on.

    Attributes:
        srtp: the SRTP session's keys; None if none was asked for.
        peer_certificate: the peer's, DER.
        cipher: OpenSSL's name of the suite.

    """

    srtp: SrtpKeys | None
    peer_certificate: bytes = attrs.field(repr=False)
    cipher: str


@attrs.frozen(slots=True)
class DataReceived:
    """One message of the peer, for SCTP."""

    data: bytes


@attrs.frozen(slots=True)
class Closed:
    """The association is closed: by the peer's close_notify, or by ours."""

    by_peer: bool


@attrs.frozen(slots=True)
class Failed:
    """The association failed, or never came to be.

    Attributes:
        reason: what kind of failure.
        detail: for the log.

    """

    reason: FailureReason
    detail: str


Event = Connected | DataReceived | Closed | Failed
