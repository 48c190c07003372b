"""The client transaction: when to send a request again, and when to give up (RFC 8489 §6.2).

No I/O and no clock. The caller sends what `start` and `on_deadline` return, calls the latter
at `next_deadline`, and tells `receive` what came.
"""

from __future__ import annotations

import enum

import attrs

from stun.constants import MessageClass
from stun.message import Message


class TransactionState(enum.Enum):
    """Where a transaction is; all but the first two are its end."""

    READY = "ready"
    WAITING = "waiting"
    ANSWERED = "answered"
    TIMED_OUT = "timed-out"
    FAILED = "failed"


@attrs.frozen(slots=True, kw_only=True)
class Timing:
    """Retransmission parameters; times in seconds.

    Attributes:
        rto: first retransmission timeout (RFC 8489 §6.2.1: 500 ms unless better is known).
        rc: how often a request is sent at the most.
        rm: how many `rto` to wait after the last one.
        ti: how long to wait on a reliable transport, where nothing is sent again.

    """

    rto: float = 0.5
    rc: int = 7
    rm: int = 16
    ti: float = 39.5


class ClientTransaction:
    """One request and its retransmissions.

    Args:
        request: the encoded request.
        transaction_id: of the request.
        reliable: on TCP or TLS: sent once, given up after Ti (RFC 8489 §6.2.2).
        timing: see `Timing`.

    Attributes:
        state: where it is.
        response: what `receive` took, once answered.
        round_trip_time: seconds from request to response; None after a retransmission, as it
            could belong to either (Karn's algorithm, RFC 8489 §6.2.1).

    """

    def __init__(
        self,
        request: bytes,
        transaction_id: bytes,
        *,
        reliable: bool = False,
        timing: Timing = Timing(),
    ) -> None:
        self.request = request
        self.transaction_id = transaction_id
        self.state = TransactionState.READY
        self.response: Message | None = None
        self.round_trip_time: float | None = None
        self._timing = timing
        self._most = 1 if reliable else timing.rc
        self._last_wait = timing.ti if reliable else timing.rto * timing.rm
        self._sent = 0
        self._interval = timing.rto
        self._started_at = 0.0
        self._deadline = 0.0

    def start(self, now: float) -> bytes:
        """Return the request, to be sent now.

        Raises:
            RuntimeError: it was started before.

        """
        if self.state is not TransactionState.READY:
            raise RuntimeError("a transaction starts once")
        self.state = TransactionState.WAITING
        self._started_at = now
        return self._send(now)

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`, monotonic seconds; None before start and after end."""
        return self._deadline if self.state is TransactionState.WAITING else None

    def on_deadline(self, now: float) -> bytes | None:
        """Return the request if it is to be sent again now; None if not, or if it timed out."""
        if self.state is not TransactionState.WAITING or now < self._deadline:
            return None
        if self._sent < self._most:
            return self._send(now)
        self.state = TransactionState.TIMED_OUT
        return None

    def receive(self, message: Message, now: float) -> bool:
        """Take a message; return whether it is this transaction's response.

        The first response ends the transaction. Where requests are authenticated, the caller
        verifies a response before it comes here: one that fails is discarded as if it had
        never come, and retransmissions go on (RFC 8489 §9.1.4, §9.2.5).
        """
        if (
            self.state is not TransactionState.WAITING
            or message.transaction_id != self.transaction_id
            or message.message_class not in _RESPONSES
        ):
            return False
        self.state = TransactionState.ANSWERED
        self.response = message
        if self._sent == 1:
            self.round_trip_time = now - self._started_at
        return True

    def transport_failed(self) -> None:
        """End it: a hard ICMP error came (RFC 8489 §6.2.1), or the connection broke (§6.2.2)."""
        if self.state in {TransactionState.READY, TransactionState.WAITING}:
            self.state = TransactionState.FAILED

    def _send(self, now: float) -> bytes:
        self._sent += 1
        if self._sent == self._most:
            self._deadline = now + self._last_wait
        else:
            self._deadline = now + self._interval
            self._interval *= 2
        return self.request


_RESPONSES = frozenset({MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE})
