"""Chunks into packets (RFC 9260 §6.10)."""

from __future__ import annotations

from collections.abc import Callable

from webrtc.sctp.packet import COMMON_HEADER_SIZE


class Packer:
    """Fills packets with chunks.

    Args:
        packet_size: the largest packet.
        write: makes a packet of chunks.
        datagrams: where finished packets go.

    Attributes:
        room: what is left in the packet begun.

    """

    __slots__ = ("_capacity", "_chunks", "_datagrams", "_write", "room")

    def __init__(
        self, packet_size: int, write: Callable[[bytes], bytes], datagrams: list[bytes]
    ) -> None:
        self._capacity = self.room = packet_size - COMMON_HEADER_SIZE
        self._write = write
        self._datagrams = datagrams
        self._chunks: list[bytes] = []

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is in the packet begun."""
        return not self._chunks

    def add(self, chunk: bytes) -> None:
        """Put a chunk into this packet, or the next if it has no room. Hot."""
        size = len(chunk)
        if size > self.room and self._chunks:
            self.close()
        self._chunks.append(chunk)
        self.room -= size

    def close(self) -> None:
        """Finish the packet begun, if there is one. Hot."""
        chunks = self._chunks
        if chunks:
            self._datagrams.append(self._write(b"".join(chunks) if len(chunks) > 1 else chunks[0]))
            self._chunks = []
            self.room = self._capacity
