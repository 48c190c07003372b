"""Messages that wait to be sent, and which stream is next (RFC 9260 §6.1, RFC 8260 §3).

Streams share what is sent by weight: each has a virtual time that runs by the bytes it was
given, and the one furthest behind is next. With DATA a message must be sent whole before the
next begins; with I-DATA the choice is made for every fragment, so that a long message holds
nobody up.
"""

from __future__ import annotations

import heapq
import struct
from collections import deque

from webrtc.sctp.chunks import ChunkType, DataFlag
from webrtc.sctp.outgoing import UNORDERED, OutgoingMessage, SentChunk
from webrtc.sctp.serial import MASK_16, MASK_32

DATA_HEADER = struct.Struct("!BBHIHHI")
I_DATA_HEADER = struct.Struct("!BBHIHHII")
_PADDING = (b"", bytes(3), bytes(2), bytes(1))
_BEGIN = int(DataFlag.BEGIN)
_END = int(DataFlag.END)
_IMMEDIATE = int(DataFlag.IMMEDIATE)
_DATA = int(ChunkType.DATA)
_I_DATA = int(ChunkType.I_DATA)
DEFAULT_WEIGHT = 256
_LEAST_ROOM = 512
"""Into less room no part of a message is put, only whole ones."""


class _Stream:
    __slots__ = (
        "buffered",
        "is_scheduled",
        "low_threshold",
        "messages",
        "next_ordered",
        "next_unordered",
        "stream_id",
        "virtual_time",
        "weight",
    )

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.messages: deque[OutgoingMessage] = deque()
        self.buffered = 0
        self.low_threshold = 0
        self.next_ordered = 0
        self.next_unordered = 0
        self.virtual_time = 0.0
        self.weight = DEFAULT_WEIGHT
        self.is_scheduled = False


