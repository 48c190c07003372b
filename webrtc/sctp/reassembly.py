"""From fragments to messages, and messages into their order (RFC 9260 §6.5, §6.6, §6.9).

What DATA and I-DATA have in common lives here; how fragments find together is theirs
(`data_fragments`, `interleaved_fragments`).
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Iterable

from webrtc.sctp.errors import SctpError
from webrtc.sctp.parameters import CauseCode, Parameter

MESSAGE_OVERHEAD = 64
"""What a waiting message counts beside its bytes, so that a million empty ones are not free."""

FRAGMENT_OVERHEAD = 64
BEGUN_OVERHEAD = 512
"""The same for a fragment and for a message of which only fragments are there: what they cost in
memory, so that a peer cannot take a gigabyte by single bytes."""

Message = tuple[int, int, bytes]
"""Stream identifier, payload protocol identifier, payload."""


class ProtocolViolationError(SctpError):
    """What the peer sent cannot be honest; it is answered by an ABORT with `cause`."""

    def __init__(self, code: CauseCode, reason: str) -> None:
        super().__init__(reason)
        self.cause = Parameter(code, reason.encode())


class Reassembly(abc.ABC):
    """Puts messages together and gives them out in order.

    Args:
        max_message_size: longer ones end the association.

    Attributes:
        messages: what is complete and due, for the owner to take from the left.
        held: bytes kept here, in fragments, early and due messages alike, with what they cost
            beside their bytes.

    """

    def __init__(self, max_message_size: int) -> None:
        self._max_message_size = max_message_size
        self._next: dict[int, int] = {}
        self._early: dict[int, dict[int, tuple[int, bytes]]] = {}
        self.messages: deque[Message] = deque()
        self.held = 0

    @abc.abstractmethod
    def unwrap(self, wire: int, near: int) -> int:
        """Return an order number off the wire as one that does not wrap."""

    @abc.abstractmethod
    def drop_fragments(self, cumulative_tsn: int, skips: Iterable[tuple[int, int, int]]) -> None:
        """Forget incomplete messages that the peer gave up."""

    def complete(
        self, stream_id: int, is_unordered: int, number: int, ppid: int, payload: bytes
    ) -> None:
        """Take in a whole message, whose payload `held` already counts. Hot."""
        self.held += MESSAGE_OVERHEAD
        if is_unordered:
            self.messages.append((stream_id, ppid, payload))
            return
        due = self._next.get(stream_id, 0)
        number = self.unwrap(number, due)
        if number == due:
            self.messages.append((stream_id, ppid, payload))
            self._next[stream_id] = due + 1
            if stream_id in self._early:
                self._release(stream_id)
        elif number > due:
            early = self._early.setdefault(stream_id, {})
            if number in early:
                raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "number used twice")
            early[number] = (ppid, payload)
        else:
            # Skipped by a FORWARD TSN, or numbered backwards: nobody waits for it.
            self.held -= len(payload) + MESSAGE_OVERHEAD

    def skip(self, cumulative_tsn: int, skips: Iterable[tuple[int, int, int]]) -> None:
        """Give up on what a FORWARD TSN or I-FORWARD-TSN names.

        Args:
            cumulative_tsn: its new cumulative TSN.
            skips: stream identifier, whether unordered, last number skipped.

        """
        skips = list(skips)
        self.drop_fragments(cumulative_tsn, skips)
        for stream_id, is_unordered, number in skips:
            if is_unordered:
                continue
            due = self._next.get(stream_id, 0)
            last = self.unwrap(number, due)
            if last < due:
                continue
            early = self._early.get(stream_id, {})
            for each in sorted(each for each in early if each <= last):
                self.messages.append((stream_id, *early.pop(each)))
            self._next[stream_id] = last + 1
            self._release(stream_id)

    def reset(self, stream_ids: Iterable[int]) -> None:
        """Start streams' numbers at zero again (RFC 6525 §5.2.2)."""
        for stream_id in stream_ids:
            self._next.pop(stream_id, None)
            for _ppid, payload in self._early.pop(stream_id, {}).values():
                self.held -= len(payload) + MESSAGE_OVERHEAD

    def reset_all(self) -> None:
        """Start every stream's numbers at zero again: a request that lists none means all."""
        self.reset([*self._next, *self._early])

    def check_size(self, size: int) -> None:
        """Refuse a message that outgrows what we said we take."""
        if size > self._max_message_size:
            raise ProtocolViolationError(
                CauseCode.PROTOCOL_VIOLATION, f"message above {self._max_message_size} bytes"
            )

    def _release(self, stream_id: int) -> None:
        early = self._early.get(stream_id)
        due = self._next[stream_id]
        while early and due in early:
            self.messages.append((stream_id, *early.pop(due)))
            due += 1
        self._next[stream_id] = due
        if not early:
            self._early.pop(stream_id, None)
