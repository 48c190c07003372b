"""What an agent counts: per pair, and of input that it dropped."""

from __future__ import annotations

import enum

import attrs

from ice_client.core.candidate import Candidate


class PairState(enum.Enum):
    """States of a candidate pair (RFC 8445 §6.1.2.6)."""

    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@attrs.frozen(slots=True, kw_only=True)
class PairStatistics:
    """One pair at a moment, much as WebRTC's RTCIceCandidatePairStats have it.

    Attributes:
        stream: counts from 0.
        component: counts from 1.
        local: our candidate; the reflexive one, once the pair is valid over a NAT.
        remote: the peer's.
        state: of its check.
        priority: RFC 8445 §6.1.2.3.
        is_valid: in the valid list.
        is_nominated: nominated by the controlling agent.
        is_selected: data goes over it.
        requests_sent: checks sent, consent checks and retransmissions included.
        retransmissions_sent: how many of them were retransmissions.
        consent_requests_sent: how many of them were consent checks.
        responses_received: valid answers to those.
        requests_received: valid checks that came, consent checks included.
        responses_sent: answers to those, errors included.
        current_round_trip_time: of the last check that tells, seconds; None before.
        total_round_trip_time: sum over `round_trip_times` checks, seconds.
        round_trip_times: how many checks told a round-trip time.

    """

    stream: int
    component: int
    local: Candidate
    remote: Candidate
    state: PairState
    priority: int
    is_valid: bool
    is_nominated: bool
    is_selected: bool
    requests_sent: int
    retransmissions_sent: int
    consent_requests_sent: int
    responses_received: int
    requests_received: int
    responses_sent: int
    current_round_trip_time: float | None
    total_round_trip_time: float
    round_trip_times: int


@attrs.define(slots=True)
class AgentCounters:
    """Input that was dropped, by reason; none of it changes anything else.

    Attributes:
        malformed: bytes that look like STUN by their first byte, and do not parse.
        unauthenticated: a request whose USERNAME or MESSAGE-INTEGRITY are missing or wrong.
        unmatched_responses: no transaction waits for it, or its integrity is wrong.
        excess: a limit was reached: early checks, candidates, pairs.
        revoked: an authentic request on a 5-tuple on which consent was lost (RFC 7675 §5.1).
        foreign: a request of a session or generation of the peer's that is not the one we know,
            on a 5-tuple without a pair.
        unexpected: STUN that an agent has no use for (another method or class).

    """

    malformed: int = 0
    unauthenticated: int = 0
    unmatched_responses: int = 0
    excess: int = 0
    revoked: int = 0
    foreign: int = 0
    unexpected: int = 0