class SendQueue:
    """All messages not sent yet.

    Attributes:
        expired: a message whose lifetime ended with part of it sent, for the owner to abandon.
        buffered: bytes of user data in all of them.
        low: streams whose buffered amount fell to their threshold, for the owner to clear.
        interleaving: whether to send I-DATA; set before the first chunk.

    """

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._heap: list[tuple[float, int]] = []
        self._current: _Stream | None = None
        self._virtual_time = 0.0
        self.interleaving = False
        self.buffered = 0
        self.low: list[int] = []
        self.expired: OutgoingMessage | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send. Hot."""
        return self._current is None and not self._heap

    def add(self, message: OutgoingMessage) -> None:
        """Queue a message."""
        stream = self._stream(message.stream_id)
        stream.messages.append(message)
        size = len(message.payload)
        stream.buffered += size
        self.buffered += size
        if not stream.is_scheduled:
            self._schedule(stream)

    def buffered_in(self, stream_id: int) -> int:
        """Return the bytes of a stream that wait."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.buffered

    def has_messages(self, stream_id: int) -> bool:
        """Whether anything of a stream waits, an empty message or part of one too."""
        stream = self._streams.get(stream_id)
        return stream is not None and bool(stream.messages)

    def set_low_threshold(self, stream_id: int, threshold: int) -> None:
        """Say at which buffered amount a stream is put into `low`."""
        self._stream(stream_id).low_threshold = threshold

    def set_weight(self, stream_id: int, weight: int) -> None:
        """Say how much a stream gets beside the others."""
        self._stream(stream_id).weight = max(weight, 1)

    def restart(self, stream_ids: list[int]) -> None:
        """Start streams over after they were reset, without numbers and weight."""
        for stream_id in stream_ids:
            stream = self._streams.get(stream_id)
            if stream is not None and not stream.messages:
                del self._streams[stream_id]

    def clear(self) -> None:
        """Drop everything: there is nobody to send it to."""
        self._streams.clear()
        self._heap.clear()
        self._current = self.expired = None
        self.buffered = 0

    def discard(self, stream_id: int) -> None:
        """Drop what waits in a stream, except what has begun to be sent."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        begun = [each for each in stream.messages if each.fragments]
        for message in stream.messages:
            if not message.fragments:
                self._unbuffer(stream, len(message.payload))
        stream.messages = deque(begun)

    def abandon(self, message: OutgoingMessage) -> bool:
        """Drop the rest of a message that is given up; return whether there was any."""
        stream = self._streams.get(message.stream_id)
        if stream is None or not stream.messages or stream.messages[0] is not message:
            return False
        stream.messages.popleft()
        self._unbuffer(stream, len(message.payload) - message.offset)
        if stream is self._current:
            self._current = None
            self._reschedule(stream)
        return True

    def next_chunk(self, room: int, tsn: int, now: float, immediate: int) -> SentChunk | None:
        """Make the next chunk. Hot: runs once per chunk sent.

        Args:
            room: for the whole chunk.
            tsn: its TSN.
            now: monotonic seconds; what has expired is dropped.
            immediate: the I flag if nothing can be sent after this one, else 0.

        Returns:
            None if there is nothing that fits.

        """
        stream = self._current
        if stream is None:
            stream = self._choose(now)
            if stream is None:
                return None
            self._current = stream
        message = stream.messages[0]
        payload = message.payload
        offset = message.offset
        if offset and message.expires_at <= now:
            self.expired = message
            return None
        left = len(payload) - offset
        header = 20 if self.interleaving else 16
        flags = message.flags | immediate
        if left + header <= room:
            take = left
            flags |= _END
        elif room < _LEAST_ROOM:
            return None
        else:
            take = (room - header) & ~3
        if not message.fragments:
            flags |= _BEGIN
            message.first_tsn = tsn
            self._number(stream, message)
        if self.buffered == take and flags & _END and len(stream.messages) == 1:
            flags |= _IMMEDIATE
        wire = self._encode(message, tsn, flags, take)
        chunk = SentChunk(tsn, wire, take, message)
        message.fragments += 1
        message.offset = offset + take
        message.last_tsn = tsn
        stream.virtual_time += (take + header) / stream.weight
        self._unbuffer(stream, take)
        if flags & _END:
            stream.messages.popleft()
            self._current = None
            self._reschedule(stream)
        elif self.interleaving and self._heap:
            self._current = None
            self._reschedule(stream)
        return chunk

    def _encode(self, message: OutgoingMessage, tsn: int, flags: int, take: int) -> bytes:
        offset = message.offset
        payload = message.payload
        if self.interleaving:
            header = I_DATA_HEADER.pack(
                _I_DATA,
                flags,
                20 + take,
                tsn & MASK_32,
                message.stream_id,
                0,
                message.number & MASK_32,
                message.fragments or message.ppid,
            )
        else:
            header = DATA_HEADER.pack(
                _DATA,
                flags,
                16 + take,
                tsn & MASK_32,
                message.stream_id,
                message.number & MASK_16,
                message.ppid,
            )
        if take & 3:
            return header + payload[offset : offset + take] + _PADDING[take & 3]
        return header + payload[offset : offset + take]

    def _number(self, stream: _Stream, message: OutgoingMessage) -> None:
        # RFC 8260 §2.1: unordered I-DATA has identifiers too, from a space of its own.
        if not message.flags & UNORDERED:
            message.number = stream.next_ordered
            stream.next_ordered += 1
        elif self.interleaving:
            message.number = stream.next_unordered
            stream.next_unordered += 1

    def _choose(self, now: float) -> _Stream | None:
        while self._heap:
            time, stream_id = heapq.heappop(self._heap)
            stream = self._streams.get(stream_id)
            if stream is None:
                continue
            messages = stream.messages
            while messages and messages[0].expires_at <= now and not messages[0].fragments:
                self._unbuffer(stream, len(messages.popleft().payload))
            if messages:
                self._virtual_time = time
                return stream
            stream.is_scheduled = False
        return None

    def _schedule(self, stream: _Stream) -> None:
        # What a stream did not use while it had nothing to send is not saved up for later.
        stream.virtual_time = max(stream.virtual_time, self._virtual_time)
        stream.is_scheduled = True
        heapq.heappush(self._heap, (stream.virtual_time, stream.stream_id))

    def _reschedule(self, stream: _Stream) -> None:
        if stream.messages:
            heapq.heappush(self._heap, (stream.virtual_time, stream.stream_id))
        else:
            stream.is_scheduled = False

    def _unbuffer(self, stream: _Stream, size: int) -> None:
        was_above = stream.buffered > stream.low_threshold
        stream.buffered -= size
        self.buffered -= size
        if was_above and stream.buffered <= stream.low_threshold:
            self.low.append(stream.stream_id)

    def _stream(self, stream_id: int) -> _Stream:
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = _Stream(stream_id)
        return stream
