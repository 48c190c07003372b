"""What can be chosen about an endpoint, and what it counts."""

from __future__ import annotations

import attrs

from webrtc.dtls.profile import ACCEPTED_PROFILES, OFFERED_PROFILES, SrtpProfile

DEFAULT_MTU = 1200
"""Bytes of a UDP payload; with the headers of IPv6, UDP and TURN it stays below 1,280."""
MIN_MTU = 256
MAX_MTU = 16384


@attrs.frozen(kw_only=True)
class DtlsSettings:
    """An endpoint's parameters. Times are seconds, sizes bytes.

    Attributes:
        mtu: the longest datagram sent, a UDP payload.
        offered_profiles: SRTP profiles a client offers, best first; empty: no SRTP.
        accepted_profiles: those a server chooses from, best first; empty: no SRTP.
        srtp_required: fail if no profile is agreed on. Only peers with nothing but data channels
            can do without.
        initial_timeout: after which a flight is sent again the first time, about twice the round
            trip. RFC 6347 §4.2.4.1 says 1 s for the whole Internet and lets real-time
            applications choose less; ICE has just measured this path.
        max_timeout: to which the doubling goes.
        handshake_timeout: from `start` to failure.

    """

    mtu: int = attrs.field(
        default=DEFAULT_MTU,
        validator=(attrs.validators.ge(MIN_MTU), attrs.validators.le(MAX_MTU)),
    )
    offered_profiles: tuple[SrtpProfile, ...] = OFFERED_PROFILES
    accepted_profiles: tuple[SrtpProfile, ...] = ACCEPTED_PROFILES
    srtp_required: bool = True
    initial_timeout: float = attrs.field(default=0.1, validator=attrs.validators.gt(0))
    max_timeout: float = attrs.field(default=2.0, validator=attrs.validators.gt(0))
    handshake_timeout: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))


@attrs.define(slots=True)
class DtlsStatistics:
    """Counts since the endpoint was made.

    Attributes:
        datagrams_received: given to `receive`.
        datagrams_sent: handed to the owner.
        datagrams_dropped: not queued, because the owner took none away.
        messages_received: application data.
        messages_sent: application data.
        messages_dropped: application data that the owner did not take away.
        flights_resent: retransmissions of a flight.
        malformed: datagrams with something in them that is no record or no handshake message.
        unexpected: records that the handshake had no use for: of a wrong role, epoch or moment.
        unauthentic_alerts: alerts in the clear, which anybody can send.
        unauthentic: encrypted records without a valid tag.
        replayed: encrypted records seen before, or too old to know.
        challenges: hellos that were asked for a cookie.
        attempts: handshakes begun: one, unless somebody interfered.

    """

    datagrams_received: int = 0
    datagrams_sent: int = 0
    datagrams_dropped: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    messages_dropped: int = 0
    flights_resent: int = 0
    malformed: int = 0
    unexpected: int = 0
    unauthentic_alerts: int = 0
    unauthentic: int = 0
    replayed: int = 0
    challenges: int = 0
    attempts: int = 0
