"""Fragments in I-DATA chunks: a message has a number, and its fragments have (RFC 8260 §2)."""

from __future__ import annotations

from collections.abc import Iterable

from webrtc.sctp.chunks import DataFlag
from webrtc.sctp.parameters import CauseCode
from webrtc.sctp.reassembly import (
    BEGUN_OVERHEAD,
    FRAGMENT_OVERHEAD,
    ProtocolViolationError,
    Reassembly,
)
from webrtc.sctp.serial import unwrap_32

_BEGIN = int(DataFlag.BEGIN)
_END = int(DataFlag.END)
_UNORDERED = int(DataFlag.UNORDERED)
_WHOLE = _BEGIN | _END


class _Assembly:
    """Fragments of one message: a run from the first on, and some that came early."""

    __slots__ = ("count", "early", "parts", "ppid", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.early: dict[int, bytes] = {}
        self.count: int | None = None
        self.ppid = 0
        self.size = 0

    @property
    def overhead(self) -> int:
        """What it costs beside its bytes."""
        return BEGUN_OVERHEAD + FRAGMENT_OVERHEAD * (len(self.parts) + len(self.early))

    def add(self, fsn: int, payload: bytes) -> bool:
        """Take in a fragment; return False if it is there already."""
        if fsn != len(self.parts):
            if fsn < len(self.parts) or fsn in self.early:
                return False
            self.early[fsn] = payload
            return True
        self.parts.append(payload)
        while self.early and len(self.parts) in self.early:
            self.parts.append(self.early.pop(len(self.parts)))
        return True


class InterleavedReassembly(Reassembly):
    """Puts messages together from I-DATA."""

    def __init__(self, max_message_size: int) -> None:
        super().__init__(max_message_size)
        self._assemblies: dict[tuple[int, int, int], _Assembly] = {}

    def unwrap(self, wire: int, near: int) -> int:
        """Return a message identifier as one that does not wrap."""
        return unwrap_32(wire, near)

    def add(self, flags: int, stream_id: int, mid: int, ppid_or_fsn: int, payload: bytes) -> None:
        """Take in a chunk that has not come before. Hot."""
        self.held += len(payload)
        unordered = flags & _UNORDERED
        if flags & _WHOLE == _WHOLE:
            self.complete(stream_id, unordered, mid, ppid_or_fsn, payload)
            return
        key = (stream_id, unordered, mid)
        assembly = self._assemblies.get(key)
        if assembly is None:
            assembly = self._assemblies[key] = _Assembly()
            self.held += BEGUN_OVERHEAD
        fsn = ppid_or_fsn
        if flags & _BEGIN:
            assembly.ppid, fsn = ppid_or_fsn, 0
        fits = assembly.add(fsn, payload)
        if flags & _END:
            fits = fits and assembly.count is None
            assembly.count = fsn + 1
        assembly.size += len(payload)
        self.held += FRAGMENT_OVERHEAD
        self.check_size(assembly.size)
        done = len(assembly.parts)
        if not fits or (assembly.count is not None and done > assembly.count):
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments do not fit")
        if done == assembly.count:
            if assembly.early:
                raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "fragments past the end")
            del self._assemblies[key]
            self.held -= assembly.overhead
            self.complete(stream_id, unordered, mid, assembly.ppid, b"".join(assembly.parts))

    def drop_fragments(self, cumulative_tsn: int, skips: Iterable[tuple[int, int, int]]) -> None:
        """Forget the messages named, and in order those before them."""
        last = {(stream_id, bool(unordered)): number for stream_id, unordered, number in skips}
        if not last:
            return
        for key in list(self._assemblies):
            number = last.get((key[0], bool(key[1])))
            if number is not None and unwrap_32(key[2], number) <= number:
                self._drop(key)

    def reset(self, stream_ids: Iterable[int]) -> None:
        """Start streams over; a message that was begun on one will not be finished."""
        stream_ids = set(stream_ids)
        for key in [each for each in self._assemblies if each[0] in stream_ids]:
            self._drop(key)
        super().reset(stream_ids)

    def _drop(self, key: tuple[int, int, int]) -> None:
        assembly = self._assemblies.pop(key)
        self.held -= assembly.size + assembly.overhead

    def reset_all(self) -> None:
        """Start every stream over."""
        self.reset({*self._next, *self._early, *(key[0] for key in self._assemblies)})
