"""Fragments in DATA chunks: a message is a run of TSNs from B to E (RFC 9260 §6.9)."""

from __future__ import annotations

from collections.abc import Iterable

from webrtc.sctp.chunks import DataFlag
from webrtc.sctp.parameters import CauseCode
from webrtc.sctp.reassembly import ProtocolViolationError, Reassembly
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


class DataReassembly(Reassembly):
    """Puts messages together from DATA."""

    def __init__(self, max_message_size: int) -> None:
        super().__init__(max_message_size)
        self._by_first: dict[int, _Run] = {}
        self._by_last: dict[int, _Run] = {}

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
        elif run.has_end or run.key != key:
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments do not fit")
        run.parts.append(payload)
        run.size += len(payload)
        run.last = tsn
        if flags & _END:
            run.has_end = True
        else:
            self._join_next(run)
        if run.has_begin and run.has_end:
            del self._by_first[run.first]
            self.complete(stream_id, unordered, ssn, run.ppid, b"".join(run.parts))
        else:
            self.check_size(run.size)
            self._by_last[run.last] = run

    def drop_fragments(self, cumulative_tsn: int, skips: Iterable[tuple[int, int, int]]) -> None:
        """Forget runs that reach down to the TSNs given up: all of their message is."""
        for run in [run for run in self._by_first.values() if run.first <= cumulative_tsn]:
            del self._by_first[run.first], self._by_last[run.last]
            self.held -= run.size

    def _join_next(self, run: _Run) -> None:
        following = self._by_first.get(run.last + 1)
        if following is None or following.has_begin:
            return
        if following.key != run.key:
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments do not fit")
        del self._by_first[following.first], self._by_last[following.last]
        run.parts += following.parts
        run.size += following.size
        run.last = following.last
        run.has_end = following.has_end
