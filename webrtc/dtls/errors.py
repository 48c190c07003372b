"""What can go wrong in `webrtc.dtls`."""

from __future__ import annotations

from webrtc.errors import WebRtcError


class DtlsError(WebRtcError):
    """The root of this package's errors."""


class FingerprintError(DtlsError):
    """A fingerprint that does not parse (RFC 8122 §5)."""


class SetupError(DtlsError):
    """Setup attributes that do not go together (RFC 8842 §5.2)."""


class CertificateError(DtlsError):
    """A certificate or key that cannot be used."""


class DtlsStateError(DtlsError):
    """What was asked for cannot be had in the state the endpoint is in."""


class PayloadSizeError(DtlsError):
    """A message is empty, or does not fit a datagram of the MTU; DTLS does not split messages."""


class SrtpError(DtlsError):
    """A packet that cannot be protected: malformed, too long, or its number was used before."""


class HandshakeFailedError(DtlsError):
    """OpenSSL gives a handshake or a session up; the text is its reason."""
