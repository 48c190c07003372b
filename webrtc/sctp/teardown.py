"""SHUTDOWN's timers and what is sent again when they run out (RFC 9260 §9.2)."""

from __future__ import annotations

import math

from webrtc.sctp.rto import RetransmissionTimeout


class Teardown:
    """T2-shutdown and T5-shutdown-guard.

    Args:
        rto: the association's.
        rto_max: T5 is five times this.

    Attributes:
        is_due: whether SHUTDOWN or SHUTDOWN ACK is to be sent.

    """

    def __init__(self, rto: RetransmissionTimeout, rto_max: float) -> None:
        self._rto = rto
        self._guard_after = 5 * rto_max
        self._t2 = math.inf
        self._t5 = math.inf
        self.is_due = False

    @property
    def deadline(self) -> float:
        """When one of the two runs out."""
        return min(self._t2, self._t5)

    def guard(self, now: float) -> None:
        """Start T5: a peer that goes on sending cannot keep us from ending."""
        self._t5 = min(self._t5, now + self._guard_after)

    def is_overdue(self, now: float) -> bool:
        """Whether T5 has run out."""
        return now >= self._t5

    def request(self, now: float) -> None:
        """Have the chunk sent, and sent again until it is answered."""
        self.is_due = True
        self._t2 = now + self._rto.seconds

    def stop(self) -> None:
        """Stop both timers."""
        self._t2 = self._t5 = math.inf
        self.is_due = False
