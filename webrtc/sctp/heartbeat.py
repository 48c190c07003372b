"""HEARTBEATs on an idle path (RFC 9260 §8.3)."""

from __future__ import annotations

import hmac
import math
import struct
from collections.abc import Callable

from webrtc.sctp.rto import RetransmissionTimeout

_TIME = struct.Struct("!d")
_NONCE_SIZE = 8


class Heartbeat:
    """Asks a silent peer whether it is there.

    Args:
        interval: seconds between one answer and the next question.
        rto: how long an answer may take; measured by answers.
        random_bytes: for nonces: an answer must be to a question.

    Attributes:
        deadline: when there is something to do, `math.inf` before `start`.

    """

    def __init__(
        self, interval: float, rto: RetransmissionTimeout, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._interval = interval
        self._rto = rto
        self._random_bytes = random_bytes
        self._awaited: bytes | None = None
        self.deadline = math.inf

    def start(self, now: float) -> None:
        """Begin, or put off the next question: the peer was just heard of. Hot."""
        self._awaited = None
        self.deadline = now + self._interval

    def stop(self) -> None:
        """Ask no more."""
        self._awaited = None
        self.deadline = math.inf

    def on_deadline(self, now: float) -> tuple[bytes, bool]:
        """Return the next question, and whether the last one was not answered."""
        missed = self._awaited is not None
        if missed:
            self._rto.back_off()
        self._awaited = _TIME.pack(now) + self._random_bytes(_NONCE_SIZE)
        self.deadline = now + self._rto.seconds
        return self._awaited, missed

    def on_answer(self, info: bytes, now: float) -> bool:
        """Take in an answer; return whether it was to our last question."""
        if self._awaited is None or not hmac.compare_digest(info, self._awaited):
            return False
        (asked_at,) = _TIME.unpack_from(info)
        self._rto.measured(now - asked_at)
        self.start(now)
        return True
