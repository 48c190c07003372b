"""A certificate chain and its private key: read from PEM files, or made here.

Every error names the file and what is wrong with it, because "SSL error" is the least
helpful thing a server can say to its operator.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

_MAX_FILE_SIZE = 1024 * 1024
_SELF_SIGNED_LIFETIME = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(hours=1)

ServerKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


class CertificateError(Exception):
    """A certificate or key file can't be used.

    Attributes:
        path: the file.
        problem: what is wrong with it.

    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@attrs.frozen(slots=True)
class KeyPair:
    """A certificate chain with the private key of its first certificate.

    Attributes:
        chain: the server's own certificate first.
        key: its private key.

    """

    chain: tuple[x509.Certificate, ...]
    key: ServerKey = attrs.field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as hexadecimal digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def to_pem(self) -> bytes:
        """Return the key, unencrypted, and the chain in PEM."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key + b"".join(
            certificate.public_bytes(serialization.Encoding.PEM) for certificate in self.chain
        )


def load_key_pair(certificate: Path, key: Path, password: str | None = None) -> KeyPair:
    """Read a chain and a key; both may be in the same file.

    Args:
        certificate: PEM file, the server's own certificate first, then its issuers.
        key: PEM file with the private key.
        password: of the key, if it is encrypted.

    Raises:
        CertificateError: a file is missing or unreadable, is not PEM, needs a (different)
            password, or the key is not the certificate's.

    """
    chain = _load_chain(certificate)
    private_key = _load_key(key, password)
    if chain[0].public_key() != private_key.public_key():
        raise CertificateError(key, f"this is not the private key of the certificate {certificate}")
    return KeyPair(chain, private_key)


def make_self_signed(names: Sequence[str], now: datetime.datetime) -> KeyPair:
    """Make an ECDSA P-256 key and a certificate for `names`, in memory.

    Args:
        names: host names and IP addresses to put into the certificate; what is neither, as a
            realm may be, is left out; ``"localhost"`` if none is left.
        now: the time (aware), from which on it is valid for a year.

    """
    key = ec.generate_private_key(ec.SECP256R1())
    known = {name: entry for name in names if (entry := general_name(name)) is not None}
    known = known or {"localhost": x509.DNSName("localhost")}
    # X.520 bounds the common name at 64 characters; nobody compares it any more (RFC 6125).
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, next(iter(known))[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _SELF_SIGNED_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(known.values()), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair((certificate,), key)


def general_name(name: str) -> x509.GeneralName | None:
    """Return a host name or an IP address as certificates have it; None if it is neither."""
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:  # a label that is empty or too long, or a forbidden character
        return None
    return x509.DNSName(ascii_name) if ascii_name and " " not in ascii_name else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_SIZE + 1)
    except FileNotFoundError as error:
        raise CertificateError(path, "there is no such file") from error
    except OSError as error:
        raise CertificateError(path, f"can't be read: {error.strerror}") from error
    if len(data) > _MAX_FILE_SIZE:
        raise CertificateError(path, f"is larger than {_MAX_FILE_SIZE} bytes")
    if b"-----BEGIN " not in data:
        raise CertificateError(path, "is not a PEM file (no line begins with -----BEGIN)")
    return data


def _load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    data = _read(path)
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise CertificateError(path, "has no certificate in it")
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        raise CertificateError(path, f"has a certificate that can't be read: {error}") from error


def _load_key(path: Path, password: str | None) -> ServerKey:
    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        raise CertificateError(path, "has no private key in it")
    is_encrypted = b"ENCRYPTED" in data
    if is_encrypted and password is None:
        raise CertificateError(path, "the private key is encrypted and no password is given")
    secret = password.encode() if is_encrypted and password is not None else None
    try:
        key: PrivateKeyTypes = serialization.load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        problem = "can't be decrypted: wrong password?" if is_encrypted else "can't be read"
        raise CertificateError(path, f"the private key {problem}") from error
    if not isinstance(key, ServerKey):
        raise CertificateError(path, "holds a kind of key that TLS servers don't use")
    return key
