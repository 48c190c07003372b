"""SCTP packets: the common header, its CRC32c, and chunks as they lie in it (RFC 9260 §3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import attrs
import google_crc32c

from webrtc.sctp.errors import SctpDecodeError

COMMON_HEADER_SIZE = 12
CHUNK_HEADER_SIZE = 4
_ADDRESSING = struct.Struct("!HHI")
_CHECKSUM = struct.Struct("<I")
_CHUNK_HEADER = struct.Struct("!BBH")
_NO_CHECKSUM = bytes(4)
_LEAST_PACKET = COMMON_HEADER_SIZE + CHUNK_HEADER_SIZE
_PADDING = (b"", bytes(3), bytes(2), bytes(1))


@attrs.frozen(slots=True)
class RawChunk:
    """A chunk whose value has not been looked at."""

    type: int
    flags: int
    value: bytes

    def encode(self) -> bytes:
        """Return the chunk with its padding, which its length does not count (RFC 9260 §3.2)."""
        return encode_chunk(self.type, self.flags, self.value)


@attrs.frozen(slots=True)
class Packet:
    """A packet, taken apart down to raw chunks.

    Attributes:
        source_port: the sender's.
        destination_port: the receiver's.
        verification_tag: what the receiver chose, or 0 for an INIT.
        chunks: at least one.

    """

    source_port: int
    destination_port: int
    verification_tag: int
    chunks: tuple[RawChunk, ...]


def encode_chunk(kind: int, flags: int, value: bytes) -> bytes:
    """Return header, value and zero padding."""
    header = _CHUNK_HEADER.pack(kind, flags, CHUNK_HEADER_SIZE + len(value))
    return header + value + _PADDING[len(value) & 3]


class PacketWriter:
    """Puts one common header before chunks, per-packet work done once per association.

    The checksum runs over header and chunks with its own field zero. The header is the same
    in every packet to one peer, so its share is computed here and only extended afterwards.

    Args:
        source_port: ours.
        destination_port: the peer's.
        verification_tag: what the peer chose.

    """

    __slots__ = ("_addressing", "_checksum_of_header")

    def __init__(self, source_port: int, destination_port: int, verification_tag: int) -> None:
        self._addressing = _ADDRESSING.pack(source_port, destination_port, verification_tag)
        self._checksum_of_header: int = google_crc32c.value(self._addressing + _NO_CHECKSUM)

    def write(self, chunks: bytes) -> bytes:
        """Return a packet. Hot: runs once per packet sent."""
        checksum = google_crc32c.extend(self._checksum_of_header, chunks)
        return self._addressing + _CHECKSUM.pack(checksum) + chunks

    def write_without_checksum(self, chunks: bytes) -> bytes:
        """Return a packet whose integrity is left to DTLS (RFC 9653)."""
        return self._addressing + _NO_CHECKSUM + chunks

    def matches(self, packet: bytes, zero_is_valid: bool) -> bool:
        """Whether `packet` has this very header and a right checksum. Hot."""
        if packet[:8] != self._addressing or len(packet) < _LEAST_PACKET:
            return False
        checksum: int = google_crc32c.extend(self._checksum_of_header, packet[COMMON_HEADER_SIZE:])
        (sent,) = _CHECKSUM.unpack_from(packet, 8)
        return bool(checksum == sent) or (zero_is_valid and sent == 0)


def encode_packet(packet: Packet) -> bytes:
    """Return the packet's bytes with a right checksum."""
    writer = PacketWriter(packet.source_port, packet.destination_port, packet.verification_tag)
    return writer.write(b"".join(chunk.encode() for chunk in packet.chunks))


def decode_packet(data: bytes, *, zero_is_valid: bool = False) -> Packet:
    """Take a packet apart.

    Args:
        data: what DTLS delivered.
        zero_is_valid: whether a checksum of zero stands for none (RFC 9653 §5.3).

    Raises:
        SctpDecodeError: it is too short, its checksum is wrong, or its chunks do not fit.

    """
    if len(data) < _LEAST_PACKET:
        raise SctpDecodeError(f"packet of {len(data)} bytes is too short")
    source, destination, tag = _ADDRESSING.unpack_from(data)
    if not PacketWriter(source, destination, tag).matches(data, zero_is_valid):
        raise SctpDecodeError("wrong checksum")
    return Packet(source, destination, tag, tuple(split_chunks(data)))


def split_chunks(data: bytes) -> list[RawChunk]:
    """Return the chunks behind a common header.

    Raises:
        SctpDecodeError: a length is below 4 or reaches past the end, or fewer than four bytes
            are left over. Missing padding of the last chunk is let pass.

    """
    chunks = []
    offset, end = COMMON_HEADER_SIZE, len(data)
    while offset < end:
        if end - offset < CHUNK_HEADER_SIZE:
            raise SctpDecodeError(f"{end - offset} bytes are left after the last chunk")
        kind, flags, length = _CHUNK_HEADER.unpack_from(data, offset)
        if length < CHUNK_HEADER_SIZE or offset + length > end:
            raise SctpDecodeError(f"chunk of {length} bytes where {end - offset} are left")
        chunks.append(RawChunk(kind, flags, data[offset + CHUNK_HEADER_SIZE : offset + length]))
        offset += (length + 3) & ~3
    return chunks


def join_chunks(chunks: Iterable[RawChunk]) -> bytes:
    """Return chunks one after the other."""
    return b"".join(chunk.encode() for chunk in chunks)
