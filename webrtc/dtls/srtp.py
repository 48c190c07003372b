"""SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp, both directions of one association.

Called per packet by the peer connection's receive and send roads; the keys are those of the
`Connected` event. A bad packet is the network's business: it is counted, never raised.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pylibsrtp
from pylibsrtp import Policy, Session

from webrtc.dtls.errors import SrtpError
from webrtc.dtls.profile import SrtpKeys, SrtpProfile

REPLAY_WINDOW = 1024
"""Packets. Video at 20 Mbit/s brings 2,000 a second: half a second of reordering."""
MAX_STREAMS = 1024
"""SSRCs that may be received from one peer. libsrtp keeps about a kilobyte for each."""
MAX_PACKET_SIZE = 1356
"""Bytes of a packet before protection: pylibsrtp's buffer has room for 1,500 with any trailer."""
MAX_RTCP_SIZE = 1352
_MAX_PROTECTED_SIZE = 1500
_RTP_HEADER_SIZE = 12
_RTCP_HEADER_SIZE = 8


@attrs.define(slots=True)
class SrtpStatistics:
    """Packets since the session began; for getStats and the logs.

    Attributes:
        received: packets that were what they claimed.
        sent: packets protected.
        unauthentic: no valid tag: forged, damaged, or of other keys.
        replayed: seen before, or too old to know.
        malformed: too short, too long, or otherwise nothing libsrtp would look at.
        excess_streams: of one SSRC more than `MAX_STREAMS`.

    """

    received: int = 0
    sent: int = 0
    unauthentic: int = 0
    replayed: int = 0
    malformed: int = 0
    excess_streams: int = 0


class SrtpSession:
    """Protects what we send and checks what the peer sends.

    Packets of any SSRC are taken: which of them mean something is the receivers' business.
    libsrtp makes state for an SSRC only once a packet of it was authentic, so a forger cannot
    make a session grow; `MAX_STREAMS` bounds what the peer itself can do.

    A sequence number is protected once only: libsrtp would otherwise use a keystream twice, and
    with AES-GCM two headers under one nonce give the authentication key away (RFC 7714 §8.4).
    A packet that is to be sent again goes as the same protected bytes, or over RTX (RFC 4588).

    Args:
        keys: from the handshake.

    """

    def __init__(self, keys: SrtpKeys) -> None:
        self.profile: SrtpProfile = keys.profile
        self.statistics = SrtpStatistics()
        self._inbound = _session(keys.profile, keys.receiving, Policy.SSRC_ANY_INBOUND)
        self._outbound = _session(keys.profile, keys.sending, Policy.SSRC_ANY_OUTBOUND)
        self._ssrcs: set[bytes] = set()

    def protect_rtp(self, packet: bytes) -> bytes:
        """Encrypt and tag an RTP packet. Per packet.

        Raises:
            SrtpError: it is malformed, longer than `MAX_PACKET_SIZE`, or its number was used.

        """
        try:
            protected = self._outbound.protect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(f"RTP of {len(packet)} bytes cannot be sent: {error}") from error
        self.statistics.sent += 1
        return protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Encrypt and tag a compound RTCP packet. Per packet.

        Raises:
            SrtpError: it is malformed, or longer than `MAX_RTCP_SIZE`.

        """
        try:
            protected = self._outbound.protect_rtcp(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(f"RTCP of {len(packet)} bytes cannot be sent: {error}") from error
        self.statistics.sent += 1
        return protected

    def unprotect_rtp(self, packet: bytes) -> bytes | None:
        """Check and decrypt an SRTP packet; None if it was counted and dropped. Per packet."""
        return self._unprotect(self._inbound.unprotect, packet, packet[8:12], _RTP_HEADER_SIZE)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Check and decrypt an SRTCP packet; None if it was counted and dropped. Per packet."""
        check = self._inbound.unprotect_rtcp
        return self._unprotect(check, packet, packet[4:8], _RTCP_HEADER_SIZE)

    def _unprotect(
        self, check: Callable[[bytes], bytes], packet: bytes, ssrc: bytes, header_size: int
    ) -> bytes | None:
        if not header_size <= len(packet) <= _MAX_PROTECTED_SIZE:
            self.statistics.malformed += 1
            return None
        is_new = ssrc not in self._ssrcs
        if is_new and len(self._ssrcs) >= MAX_STREAMS:
            self.statistics.excess_streams += 1
            return None
        try:
            plain = check(packet)
        except pylibsrtp.Error as error:
            self._count(error)
            return None
        if is_new:
            self._ssrcs.add(ssrc)
        self.statistics.received += 1
        return plain

    def _count(self, error: pylibsrtp.Error) -> None:
        reason = str(error)
        if reason == "authentication failure":
            self.statistics.unauthentic += 1
        elif "replay" in reason or "too old" in reason:
            self.statistics.replayed += 1
        else:
            self.statistics.malformed += 1


def _session(profile: SrtpProfile, key: bytes, ssrc_type: int) -> Session:
    policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile.libsrtp_profile)
    policy.window_size = REPLAY_WINDOW
    return Session(policy)
