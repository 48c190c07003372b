"""What can be set on an agent; times in seconds."""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt


@attrs.frozen(slots=True, kw_only=True)
class Settings:
    """Timers and limits of an agent.

    Attributes:
        components: of each data stream, how many components it has; `(1,)` is one stream with
            RTP and RTCP on one component, or a data channel.
        lite: be an ICE-lite implementation: answer checks, never send any (RFC 8445 §2.5).
        ta: at least so long between two new checks (RFC 8445 §14.2); not below 5 ms.
        rto: first retransmission timeout of a check, at least (RFC 8445 §14.3).
        max_rto: to what the number of checks under way may raise it. §14.3 sets no limit, but with
            a hundred pairs a check would take more than six minutes to fail.
        request_count: how often a check is sent at the most (Rc, RFC 8489 §6.2.1).
        last_wait_factor: how many RTO to wait after the last one (Rm).
        tcp_timeout: how long a check on TCP may take (Ti, RFC 8489 §6.2.2).
        max_pairs: candidate pairs in all check lists (RFC 8445 §6.1.2.5).
        max_remote_candidates: candidates taken from the peer, peer-reflexive ones included.
        nomination_wait: when controlling, how long after the first valid pair of a component
            better ones are waited for before the best is nominated.
        relayed_wait: the same while the best is relayed. Longer than `rto`: the first check
            through a NAT is lost where the other's filter is not open yet, and the direct pair
            is valid only when it has been sent again.
        renomination: as the controlled agent take what was nominated last, not what has the
            highest priority, where the peer sends libwebrtc's NOMINATION attribute; as the
            controlling agent nominate again when a better pair turns valid, if
            `set_remote_credentials` said that the peer takes it.
        patience: no check list fails sooner after checks could start (RFC 8863 §4).
        trickle_timeout: how long after the last candidate a check list with nothing left to try
            waits for an end-of-candidates that does not come (RFC 8838 §8).
        consent: check consent on selected pairs (RFC 7675); off only for tests and for peers
            known not to answer.
        consent_interval: between consent checks, before it is varied by 0.8 to 1.2.
        consent_timeout: how long consent lasts without an answer.
        disconnected_after: how long without an answer on a selected pair until `DISCONNECTED`.
        keepalive_interval: between Binding indications where no consent is checked
            (Tr, RFC 8445 §11: not below 15).

    """

    components: tuple[int, ...] = (1,)
    lite: bool = False
    ta: float = attrs.field(default=0.05, validator=ge(0.005))
    rto: float = attrs.field(default=0.5, validator=ge(0.5))
    max_rto: float = attrs.field(default=1.0, validator=ge(0.5))
    request_count: int = attrs.field(default=7, validator=ge(1))
    last_wait_factor: int = attrs.field(default=16, validator=ge(1))
    tcp_timeout: float = attrs.field(default=39.5, validator=gt(0))
    max_pairs: int = attrs.field(default=100, validator=ge(1))
    max_remote_candidates: int = attrs.field(default=100, validator=ge(1))
    nomination_wait: float = attrs.field(default=0.2, validator=ge(0))
    relayed_wait: float = attrs.field(default=0.8, validator=ge(0))
    renomination: bool = False
    patience: float = attrs.field(default=39.5, validator=ge(0))
    trickle_timeout: float = attrs.field(default=60.0, validator=ge(0))
    consent: bool = True
    consent_interval: float = attrs.field(default=5.0, validator=gt(0))
    consent_timeout: float = attrs.field(default=30.0, validator=gt(0))
    disconnected_after: float = attrs.field(default=12.0, validator=gt(0))
    keepalive_interval: float = attrs.field(default=15.0, validator=gt(0))


DEFAULT_SETTINGS = Settings()
