"""Answers given lately, so that a retransmitted request gets the same one (RFC 8489 §6.3.1).

Only answers to authenticated requests that change something a second time would
change differently: Allocate, Refresh with lifetime 0 or a mobility ticket.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from turnd.core.five_tuple import FiveTuple

_LIFETIME = 40.0
"""RFC 8489 §6.3.1: responses are remembered for 40 seconds."""
_MAXIMUM = 8192


class ReplyCache:
    """Responses by 5-tuple and the request's hash: oldest first, few, and not for long.

    A hash, because a request may have 64 KB: its sender would choose how much is kept.
    """

    def __init__(self) -> None:
        self._replies: OrderedDict[tuple[FiveTuple, bytes], tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._replies)

    def find(self, five_tuple: FiveTuple, request: bytes, now: float) -> bytes | None:
        """Return the response that the same request from the same client had."""
        self._forget(now)
        entry = self._replies.get((five_tuple, _digest(request)))
        return entry[1] if entry else None

    def add(self, five_tuple: FiveTuple, request: bytes, response: bytes, now: float) -> None:
        """Remember a response."""
        self._forget(now)
        self._replies[five_tuple, _digest(request)] = (now + _LIFETIME, response)
        if len(self._replies) > _MAXIMUM:
            self._replies.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._replies:
            key = next(iter(self._replies))
            if self._replies[key][0] > now:
                return
            del self._replies[key]


def _digest(request: bytes) -> bytes:
    return hashlib.sha256(request).digest()
