"""DTLS records (RFC 6347 §4.1): cutting datagrams into them, filling datagrams with them.

OpenSSL's memory BIO keeps no datagram boundaries, and reads on over the end of a record that is
cut short; so whole records only go in, and what comes out is packed anew.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import attrs

HEADER_SIZE = 13
FRAGMENT_HEADER_SIZE = 12
MAX_RECORD_CONTENT = 16384 + 2048
"""RFC 6347 §4.1 by way of RFC 5246 §6.2.3; no more comes out of OpenSSL's reader."""
VERSION_1_2 = 0xFEFD
_DTLS_MAJOR = 0xFE
_HANDSHAKE = 22
_MAX_MESSAGE_SIZE = 65536
"""Of a handshake message; the longest is a Certificate, and WebRTC's have one of them."""


class ContentType(enum.IntEnum):
    """What a record holds (RFC 5246 §6.2.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


_CONTENT_TYPES = frozenset(ContentType)


class HandshakeType(enum.IntEnum):
    """The messages that are read here; OpenSSL knows the rest."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16


@attrs.frozen(slots=True)
class Fragment:
    """A handshake message or a part of one (RFC 6347 §4.2.2).

    Attributes:
        message_type: a `HandshakeType`, or another byte.
        size: bytes of the whole message.
        message_sequence: the message_seq.
        offset: where in the message `body` stands.
        body: the part.

    """

    message_type: int
    size: int
    message_sequence: int
    offset: int
    body: bytes


def split_records(data: bytes) -> tuple[list[bytes], int]:
    """Cut a datagram into records; return them and the number of bytes that were none. Per packet.

    The rest of a datagram behind something that is no record is given up.
    """
    records = []
    offset, size = 0, len(data)
    while size - offset >= HEADER_SIZE:
        length = data[offset + 11] << 8 | data[offset + 12]
        end = offset + HEADER_SIZE + length
        if (
            data[offset] not in _CONTENT_TYPES
            or data[offset + 1] != _DTLS_MAJOR
            or not length
            or length > MAX_RECORD_CONTENT
            or end > size
        ):
            break
        records.append(data[offset:end])
        offset = end
    return records, size - offset


def epoch_of(record: bytes) -> int:
    """Return a record's epoch: 0 before any key, then 1."""
    return record[3] << 8 | record[4]


def handshake_fragments(record: bytes) -> list[Fragment] | None:
    """Read the fragments in a handshake record in the clear; None if they are malformed.

    BoringSSL puts several messages into one record, OpenSSL never does.
    """
    fragments = []
    offset = HEADER_SIZE
    while offset < len(record):
        header = record[offset : offset + FRAGMENT_HEADER_SIZE]
        if len(header) < FRAGMENT_HEADER_SIZE:
            return None
        size = int.from_bytes(header[1:4], "big")
        part_at = int.from_bytes(header[6:9], "big")
        length = int.from_bytes(header[9:12], "big")
        offset += FRAGMENT_HEADER_SIZE
        body = record[offset : offset + length]
        if len(body) != length or part_at + length > size or size > _MAX_MESSAGE_SIZE:
            return None
        sequence = int.from_bytes(header[4:6], "big")
        fragments.append(Fragment(header[0], size, sequence, part_at, body))
        offset += length
    return fragments


def handshake_record(version: bytes, message_type: int, sequence: int, body: bytes) -> bytes:
    """Write one handshake message into one record of epoch 0, with record number 0."""
    size = len(body).to_bytes(3, "big")
    content = bytes((message_type,)) + size + sequence.to_bytes(2, "big") + bytes(3) + size + body
    return bytes((_HANDSHAKE,)) + version + bytes(8) + len(content).to_bytes(2, "big") + content


class RecordNumberer:
    """Gives records of epoch 0 numbers that were never used, whatever wrote them.

    A flight that is sent again would be a replay to whoever has received parts of it. Records in
    the clear have no tag over their number, so they get a fresh one. Those of epoch 1 keep theirs:
    OpenSSL writes new ones in the handshake, and `Session` after it.
    """

    def __init__(self) -> None:
        self._next = 0

    def renumber(self, records: Iterable[bytes]) -> list[bytes]:
        """Return the records with fresh numbers where that can be."""
        return [self._renumber(record) for record in records]

    def _renumber(self, record: bytes) -> bytes:
        if epoch_of(record):
            return record
        number = self._next.to_bytes(6, "big")
        self._next += 1
        return record[:5] + number + record[11:]


def pack_datagrams(records: Iterable[bytes], mtu: int) -> Iterator[bytes]:
    """Fill datagrams with records, in order, none longer than the MTU.

    A single record above the MTU would go alone; the writer sees to it that there is none.
    """
    datagram = b""
    for record in records:
        if datagram and len(datagram) + len(record) > mtu:
            yield datagram
            datagram = b""
        datagram += record
    if datagram:
        yield datagram
