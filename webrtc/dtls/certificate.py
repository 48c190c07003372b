"""Our certificate: self-signed, because its fingerprint vouches for it (RFC 8827 §6.5)."""

from __future__ import annotations

import datetime

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from webrtc.dtls.errors import CertificateError
from webrtc.dtls.fingerprint import Fingerprint

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_LIFETIME = datetime.timedelta(days=30)
"""W3C webrtc §4.9.1's default; long enough for any call."""
_CLOCK_SKEW = datetime.timedelta(days=1)
_MIN_RSA_BITS = 2048


@attrs.frozen(eq=False)
class Certificate:
    """A certificate with its private key.

    Attributes:
        x509: the certificate.
        key: its private key, ECDSA or RSA of 2,048 bits at least.

    """

    x509: x509.Certificate
    key: PrivateKey = attrs.field(repr=False)

    @classmethod
    def generate(cls, key: PrivateKey | None = None, *, common_name: str = "webrtc") -> Certificate:
        """Make a certificate for a fresh P-256 key, or for the one given.

        Its name says nothing: RFC 8827 §6.5 wants calls that cannot be linked.

        Raises:
            CertificateError: the RSA key is too short for anyone to accept.

        """
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
            raise CertificateError(f"an RSA key of {key.key_size} bits is too short")
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFETIME)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Certificate:
        """Read a certificate and its unencrypted key.

        Raises:
            CertificateError: they cannot be read, or do not belong together.

        """
        try:
            loaded = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:
            raise CertificateError(f"certificate or key cannot be read: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise CertificateError("the key is neither ECDSA nor RSA")
        if private.public_key() != loaded.public_key():
            raise CertificateError("the key is not the certificate's")
        return cls(loaded, private)

    def to_pem(self) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM, for `from_pem`; keep the key secret."""
        return (
            self.x509.public_bytes(serialization.Encoding.PEM),
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    @property
    def der(self) -> bytes:
        """The certificate as the handshake carries it."""
        return self.x509.public_bytes(serialization.Encoding.DER)

    @property
    def expires(self) -> datetime.datetime:
        """When it stops being valid."""
        return self.x509.not_valid_after_utc

    def fingerprint(self, algorithm: str = "sha-256") -> Fingerprint:
        """Return the fingerprint for an `a=fingerprint`.

        Raises:
            FingerprintError: the hash function is not one of ours.

        """
        return Fingerprint.of(self.der, algorithm)
