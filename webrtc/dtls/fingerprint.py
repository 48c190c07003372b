"""Certificate fingerprints as signalling carries them (RFC 8122 §5), and the check against them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

import attrs
from cryptography.hazmat.primitives import hashes

from webrtc.dtls.errors import FingerprintError

_STRENGTH: dict[str, hashes.HashAlgorithm] = {
    "sha-512": hashes.SHA512(),
    "sha-384": hashes.SHA384(),
    "sha-256": hashes.SHA256(),
}
"""The hash functions that are trusted, strongest first. RFC 8122 §5 forbids MD5; SHA-1 is no
longer good against collisions, and nobody signals it alone."""
_VALUE = re.compile(
    r"(?P<algorithm>[a-z0-9-]{1,32}) +(?P<octets>[0-9a-f]{2}(:[0-9a-f]{2}){0,127})",
    re.IGNORECASE | re.ASCII,
)


@attrs.frozen(slots=True)
class Fingerprint:
    """A hash of a certificate.

    Attributes:
        algorithm: the hash function's name in lower case; it may be one we don't know.
        digest: the hash.

    """

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, value: str) -> Fingerprint:
        """Read the value of an `a=fingerprint`: "sha-256 4A:AD:B9:…"; case does not matter.

        Raises:
            FingerprintError: it is none, or has a length that is not its hash function's.

        """
        match = _VALUE.fullmatch(value.strip())
        if match is None:
            raise FingerprintError(f"{value[:100]!r} is no fingerprint")
        algorithm = match["algorithm"].lower()
        digest = bytes.fromhex(match["octets"].replace(":", ""))
        known = _STRENGTH.get(algorithm)
        if known is not None and len(digest) != known.digest_size:
            raise FingerprintError(f"a fingerprint of {algorithm} has {known.digest_size} bytes")
        return cls(algorithm, digest)

    @classmethod
    def of(cls, certificate_der: bytes, algorithm: str = "sha-256") -> Fingerprint:
        """Compute a certificate's fingerprint.

        Raises:
            FingerprintError: the hash function is not one of ours.

        """
        known = _STRENGTH.get(algorithm.lower())
        if known is None:
            raise FingerprintError(f"{algorithm} is no hash function for fingerprints here")
        digest = hashes.Hash(known)
        digest.update(certificate_der)
        return cls(algorithm.lower(), digest.finalize())

    @property
    def is_supported(self) -> bool:
        """Whether we can compute this hash function."""
        return self.algorithm in _STRENGTH

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


def certificate_matches(certificate_der: bytes, fingerprints: Iterable[Fingerprint]) -> bool:
    """Tell whether a certificate is one of those that were signalled, in constant time.

    RFC 8122 §5.1: of the hash functions that both know the preferred one decides, the strongest
    here; each certificate of the peer has a fingerprint in it, and one of them must match.
    """
    signalled = list(fingerprints)
    for algorithm in _STRENGTH:
        candidates = [f.digest for f in signalled if f.algorithm == algorithm]
        if candidates:
            digest = Fingerprint.of(certificate_der, algorithm).digest
            # A sum and not `any`: every candidate is compared, whichever matches.
            return sum(hmac.compare_digest(digest, candidate) for candidate in candidates) > 0
    return False
