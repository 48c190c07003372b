"""Packets in a byte stream: two bytes of length before each (RFC 4571 §2, RFC 6544 §3)."""

from __future__ import annotations

from ice_client.errors import PacketTooLongError

MAX_FRAME = 0xFFFF
"""Bytes: what two bytes of length can say."""
_HEADER_SIZE = 2


def frame(packet: bytes) -> bytes:
    """Return a packet with its length before it.

    Raises:
        PacketTooLongError: it has more than `MAX_FRAME` bytes.

    """
    if len(packet) > MAX_FRAME:
        raise PacketTooLongError(f"{len(packet)} bytes are more than {MAX_FRAME} (RFC 4571 §2)")
    return len(packet).to_bytes(_HEADER_SIZE, "big") + packet


class FrameReader:
    """Finds the packets. It holds what was fed last and at most one incomplete packet.

    Every byte sequence is a sequence of frames, so nothing here can fail. Empty frames, which
    RFC 4571 §2 says to ignore, are passed over.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes from the stream and return every packet that is whole now. Runs per packet."""
        self._buffer += data
        packets = []
        start, available = 0, len(self._buffer)
        while available - start >= _HEADER_SIZE:
            length = int.from_bytes(self._buffer[start : start + _HEADER_SIZE], "big")
            end = start + _HEADER_SIZE + length
            if end > available:
                break
            if length:
                packets.append(bytes(self._buffer[start + _HEADER_SIZE : end]))
            start = end
        del self._buffer[:start]
        return packets
