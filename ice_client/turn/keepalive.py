"""Keeps NATs on the way to the server from forgetting a quiet client (RFC 8489 §2, RFC 4787 §4.3).

A Binding indication, which nobody answers, when nothing else was sent for a while. Where the
server is gone it also brings the ICMP error that tells of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ice_client.turn.deadlines import Deadlines
from ice_client.turn.outputs import Output, Transmit
from stun import Message, MessageClass, Method
from stun.constants import TRANSACTION_ID_SIZE

KEEPALIVE_INTERVAL = 25.0
"""Seconds. RFC 4787 §4.3 wants NATs to wait two minutes; many wait thirty seconds."""


class Keepalive:
    """Sends when nobody else has.

    Args:
        deadlines: where it is scheduled, under ``("keepalive",)``.
        outputs: where it sends.
        random_bytes: a cryptographic source, for transaction ids.
        interval: seconds.

    """

    def __init__(
        self,
        deadlines: Deadlines,
        outputs: deque[Output],
        random_bytes: Callable[[int], bytes],
        interval: float = KEEPALIVE_INTERVAL,
    ) -> None:
        self._deadlines = deadlines
        self._outputs = outputs
        self._random_bytes = random_bytes
        self._interval = interval
        self._last_sent = 0.0

    def start(self, now: float) -> None:
        """Begin."""
        self._last_sent = now
        self._deadlines.set(("keepalive",), now + self._interval)

    def sent(self, now: float) -> None:
        """Take note that something was sent. Per packet."""
        self._last_sent = now

    def on_deadline(self, now: float) -> None:
        """Send, unless something was sent in the meantime."""
        if now >= self._last_sent + self._interval:
            transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
            message = Message.build(Method.BINDING, MessageClass.INDICATION, transaction_id)
            self._outputs.append(Transmit(message.encode()))
            self._last_sent = now
        self._deadlines.set(("keepalive",), self._last_sent + self._interval)
