"""Binding requests that we send, and their answers: the STUN client side (RFC 8445 §7.2).

Knows transactions, not check lists: what an answer means for a pair is for the generation to
say. Consent checks (RFC 7675) go the same way, but once, without retransmission.
"""

from __future__ import annotations

import enum

import attrs

from ice_client.core.candidate import Base, peer_reflexive_priority
from ice_client.core.context import Context
from ice_client.core.credentials import Credentials
from ice_client.core.events import Role
from ice_client.core.pair import CandidatePair
from stun import (
    Address,
    AttributeType,
    DecodeError,
    ErrorCode,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    attributes,
    codec,
)
from stun.transaction import ClientTransaction, Timing, TransactionState

NOMINATION: AttributeType[int] = AttributeType(0xC001, "NOMINATION", *codec.integer(4))
"""libwebrtc's renomination: of two nominated pairs the one with the higher number counts."""

_TRANSACTIONS_PER_PAIR = 4
_CONSENT_TIMING = Timing(rc=1)
"""RFC 7675 §5.1: a consent check is not sent again, the next one has its own transaction."""


@attrs.define(slots=True, eq=False)
class Check:
    """A Binding request that waits for its answer.

    Attributes:
        pair: what it checks.
        transaction: its retransmissions.
        role: ours when it was sent.
        use_candidate: it nominates.
        is_consent: it is a consent check.
        cancelled_until: it is not sent again and its failure does not count, but an answer
            until then does (RFC 8445 §7.3.1.4); None if it is not cancelled.

    """

    pair: CandidatePair
    transaction: ClientTransaction
    role: Role
    use_candidate: bool
    is_consent: bool = False
    cancelled_until: float | None = None

    @property
    def deadline(self) -> float | None:
        """When it is sent again, fails, or is forgotten."""
        if self.cancelled_until is not None:
            return self.cancelled_until
        return self.transaction.next_deadline()


class Outcome(enum.Enum):
    """How a check ended."""

    SUCCESS = "success"
    ROLE_CONFLICT = "role-conflict"
    FAILURE = "failure"


@attrs.frozen(slots=True)
class Result:
    """A check's end; `mapped` is our address as the peer sees it, of a success only."""

    check: Check
    outcome: Outcome
    mapped: Address | None = None


