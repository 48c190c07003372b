"""Answers given lately, so that a retransmitted request gets the same one (RFC 8489 §6.3.1).

Only answers to authenticated requests that change something a second time would
change differently: Allocate, Refresh with lifetime 0 or a mobility ticket.
"""

from __future__ import annotations

import hashlib
from collections import deque

from turnd.core.five_tuple import FiveTuple

_LIFETIME = 40.0
"""RFC 8489 §6.3.1: responses are remembered for 40 seconds."""
_MAXIMUM = 8192


class ReplyCache:
    """Responses by 5-tuple and the request's hash: oldest first, few, and not for long.

    A hash, because a request may have 64 KB: its sender would choose how much is kept.
    """

    def __init__(self) -> None:
        self._replies: dict[tuple[FiveTuple, bytes], bytes] = {}
        self._ends: deque[tuple[float, tuple[FiveTuple, bytes]]] = deque()

    def __len__(self) -> int:
        return len(self._replies)

    def find(self, five_tuple: FiveTuple, request: bytes, now: float) -> bytes | None:
        """Return the response that the same request from the same client had."""
        self._forget(now)
        return self._replies.get((five_tuple, _digest(request)))

    def add(self, five_tuple: FiveTuple, request: bytes, response: bytes, now: float) -> None:
        """Remember a response."""
        self._forget(now)
        key = (five_tuple, _digest(request))
        if key not in self._replies:
            self._ends.append((now + _LIFETIME, key))
        self._replies[key] = response
        if len(self._replies) > _MAXIMUM:
            del self._replies[self._ends.popleft()[1]]

    def _forget(self, now: float) -> None:
        ends = self._ends
        while ends and ends[0][0] <= now:
            del self._replies[ends.popleft()[1]]


def _digest(request: bytes) -> bytes:
    return hashlib.sha256(request).digest()
