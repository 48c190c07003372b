"""One candidate pair: its state, flags, priority and statistics (RFC 8445 §6.1.2).

RFC 8445 has the pair that is checked and, where a NAT is between, another one that turns valid
(§7.2.5.3.2). On the wire the two are one 5-tuple: base and remote address. So here they are one
object, which keeps the local candidate of the valid pair beside the one it was formed with.
"""

from __future__ import annotations

import math

import attrs

from ice_client.core.candidate import Base, Candidate, CandidateType
from ice_client.core.events import Role, SelectedPair
from ice_client.core.statistics import PairState, PairStatistics
from stun import Address

UNFINISHED = frozenset({PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS})
"""The states in which a pair may still come to be valid by itself."""

PairKey = tuple[Base, Address]
"""What tells one pair from another: two with the same are redundant (RFC 8445 §6.1.2.4)."""


def pair_priority(controlling: int, controlled: int) -> int:
    """Return a pair's priority of its candidates' (RFC 8445 §6.1.2.3).

    Args:
        controlling: priority of the controlling agent's candidate (G).
        controlled: priority of the controlled agent's (D).

    """
    low, high = sorted((controlling, controlled))
    return (low << 32) + 2 * high + (controlling > controlled)


@attrs.define(slots=True, eq=False, kw_only=True)
class CandidatePair:
    """A pair on a check list.

    Attributes:
        stream: counts from 0.
        component: counts from 1.
        local: our candidate; a reflexive one only where its base is no candidate itself.
        remote: the peer's candidate.
        state: of its check.
        priority: decides the order of checks.
        valid_local: once valid, our candidate as the peer sees it; else None.
        valid_priority: priority of the valid pair; decides what is nominated and selected.
        validated_at: when it turned valid.
        last_response_at: when an answer came last.
        last_request_at: when a request of the peer's came last.
        is_nominated: its nomination is complete.
        is_nominating: we are controlling, and its check carries USE-CANDIDATE.
        nominate_when_valid: the controlling peer nominated it; it counts once it is valid.
        nomination: the number that came, or goes, with renomination; 0 without.

    """

    stream: int
    component: int
    local: Candidate
    remote: Candidate
    state: PairState = PairState.FROZEN
    priority: int = 0
    valid_local: Candidate | None = None
    valid_priority: int = 0
    validated_at: float = 0.0
    last_response_at: float = 0.0
    last_request_at: float = -math.inf
    is_nominated: bool = False
    is_nominating: bool = False
    nominate_when_valid: bool = False
    nomination: int = 0

    requests_sent: int = 0
    retransmissions_sent: int = 0
    consent_requests_sent: int = 0
    responses_received: int = 0
    requests_received: int = 0
    responses_sent: int = 0
    current_round_trip_time: float | None = None
    total_round_trip_time: float = 0.0
    round_trip_times: int = 0

    @property
    def key(self) -> PairKey:
        """Its 5-tuple."""
        return self.local.base, self.remote.address

    @property
    def component_key(self) -> tuple[int, int]:
        """Its stream and component."""
        return self.stream, self.component

    @property
    def foundation(self) -> tuple[str, str]:
        """Of both candidates (RFC 8445 §6.1.2.6)."""
        return self.local.foundation, self.remote.foundation

    @property
    def is_valid(self) -> bool:
        """Whether it is in the valid list."""
        return self.valid_local is not None

    @property
    def is_unfinished(self) -> bool:
        """Whether its check has yet to end."""
        return self.state in UNFINISHED

    @property
    def is_relayed(self) -> bool:
        """Whether a relay is in its way."""
        return CandidateType.RELAYED in {self.local.type, self.remote.type}

    @property
    def selected(self) -> SelectedPair:
        """It as the shell sees it."""
        return SelectedPair(self.valid_local or self.local, self.remote)

    def compute_priority(self, role: Role) -> None:
        """Compute both priorities, for the role that we have."""
        self.priority = _priority(role, self.local, self.remote)
        self.valid_priority = _priority(role, self.valid_local or self.local, self.remote)

    def record_round_trip_time(self, seconds: float) -> None:
        """Note how long a check took."""
        self.current_round_trip_time = seconds
        self.total_round_trip_time += seconds
        self.round_trip_times += 1

    def invalidate(self) -> None:
        """Take it from the valid list; it has failed."""
        self.state = PairState.FAILED
        self.valid_local = None
        self.is_nominated = self.is_nominating = self.nominate_when_valid = False

    def statistics(self, selected: SelectedPair | None) -> PairStatistics:
        """Return a snapshot."""
        return PairStatistics(
            stream=self.stream,
            component=self.component,
            local=self.valid_local or self.local,
            remote=self.remote,
            state=self.state,
            priority=self.priority,
            is_valid=self.is_valid,
            is_nominated=self.is_nominated,
            is_selected=selected is not None and (selected.base, selected.destination) == self.key,
            requests_sent=self.requests_sent,
            retransmissions_sent=self.retransmissions_sent,
            consent_requests_sent=self.consent_requests_sent,
            responses_received=self.responses_received,
            requests_received=self.requests_received,
            responses_sent=self.responses_sent,
            current_round_trip_time=self.current_round_trip_time,
            total_round_trip_time=self.total_round_trip_time,
            round_trip_times=self.round_trip_times,
        )


def _priority(role: Role, local: Candidate, remote: Candidate) -> int:
    if role is Role.CONTROLLING:
        return pair_priority(local.priority, remote.priority)
    return pair_priority(remote.priority, local.priority)