class CheckClient:
    """Sends checks, and matches answers to them.

    Args:
        context: the agent's.
        local: our credentials.
        remote: the peer's.

    """

    def __init__(self, context: Context, local: Credentials, remote: Credentials) -> None:
        self._context = context
        self._remote = remote
        self._username = f"{remote.username_fragment}:{local.username_fragment}"
        self._checks: dict[bytes, Check] = {}
        self._limit = _TRANSACTIONS_PER_PAIR * context.settings.max_pairs

    def start(self, pair: CandidatePair, active: int, now: float) -> None:
        """Send a connectivity check.

        Args:
            pair: what to check; with USE-CANDIDATE if it `is_nominating`.
            active: how many pairs are in Waiting or In-Progress.
            now: monotonic seconds.

        """
        settings = self._context.settings
        # RFC 8445 §14.3 multiplies by N, "the total number of checks", once more; in RFC 5245
        # §16.1, where the formula comes from, N was the number of lists that Ta was divided
        # among. Taken by the word a hundred pairs would wait 500 s for the second request.
        timing = Timing(
            rto=max(settings.rto, min(settings.ta * active, settings.max_rto)),
            rc=settings.request_count,
            rm=settings.last_wait_factor,
            ti=settings.tcp_timeout,
        )
        self._send(pair, timing, now, use_candidate=pair.is_nominating)

    def start_consent(self, pair: CandidatePair, now: float) -> None:
        """Send a consent check.

        The controlling agent nominates in each: some lite peers answer no other once a pair
        is selected, and a peer that lost its state finds it again.
        """
        pair.consent_requests_sent += 1
        use_candidate = self._context.is_controlling
        self._send(pair, _CONSENT_TIMING, now, use_candidate=use_candidate, is_consent=True)

    def cancel(self, pair: CandidatePair, now: float) -> None:
        """Stop sending the checks of a pair again, but go on waiting for their answers."""
        settings = self._context.settings
        for check in self._checks.values():
            if check.pair is pair and not check.is_consent and check.cancelled_until is None:
                check.cancelled_until = now + settings.rto * settings.last_wait_factor

    def forget(self, pair: CandidatePair) -> None:
        """Drop what waits for a pair that is gone."""
        self._checks = {tid: one for tid, one in self._checks.items() if one.pair is not pair}

    def next_deadline(self) -> float | None:
        """Return when something is to be sent again or given up."""
        deadlines = (check.deadline for check in self._checks.values())
        return min((one for one in deadlines if one is not None), default=None)

    def on_deadline(self, now: float) -> list[Check]:
        """Send again what is due; return the checks that timed out."""
        timed_out = []
        for transaction_id, check in list(self._checks.items()):
            deadline = check.deadline
            if deadline is None or deadline > now:
                continue
            if check.cancelled_until is not None:
                del self._checks[transaction_id]
                continue
            data = check.transaction.on_deadline(now)
            if data is not None:
                check.pair.requests_sent += 1
                check.pair.retransmissions_sent += 1
                self._context.transmit(data, *check.pair.key)
            elif check.transaction.state is TransactionState.TIMED_OUT:
                del self._checks[transaction_id]
                if not check.is_consent:
                    timed_out.append(check)
        return timed_out

    def receive(self, message: Message, base: Base, source: Address, now: float) -> Result | None:
        """Take a response; None if it is to no request of ours or is not authentic."""
        check = self._checks.get(message.transaction_id)
        # Verified with what verified the request (RFC 8489 §9.1.4); unsigned errors are not
        # believed either: anyone could send them, and a check that fails does so in time.
        if check is None or not message.verify(IntegrityAlgorithm.SHA1, self._remote.key):
            return None
        del self._checks[message.transaction_id]
        check.transaction.receive(message, now)
        check.pair.responses_received += 1
        if check.transaction.round_trip_time is not None:
            check.pair.record_round_trip_time(check.transaction.round_trip_time)
        # RFC 8445 §7.2.5.2.1: a path whose two directions differ is no pair's.
        if (base, source) != check.pair.key:
            return Result(check, Outcome.FAILURE)
        return _read(message, check)

    def _send(
        self,
        pair: CandidatePair,
        timing: Timing,
        now: float,
        *,
        use_candidate: bool,
        is_consent: bool = False,
    ) -> None:
        self._make_room()
        transaction_id = self._context.new_transaction_id()
        message = Message.build(
            Method.BINDING,
            MessageClass.REQUEST,
            transaction_id,
            self._attributes(pair, use_candidate=use_candidate),
        )
        data = message.encode(sign=[(IntegrityAlgorithm.SHA1, self._remote.key)], fingerprint=True)
        transaction = ClientTransaction(
            data, transaction_id, reliable=pair.local.transport.is_tcp, timing=timing
        )
        self._checks[transaction_id] = Check(
            pair, transaction, self._context.role, use_candidate, is_consent
        )
        pair.requests_sent += 1
        self._context.transmit(transaction.start(now), *pair.key)

    def _make_room(self) -> None:
        """Forget what was sent first, if the limit is reached: cancelled checks above all."""
        if len(self._checks) >= self._limit:
            cancelled = (tid for tid, one in self._checks.items() if one.cancelled_until)
            del self._checks[next(cancelled, next(iter(self._checks)))]

    def _attributes(self, pair: CandidatePair, *, use_candidate: bool) -> list[RawAttribute]:
        context = self._context
        role = attributes.ICE_CONTROLLING if context.is_controlling else attributes.ICE_CONTROLLED
        listed = [
            attributes.USERNAME.of(self._username),
            attributes.PRIORITY.of(peer_reflexive_priority(pair.local)),
            role.of(context.tie_breaker),
        ]
        if use_candidate:
            listed.append(attributes.USE_CANDIDATE.of(True))
            if pair.nomination:
                listed.append(NOMINATION.of(pair.nomination))
        return listed


def _read(message: Message, check: Check) -> Result:
    try:
        if message.message_class is MessageClass.SUCCESS_RESPONSE:
            mapped = message.get(attributes.XOR_MAPPED_ADDRESS)
            if mapped is not None:
                return Result(check, Outcome.SUCCESS, mapped)
        else:
            error = message.get(attributes.ERROR_CODE)
            if error is not None and error.code == ErrorCode.ROLE_CONFLICT:
                return Result(check, Outcome.ROLE_CONFLICT)
    except DecodeError:
        pass  # authentic, but of no use: the check has failed
    return Result(check, Outcome.FAILURE)
