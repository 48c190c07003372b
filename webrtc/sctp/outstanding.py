"""Chunks that were sent: acknowledged, missed, lost, given up (RFC 9260 §6.2.1, §7.2.4).

Also RFC 3758's advanced peer ack point. The owner hands in SACKs, and asks what is to be sent
again.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator

from webrtc.sctp.outgoing import OutgoingMessage, SentChunk

IN_FLIGHT, GAP_ACKED, LOST, ABANDONED, ACKED = range(5)
MISSES_BEFORE_RETRANSMIT = 3
_MAX_SKIPS = 48

Ranges = list[tuple[int, int]]


Acknowledged = tuple[int, bool, bool]
"""Bytes acknowledged for the first time; whether the cumulative TSN moved; whether some is lost."""


class Outstanding:
    """All chunks above the cumulative TSN ack point, in order.

    Args:
        initial_tsn: of the first chunk.
        payload: user data that fits one packet.

    Attributes:
        cumulative: the last TSN that the peer has acknowledged with all before.
        advanced: the last TSN it need not wait for, given up or acknowledged.
        flight: bytes on their way.
        reorders: whether something that had been missed arrived without being sent again. From
            then on three misses are not enough: as in RFC 8985 (RACK), time must have passed too.

    """

    def __init__(self, initial_tsn: int, payload: int) -> None:
        self.payload = payload
        self.cumulative = self.advanced = initial_tsn - 1
        self.flight = 0
        self._chunks: deque[SentChunk] = deque()
        self.reorders = False
        self._settled_before = math.inf
        self._gaps: Ranges = []
        self._lost: list[tuple[int, SentChunk]] = []
        self._skipped: dict[tuple[int, int], int] = {}

    @property
    def next_tsn(self) -> int:
        """The TSN of the next new chunk. Hot."""
        return self.cumulative + len(self._chunks) + 1

    @property
    def is_empty(self) -> bool:
        """Whether everything sent has been acknowledged for good. Hot."""
        return not self._chunks

    @property
    def begins_abandoned(self) -> bool:
        """Whether the peer waits for a chunk that is given up. Hot."""
        return bool(self._chunks) and self._chunks[0].state == ABANDONED

    def sent(self, chunk: SentChunk, now: float) -> None:
        """Keep a new chunk. Hot."""
        chunk.sent_at = now
        self._chunks.append(chunk)
        self.flight += chunk.size

    def skip_rest(self, message: OutgoingMessage) -> None:
        """Spend a TSN on the part of an abandoned message that was never sent.

        All that was sent may be acknowledged, and then no TSN would be left by which to tell
        the peer that the rest is not coming.
        """
        chunk = SentChunk(self.next_tsn, b"", 0, message)
        chunk.state = ABANDONED
        self._chunks.append(chunk)

    def acknowledge(
        self,
        cumulative: int,
        gaps: Iterable[tuple[int, int]],
        in_recovery: bool,
        settled_before: float,
    ) -> Acknowledged | None:
        """Take in a SACK. Hot.

        Args:
            cumulative: its cumulative TSN, not wrapping.
            gaps: its gap ack blocks as offsets.
            in_recovery: whether fast recovery lasts.
            settled_before: what was sent after this moment may only have been overtaken, on a
                path that is known to reorder.

        Returns:
            None if it is older than one before, or tells of what was never sent.

        """
        old = self.cumulative
        chunks = self._chunks
        if cumulative < old or cumulative > old + len(chunks):
            return None
        acked = 0
        popleft = chunks.popleft
        for _ in range(cumulative - old):
            chunk = popleft()
            state = chunk.state
            if state == IN_FLIGHT:
                self.flight -= chunk.size
                acked += chunk.size
                if chunk.misses and not chunk.retransmits:
                    self.reorders = True
            elif state == LOST:
                acked += chunk.size
            chunk.state = ACKED
        advanced = cumulative > old
        self.cumulative = cumulative
        if cumulative >= self.advanced:
            self.advanced = cumulative
            self._skipped.clear()
        lost = False
        if gaps or self._gaps:
            self._settled_before = settled_before if self.reorders else math.inf
            newly, lost = self._take_gaps(gaps, advanced and in_recovery)
            acked += newly
        return acked, advanced, lost

    def expire_all(self) -> None:
        """Take everything in flight for lost: the timer ran out (§6.3.3 E3)."""
        for chunk in self._chunks:
            if chunk.state == IN_FLIGHT:
                self._lose(chunk)
            chunk.misses = 0

    def lost_chunks(self) -> Iterator[SentChunk]:
        """Yield what is to be sent again, oldest first; pass each to `resent` or stop."""
        while self._lost:
            chunk = self._lost[0][1]
            if chunk.state == LOST:
                yield chunk
            if self._lost and self._lost[0][1] is chunk and chunk.state != LOST:
                del self._lost[0]

    @property
    def has_lost(self) -> bool:
        """Whether something is to be sent again. Hot."""
        lost = self._lost
        while lost and lost[0][1].state != LOST:
            del lost[0]
        return bool(lost)

    def resent(self, chunk: SentChunk, now: float) -> None:
        """Note that a lost chunk was sent again."""
        chunk.sent_at = now
        chunk.state = IN_FLIGHT
        chunk.retransmits += 1
        chunk.misses = 0
        # §7.2.4 allows one fast retransmission, as a second loss cannot be told from the
        # first. It can: only a SACK of what was sent after this moment speaks of it.
        chunk.evidence_from = self.cumulative + len(self._chunks)
        self.flight += chunk.size

    def abandon(self, message: OutgoingMessage) -> None:
        """Give up on all chunks of a message (RFC 3758 §3.5 A3)."""
        first = max(message.first_tsn, self.cumulative + 1)
        for tsn in range(first, message.last_tsn + 1):
            chunk = self._chunks[tsn - self.cumulative - 1]
            # With I-DATA, other messages' chunks lie in between.
            if chunk.message is message:
                if chunk.state == IN_FLIGHT:
                    self.flight -= chunk.size
                chunk.state = ABANDONED

    def advance(self) -> bool:
        """Move the advanced peer ack point; return whether the peer must be told (§3.5 C1-C3)."""
        index = self.advanced - self.cumulative
        chunks = self._chunks
        while index < len(chunks) and chunks[index].state == ABANDONED:
            message = chunks[index].message
            key = (message.stream_id, message.flags & 4)
            if key not in self._skipped and len(self._skipped) >= _MAX_SKIPS:
                # What a FORWARD TSN has no room to name, the peer would wait for.
                break
            self.advanced += 1
            index += 1
            self._skipped[key] = message.number
        return self.advanced > self.cumulative

    def skips(self) -> list[tuple[int, int, int]]:
        """Return stream, whether unordered, and last number of what is given up."""
        return [(*key, number) for key, number in self._skipped.items()]

    def _take_gaps(self, offsets: Iterable[tuple[int, int]], count_all: bool) -> tuple[int, bool]:
        base = self.cumulative
        chunks = self._chunks
        gaps: Ranges = []
        last = base
        for start, end in offsets:
            if not last < base + start <= base + end <= base + len(chunks):
                break
            gaps.append((base + start, base + end))
            last = base + end
        before = [(max(start, base + 1), end) for start, end in self._gaps if end > base]
        self._gaps = gaps
        acked = 0
        newest = base
        news = _subtract(gaps, before)
        for start, end in news:
            for tsn in range(start, end + 1):
                chunk = chunks[tsn - base - 1]
                if chunk.state == IN_FLIGHT:
                    self.flight -= chunk.size
                    if chunk.misses and not chunk.retransmits:
                        self.reorders = True
                if chunk.state in (IN_FLIGHT, LOST):
                    chunk.state = GAP_ACKED
                    acked += chunk.size
            newest = max(newest, end)
        for start, end in _subtract(before, gaps):
            # §6.2.1 D iii: the peer threw away what it had told of.
            for tsn in range(start, end + 1):
                chunk = chunks[tsn - base - 1]
                if chunk.state == GAP_ACKED:
                    chunk.state = IN_FLIGHT
                    self.flight += chunk.size
        first_news = news[0][0] if news else base
        return acked, self._count_misses(last if count_all else newest, first_news, acked)

    def _count_misses(self, newest: int, first_news: int, acked: int) -> bool:
        """Count misses for what is in no block below `newest` (§7.2.4).

        The RFC counts SACKs, taking it that after a loss each tells of one packet. One that
        answers packets read together tells of several, and counts for as many as its news fill.
        """
        lost = False
        weight = max(acked // self.payload, 1)
        base = self.cumulative
        chunks = self._chunks
        start = base + 1
        for gap_start, gap_end in self._gaps:
            for tsn in range(start, min(gap_start, newest)):
                chunk = chunks[tsn - base - 1]
                if chunk.state == IN_FLIGHT and chunk.evidence_from < newest:
                    chunk.misses += weight if tsn < first_news else 1
                    if (
                        chunk.misses >= MISSES_BEFORE_RETRANSMIT
                        and chunk.sent_at < self._settled_before
                    ):
                        self._lose(chunk)
                        lost = True
            start = gap_end + 1
            if start >= newest:
                break
        return lost

    def _lose(self, chunk: SentChunk) -> None:
        chunk.state = LOST
        self.flight -= chunk.size
        insort(self._lost, (chunk.tsn, chunk), key=lambda entry: entry[0])


def _subtract(minuend: Ranges, subtrahend: Ranges) -> Ranges:
    """Return the parts of sorted ranges that are in none of others."""
    left: Ranges = []
    others = iter(subtrahend)
    other = next(others, None)
    for first, end in minuend:
        start = first
        while start <= end:
            while other is not None and other[1] < start:
                other = next(others, None)
            if other is None or other[0] > end:
                left.append((start, end))
                break
            if other[0] > start:
                left.append((start, other[0] - 1))
            start = other[1] + 1
    return left
