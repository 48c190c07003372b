"""Finds messages in a byte stream (RFC 8489 §6.2.2, RFC 8656 §12.5).

The first two bits tell a STUN message (0b00) from ChannelData (0b01); each says its own
length. Anything else can't be resynchronised and ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable

from stun.attribute import pad
from stun.channel_data import CHANNEL_DATA_HEADER_SIZE
from stun.constants import HEADER_SIZE
from stun.errors import DecodeError

MAX_FRAME_SIZE = HEADER_SIZE + 0xFFFC


class StreamFramer:
    """An incremental framer that holds at most one incomplete frame and what was fed last.

    Args:
        max_frame_size: a longer frame is an error, found out by its header alone.

    """

    def __init__(self, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        self._max_frame_size = max_frame_size
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the stream, in order."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next whole frame, ChannelData without its padding; None if there is none.

        Raises:
            DecodeError: the bytes can't be a frame, or it is longer than allowed.

        """
        available = len(self._buffer) - self._start
        if available < CHANNEL_DATA_HEADER_SIZE:
            if available:
                self._check_first(self._buffer[self._start])
            return None
        first = self._buffer[self._start]
        self._check_first(first)
        length = int.from_bytes(self._buffer[self._start + 2 : self._start + 4], "big")
        if first < 0x40:
            if length % 4:
                raise DecodeError(f"a STUN message's length is a multiple of 4, not {length}")
            size, padding = HEADER_SIZE + length, 0
        else:
            size, padding = CHANNEL_DATA_HEADER_SIZE + length, len(pad(length))
        if size > self._max_frame_size:
            raise DecodeError(f"a frame of {size} bytes is longer than {self._max_frame_size}")
        if available < size + padding:
            return None
        frame = bytes(self._buffer[self._start : self._start + size])
        self._start += size + padding
        return frame

    def skip(self, take: Callable[[memoryview], int]) -> int:
        """Let another reader have the front of what is there.

        Args:
            take: gets the bytes no frame was made of yet, and returns how many it took, whole
                frames with their padding. The view is no longer valid when it has returned.

        Returns:
            how many bytes were taken.

        """
        with memoryview(self._buffer) as whole, whole[self._start :] as rest:
            taken = take(rest)
        self._start += taken
        return taken

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes and return every frame that is whole now; see `feed`, `next_frame`.

        Raises:
            DecodeError: as `next_frame`; whole frames before the bad bytes are lost with it, so
                who wants them calls `feed` and `next_frame`.

        """
        self.feed(data)
        frames = []
        while (frame := self.next_frame()) is not None:
            frames.append(frame)
        return frames

    def take_rest(self) -> bytes:
        """Return the bytes no frame was made of, and forget them (RFC 6062 §5.4 splices them)."""
        rest = bytes(self._buffer[self._start :])
        self._buffer.clear()
        self._start = 0
        return rest

    @staticmethod
    def _check_first(first: int) -> None:
        if first & 0x80:
            raise DecodeError(f"0x{first:02x} begins neither a STUN message nor ChannelData")
