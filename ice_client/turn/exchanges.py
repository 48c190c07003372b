"""Requests to one server and their answers: signing, challenges, what counts as an answer.

RFC 8489 §6.3 and §9.2.5. Sans-IO: what is to be sent, and what an observer may see, is queued
in `outputs`; an `Outcome` is what became of a request in the end, after any challenges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs

from ice_client.turn.authentication import (
    Authenticator,
    Signature,
    claims_integrity,
    is_bid_down,
)
from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    IntegrityViolationError,
    MalformedResponseError,
    TransactionTimeoutError,
    TurnClientError,
    response_error,
)
from ice_client.turn.outputs import Exchange, Output, Transmit
from stun import DecodeError, ErrorCode, Message, MessageClass, RawAttribute
from stun import attributes as a
from stun.constants import TRANSACTION_ID_SIZE
from stun.transaction import ClientTransaction, Timing, TransactionState
from stun.values import Error

MOST_CHALLENGES = 4
"""How often one request is sent anew for a 401 or 438. A server's first 401, a nonce that ends
under way and a change of realm are three; more is a loop."""
MOST_PENDING = 2048
"""Requests under way at a time."""

_CHALLENGES = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.STALE_NONCE})
_UNSIGNED_OK = _CHALLENGES | {ErrorCode.TRY_ALTERNATE}
"""Errors that servers cannot or need not sign (RFC 8489 §9.2.4, §10)."""

DEFAULT_TIMING = Timing()

MakeAttributes = Callable[[bytes], Sequence[RawAttribute]]


@attrs.frozen(slots=True, eq=False)
class Request:
    """What is asked for, however often it has to be asked.

    Attributes:
        method: the method.
        attributes: makes them for a transaction id, which XOR addresses depend on.
        purpose: for the one who asked.

    """

    method: int
    attributes: MakeAttributes = attrs.field(repr=False)
    purpose: object = None


@attrs.frozen(slots=True)
class Outcome:
    """What became of a request: the success response, or an error."""

    request: Request
    response: Message | None
    error: TurnClientError | None = None


@attrs.define(slots=True, eq=False)
class _Pending:
    request: Request
    transaction: ClientTransaction
    signature: Signature | None
    started_at: float
    challenges: int
    transmissions: int = 1
    discarded: list[Error | None] = attrs.field(factory=list)  # at most the last one


class Exchanges:
    """The requests under way to one server.

    Args:
        authenticator: signs them.
        deadlines: where their retransmissions are scheduled, under ``("request", id)``.
        outputs: where to queue what is to be sent.
        random_bytes: a cryptographic source, for transaction ids.
        reliable: over TCP or TLS, where nothing is sent again.
        timing: of retransmissions.

    """

    def __init__(
        self,
        authenticator: Authenticator,
        deadlines: Deadlines,
        outputs: deque[Output],
        *,
        random_bytes: Callable[[int], bytes],
        reliable: bool,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._authenticator = authenticator
        self._deadlines = deadlines
        self._outputs = outputs
        self._random_bytes = random_bytes
        self._reliable = reliable
        self._timing = timing
        self._pending: dict[bytes, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def start(self, request: Request, now: float, challenges: int = 0) -> None:
        """Send a request.

        Raises:
            TurnClientError: too many are under way.

        """
        if len(self._pending) >= MOST_PENDING:
            raise TurnClientError(f"{MOST_PENDING} requests are under way")
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        signature = self._authenticator.signature
        attributes = [*request.attributes(transaction_id)]
        sign = []
        if signature is not None:
            attributes += signature.attributes
            sign = [(signature.algorithm, signature.key)]
        message = Message.build(request.method, MessageClass.REQUEST, transaction_id, attributes)
        transaction = ClientTransaction(
            message.encode(sign=sign),
            transaction_id,
            reliable=self._reliable,
            timing=self._timing,
        )
        pending = _Pending(request, transaction, signature, now, challenges)
        self._pending[transaction_id] = pending
        self._outputs.append(Transmit(transaction.start(now)))
        self._schedule(pending)

    def on_deadline(self, transaction_id: bytes, now: float) -> Outcome | None:
        """Send a request again, or give it up."""
        pending = self._pending.get(transaction_id)
        if pending is None:
            return None
        data = pending.transaction.on_deadline(now)
        if data is not None:
            pending.transmissions += 1
            self._outputs.append(Transmit(data))
        if pending.transaction.state is not TransactionState.TIMED_OUT:
            self._schedule(pending)
            return None
        method = pending.request.method
        error: TurnClientError = TransactionTimeoutError(method)
        if pending.discarded:
            # RFC 8489 §9.2.5: not a timeout, if answers came and all of them were discarded.
            error = IntegrityViolationError(method, pending.discarded[-1])
        return self._end(pending, now, None, error)

    def receive(self, message: Message, now: float) -> Outcome | None:
        """Take a response; return the outcome if it ends its request."""
        pending = self._pending.get(message.transaction_id)
        if pending is None or message.method != pending.request.method:
            return None
        try:
            error = self._error_of(message)
            if self._must_discard(pending, message, error):
                return self._discard(pending, error, now)
        except DecodeError as problem:
            if pending.signature is not None and not pending.signature.verifies(message):
                return self._discard(pending, None, now)
            malformed = MalformedResponseError(f"the answer does not decode: {problem}")
            return self._end(pending, now, message, malformed)
        if not pending.transaction.receive(message, now):
            return None
        if error is None:
            return self._end(pending, now, message, None)
        if error.code in _CHALLENGES:
            return self._challenged(pending, message, error, now)
        return self._end(pending, now, message, response_error(error, message))

    def fail_all(self, error: TurnClientError, now: float) -> list[Outcome]:
        """End every request: the link broke (RFC 8489 §6.2.1, §6.2.2), or all is over."""
        outcomes = []
        for pending in list(self._pending.values()):
            pending.transaction.transport_failed()
            outcomes.append(self._end(pending, now, None, error))
        return outcomes

    def _error_of(self, message: Message) -> Error | None:
        if message.message_class is MessageClass.SUCCESS_RESPONSE:
            return None
        error = message.get(a.ERROR_CODE)
        if error is None:
            raise DecodeError("an error response without ERROR-CODE")
        return error

    def _must_discard(self, pending: _Pending, message: Message, error: Error | None) -> bool:
        """Whether an answer does not count (RFC 8489 §9.2.5)."""
        code = error.code if error else 0
        if code not in _CHALLENGES and is_bid_down(message):
            return True
        if pending.signature is None:
            # Nobody could have signed the answer to a request that was not signed.
            return False
        if code in _UNSIGNED_OK and not claims_integrity(message):
            return False
        return not pending.signature.verifies(message)

    def _discard(self, pending: _Pending, error: Error | None, now: float) -> Outcome | None:
        """Go on as if it had not come; on a reliable transport nothing better will come."""
        pending.discarded[:] = [error]
        if not self._reliable:
            return None
        violation = IntegrityViolationError(pending.request.method, error)
        return self._end(pending, now, None, violation)

    def _challenged(
        self, pending: _Pending, message: Message, error: Error, now: float
    ) -> Outcome | None:
        if pending.challenges >= MOST_CHALLENGES:
            return self._end(pending, now, message, response_error(error, message))
        try:
            self._authenticator.accept_challenge(message, error, pending.signature)
        except TurnClientError as refused:
            return self._end(pending, now, message, refused)
        self._end(pending, now, message, None)
        self.start(pending.request, now, pending.challenges + 1)
        return None

    def _end(
        self,
        pending: _Pending,
        now: float,
        message: Message | None,
        error: TurnClientError | None,
    ) -> Outcome:
        transaction = pending.transaction
        self._pending.pop(transaction.transaction_id, None)
        self._deadlines.set(("request", transaction.transaction_id), None)
        self._outputs.append(
            Exchange(
                method=pending.request.method,
                started_at=pending.started_at,
                ended_at=now,
                transmissions=pending.transmissions,
                round_trip_time=transaction.round_trip_time,
                response=message,
                error=error,
            )
        )
        return Outcome(pending.request, message if error is None else None, error)

    def _schedule(self, pending: _Pending) -> None:
        transaction = pending.transaction
        self._deadlines.set(("request", transaction.transaction_id), transaction.next_deadline())
