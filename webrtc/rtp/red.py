"""RED: redundant payloads in one packet (RFC 2198), and audio redundancy made with it."""

from __future__ import annotations

from collections import deque

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError

MAX_OFFSET = (1 << 14) - 1
MAX_BLOCK_SIZE = (1 << 10) - 1
MAX_BLOCKS = 32
"""More than anybody sends; bounds the work on one packet."""


@attrs.frozen
class RedBlock:
    """One payload of a RED packet.

    Attributes:
        payload_type: of the block.
        payload: its bytes.
        timestamp_offset: how much older than the packet's timestamp; 0 for the primary.

    """

    payload_type: int
    payload: bytes
    timestamp_offset: int = 0


def parse_red(payload: bytes) -> tuple[RedBlock, ...]:
    """Return the blocks in order, the primary last (RFC 2198 §3).

    Raises:
        RtpDecodeError: cut short, or too many blocks.

    """
    heads: list[tuple[int, int, int]] = []
    offset = 0
    while True:
        if offset >= len(payload):
            raise RtpDecodeError("RED without a primary block")
        if payload[offset] < 0x80:
            primary = payload[offset]
            offset += 1
            break
        if offset + 4 > len(payload) or len(heads) == MAX_BLOCKS:
            raise RtpDecodeError("RED's headers do not end")
        rest = int.from_bytes(payload[offset + 1 : offset + 4])
        heads.append((payload[offset] & 0x7F, rest >> 10, rest & MAX_BLOCK_SIZE))
        offset += 4
    blocks = []
    for payload_type, timestamp_offset, size in heads:
        if offset + size > len(payload):
            raise RtpDecodeError("RED's blocks are cut short")
        blocks.append(RedBlock(payload_type, payload[offset : offset + size], timestamp_offset))
        offset += size
    blocks.append(RedBlock(primary, payload[offset:]))
    return tuple(blocks)


def serialise_red(blocks: tuple[RedBlock, ...]) -> bytes:
    """Return a payload of these blocks, the primary last.

    Raises:
        RtpEncodeError: no block, or one that is too old or too large for its header.

    """
    if not blocks:
        raise RtpEncodeError("RED without blocks")
    data = bytearray()
    for block in blocks[:-1]:
        if not 0 <= block.timestamp_offset <= MAX_OFFSET or len(block.payload) > MAX_BLOCK_SIZE:
            raise RtpEncodeError(
                f"RED block of {len(block.payload)} bytes, {block.timestamp_offset} old"
            )
        data.append(0x80 | block.payload_type)
        data += (block.timestamp_offset << 10 | len(block.payload)).to_bytes(3)
    data.append(blocks[-1].payload_type)
    for block in blocks:
        data += block.payload
    return bytes(data)


class RedAudioEncoder:
    """Adds the last payloads of an audio stream to each new one, so that single losses repair."""

    def __init__(self, payload_type: int, redundancy: int = 1) -> None:
        """Begin a stream.

        Args:
            payload_type: of the blocks (Opus, say).
            redundancy: how many earlier payloads each packet repeats.

        """
        self._payload_type = payload_type
        self._earlier: deque[tuple[int, bytes]] = deque(maxlen=redundancy)

    def encode(self, payload: bytes, timestamp: int) -> bytes:
        """Return the RED payload for this one."""
        blocks = [
            RedBlock(self._payload_type, earlier, age)
            for then, earlier in self._earlier
            if 0 < (age := (timestamp - then) & 0xFFFFFFFF) <= MAX_OFFSET
            and len(earlier) <= MAX_BLOCK_SIZE
        ]
        self._earlier.append((timestamp, payload))
        return serialise_red((*blocks, RedBlock(self._payload_type, payload)))
