"""Fragments in DATA chunks: a message is a run of TSNs from B to E (RFC 9260 §6.9)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from webrtc.sctp.chunks import DataFlag
from webrtc.sctp.parameters import CauseCode
from webrtc.sctp.reassembly import (
    BEGUN_OVERHEAD,
    FRAGMENT_OVERHEAD,
    ProtocolViolationError,
    Reassembly,
)
from webrtc.sctp.serial import unwrap_16

_BEGIN = int(DataFlag.BEGIN)
_END = int(DataFlag.END)
_UNORDERED = int(DataFlag.UNORDERED)
_WHOLE = _BEGIN | _END


class _Run:
    """Fragments of one message whose TSNs follow each other."""

    __slots__ = ("first", "has_begin", "has_end", "key", "last", "parts", "ppid", "size")

    def __init__(self, tsn: int, flags: int, key: tuple[int, int, int], ppid: int) -> None:
        self.first = self.last = tsn
        self.has_begin = bool(flags & _BEGIN)
        self.has_end = bool(flags & _END)
        self.key = key
        self.ppid = ppid
        self.parts: list[bytes] = []
        self.size = 0

    @property
    def overhead(self) -> int:
        """What it costs beside its bytes."""
        return BEGUN_OVERHEAD + FRAGMENT_OVERHEAD * len(self.parts)


class DataReassembly(Reassembly):
    """Puts messages together from DATA."""

    def __init__(self, max_message_size: int) -> None:
        super().__init__(max_message_size)
        self._by_first: dict[int, _Run] = {}
        self._by_last: dict[int, _Run] = {}
        self._firsts: list[int] = []

    def unwrap(self, wire: int, near: int) -> int:
        """Return a stream sequence number as one that does not wrap."""
        return unwrap_16(wire, near)

    def add(
        self, tsn: int, flags: int, stream_id: int, ssn: int, ppid: int, payload: bytes
    ) -> None:
        """Take in a chunk that has not come before. Hot."""
        self.held += len(payload)
        unordered = flags & _UNORDERED
        if flags & _WHOLE == _WHOLE:
            self.complete(stream_id, unordered, ssn, ppid, payload)
            return
        key = (stream_id, unordered, 0 if unordered else ssn)
        run = None
        if not flags & _BEGIN:
            run = self._by_last.pop(tsn - 1, None)
        if run is None:
            run = _Run(tsn, flags, key, ppid)
            self._by_first[tsn] = run
            insort(self._firsts, tsn)
            self.held += BEGUN_OVERHEAD
        elif run.has_end or run.key != key:
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments do not fit")
        run.parts.append(payload)
        self.held += FRAGMENT_OVERHEAD
        run.size += len(payload)
        run.last = tsn
        if flags & _END:
            run.has_end = True
        else:
            self._join_next(run)
        if run.has_begin and run.has_end:
            self._forget(run)
            self.complete(stream_id, unordered, ssn, run.ppid, b"".join(run.parts))
        else:
            self.check_size(run.size)
            self._by_last[run.last] = run

    def drop_fragments(self, cumulative_tsn: int, skips: Iterable[tuple[int, int, int]]) -> None:
        """Forget runs that reach down to the TSNs given up: all of their message is."""
        for first in self._firsts[: bisect_right(self._firsts, cumulative_tsn)]:
            run = self._by_first[first]
            self._forget(run)
            del self._by_last[run.last]
            self.held -= run.size

    def _forget(self, run: _Run) -> None:
        del self._by_first[run.first]
        del self._firsts[bisect_left(self._firsts, run.first)]
        self.held -= run.overhead

    def _join_next(self, run: _Run) -> None:
        following = self._by_first.get(run.last + 1)
        if following is None or following.has_begin:
            return
        if following.key != run.key:
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments do not fit")
        self._forget(following)
        del self._by_last[following.last]
        run.parts += following.parts
        self.held += FRAGMENT_OVERHEAD * len(following.parts)
        run.size += following.size
        run.last = following.last
        run.has_end = following.has_end
