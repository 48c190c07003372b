"""SRTP protection profiles (RFC 5764 §4.1.2, RFC 7714 §14.2) and their keys."""

from __future__ import annotations

import enum

import attrs
from pylibsrtp import Policy

from webrtc.dtls.setup import DtlsRole

EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 §4.2; there is no context."""


@attrs.frozen(slots=True)
class _Parameters:
    openssl_name: bytes
    libsrtp_profile: int
    key_size: int
    salt_size: int


class SrtpProfile(enum.Enum):
    """The profiles we speak, best first.

    AES-128-GCM before 256: nobody breaks either, and it is the faster one (RFC 8827 §6.5 leaves
    the order open).
    """

    AEAD_AES_128_GCM = _Parameters(
        b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12
    )
    AEAD_AES_256_GCM = _Parameters(
        b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12
    )
    AES128_CM_SHA1_80 = _Parameters(
        b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14
    )
    AES128_CM_SHA1_32 = _Parameters(
        b"SRTP_AES128_CM_SHA1_32", Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14
    )

    @property
    def openssl_name(self) -> bytes:
        """What OpenSSL calls it."""
        return self.value.openssl_name

    @property
    def libsrtp_profile(self) -> int:
        """Its number in pylibsrtp."""
        return self.value.libsrtp_profile

    @property
    def keying_size(self) -> int:
        """Bytes that the exporter must give: two keys and two salts."""
        return 2 * (self.value.key_size + self.value.salt_size)

    def split(self, material: bytes, role: DtlsRole) -> SrtpKeys:
        """Deal out exported keying material: client's key, server's key, and their salts.

        Args:
            material: `keying_size` bytes (RFC 5764 §4.2's order).
            role: ours.

        """
        key, salt = self.value.key_size, self.value.salt_size
        salts = material[2 * key :]
        client = material[:key] + salts[:salt]
        server = material[key : 2 * key] + salts[salt : 2 * salt]
        if role is DtlsRole.CLIENT:
            return SrtpKeys(self, sending=client, receiving=server)
        return SrtpKeys(self, sending=server, receiving=client)


@attrs.frozen(slots=True)
class SrtpKeys:
    """The master keys of an SRTP session, each with its salt behind it. Secret: not shown.

    Attributes:
        profile: what they are for.
        sending: ours.
        receiving: the peer's.

    """

    profile: SrtpProfile
    sending: bytes = attrs.field(repr=False)
    receiving: bytes = attrs.field(repr=False)


OFFERED_PROFILES = (
    SrtpProfile.AEAD_AES_128_GCM,
    SrtpProfile.AEAD_AES_256_GCM,
    SrtpProfile.AES128_CM_SHA1_80,
)
"""What a client offers."""
ACCEPTED_PROFILES = (*OFFERED_PROFILES, SrtpProfile.AES128_CM_SHA1_32)
"""What a server takes. A tag of 32 bits is short, so it is never our wish, but old gear has no
other."""
