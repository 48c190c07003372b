"""The client transaction: when to send a request again, and when to give up (RFC 8489 §6.2).

No I/O and no clock: the caller sends what `poll` returns, tells `receive` what came,
and calls again at `next_deadline`.
"""

from __future__ import annotations

import enum

import attrs

from stun.constants import MessageClass
from stun.message import Message


class TransactionState(enum.Enum):
    """Where a transaction is."""

    WAITING = "waiting"
    ANSWERED = "answered"
    TIMED_OUT = "timed-out"


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
        now: monotonic seconds.
        reliable: on TCP or TLS: sent once, given up after Ti (RFC 8489 §6.2.2).
        timing: see `Timing`.

    """

    def __init__(
        self,
        request: bytes,
        transaction_id: bytes,
        now: float,
        *,
        reliable: bool = False,
        timing: Timing = Timing(),
    ) -> None:
        self.request = request
        self.transaction_id = transaction_id
        self.state = TransactionState.WAITING
        self.response: Message | None = None
        self._reliable = reliable
        self._timing = timing
        self._sent = 0
        self._deadline = now
        self._interval = timing.rto
        self._first_sent_at = now
        self.round_trip_time: float | None = None
        """Seconds from request to response; None after a retransmission (Karn's algorithm)."""

    def next_deadline(self) -> float | None:
        """Return when to call `poll` again, monotonic seconds; None when it is over."""
        return self._deadline if self.state is TransactionState.WAITING else None

    def poll(self, now: float) -> bytes | None:
        """Return the request if it is to be sent now, else None; call at every deadline."""
        if self.state is not TransactionState.WAITING or now < self._deadline:
            return None
        if self._sent == (1 if self._reliable else self._timing.rc):
            self.state = TransactionState.TIMED_OUT
            return None
        if not self._sent:
            self._first_sent_at = now
        self._sent += 1
        self._deadline = now + self._wait()
        return self.request

    def receive(self, message: Message, now: float) -> bool:
        """Take a message; return whether it is this transaction's response.

        The first response ends the transaction, a second one is not its own any more.
        """
        if (
            self.state is not TransactionState.WAITING
            or message.transaction_id != self.transaction_id
            or message.message_class
            not in {MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE}
        ):
            return False
        self.state = TransactionState.ANSWERED
        self.response = message
        if self._sent == 1:
            self.round_trip_time = now - self._first_sent_at
        return True

    def _wait(self) -> float:
        if self._reliable:
            return self._timing.ti
        if self._sent == self._timing.rc:
            return self._timing.rto * self._timing.rm
        interval, self._interval = self._interval, self._interval * 2
        return interval
