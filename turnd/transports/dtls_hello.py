"""The first exchange of DTLS 1.2 without state: ClientHello, HelloVerifyRequest (RFC 6347 §4.2).

OpenSSL could do this part, but only for ClientHellos in one datagram; Chromium's come in
two. So the server reads what it needs from the first fragment itself (version, random
and cookie stand at the front of it), answers statelessly, and puts the fragments of a
hello together only once it has brought a valid cookie. OpenSSL then sees one record with
the whole message, which the handshake hash is defined over anyway (§4.2.6).
"""

from __future__ import annotations

import attrs

from stun import DecodeError

RECORD_HEADER_SIZE = 13
_FRAGMENT_HEADER_SIZE = 12
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_HELLO_VERIFY_REQUEST = 3
_DTLS_MAJOR = 0xFE
_DTLS_1_0 = b"\xfe\xff"
_RANDOM_SIZE = 32
_MAX_SESSION_ID_SIZE = 32
MAX_HELLO_SIZE = 8192
"""Bytes of a ClientHello; one with two post-quantum key shares has about 3,000."""
_MAX_FRAGMENTS = 32


@attrs.frozen(slots=True)
class HelloFragment:
    """A ClientHello, or a part of one.

    Attributes:
        record_header: the first 11 bytes of its record: type, version, epoch, sequence number.
        size: bytes of the whole message.
        sequence: the message_seq.
        offset: where in the message `body` stands.
        body: the fragment.

    """

    record_header: bytes
    size: int
    sequence: int
    offset: int
    body: bytes


@attrs.frozen(slots=True)
class HelloStart:
    """What stands at the front of a ClientHello (RFC 6347 §4.2.1)."""

    random: bytes
    cookie: bytes


def is_client_hello(datagram: bytes) -> bool:
    """Whether a datagram begins with a ClientHello in the clear. Per packet."""
    return (
        len(datagram) > RECORD_HEADER_SIZE
        and datagram[0] == _HANDSHAKE_RECORD
        and datagram[RECORD_HEADER_SIZE] == _CLIENT_HELLO
        and datagram[3] == 0
        and datagram[4] == 0
    )


def split_records(datagram: bytes) -> list[bytes]:
    """Cut a datagram, or what OpenSSL wrote of several, into records (RFC 6347 §4.1).

    Raises:
        DecodeError: the last record is cut short.

    """
    records: list[bytes] = []
    offset = 0
    while offset < len(datagram):
        start = offset + RECORD_HEADER_SIZE
        end = start + int.from_bytes(datagram[start - 2 : start], "big")
        if start > len(datagram) or end > len(datagram):
            raise DecodeError("a DTLS record is cut short")
        records.append(datagram[offset:end])
        offset = end
    return records


def parse_hello_fragments(datagram: bytes) -> list[HelloFragment]:
    """Read the fragments of ClientHellos that a datagram holds; other records are passed over.

    Raises:
        DecodeError: a record or a fragment is malformed.

    """
    return [_parse_fragment(r) for r in split_records(datagram) if is_client_hello(r)]


def _parse_fragment(record: bytes) -> HelloFragment:
    fragment = record[RECORD_HEADER_SIZE:]
    if record[1] != _DTLS_MAJOR:
        raise DecodeError("this is not DTLS")
    if len(fragment) < _FRAGMENT_HEADER_SIZE:
        raise DecodeError("a handshake header is cut short")
    size = int.from_bytes(fragment[1:4], "big")
    offset = int.from_bytes(fragment[6:9], "big")
    length = int.from_bytes(fragment[9:12], "big")
    body = fragment[_FRAGMENT_HEADER_SIZE:]
    if len(body) != length or offset + length > size:
        raise DecodeError("a ClientHello fragment's lengths do not agree")
    if size > MAX_HELLO_SIZE:
        raise DecodeError(f"a ClientHello of {size} bytes is longer than {MAX_HELLO_SIZE}")
    return HelloFragment(record[:11], size, int.from_bytes(fragment[4:6], "big"), offset, body)


def parse_hello_start(body: bytes) -> HelloStart:
    """Read the front of a ClientHello from its first fragment.

    Raises:
        DecodeError: it is malformed, or the fragment ends before the cookie does.

    """
    session_id_at = 2 + _RANDOM_SIZE
    if len(body) <= session_id_at or body[0] != _DTLS_MAJOR:
        raise DecodeError("a ClientHello is too short, or not DTLS")
    if body[session_id_at] > _MAX_SESSION_ID_SIZE:
        raise DecodeError("a session id has at most 32 bytes")
    cookie_at = session_id_at + 1 + body[session_id_at]
    if len(body) <= cookie_at or len(body) <= cookie_at + body[cookie_at]:
        raise DecodeError("the first fragment of a ClientHello ends before its cookie")
    cookie = body[cookie_at + 1 : cookie_at + 1 + body[cookie_at]]
    return HelloStart(body[2:session_id_at], cookie)


def make_hello_verify_request(hello: HelloFragment, cookie: bytes) -> bytes:
    """Write the answer to a ClientHello without a valid cookie: one record.

    It has the hello's record sequence number, so that none has to be remembered, and
    version 1.0 whatever will be negotiated (both RFC 6347 §4.2.1).
    """
    body = _DTLS_1_0 + bytes((len(cookie),)) + cookie
    size = len(body).to_bytes(3, "big")
    header = bytes((_HELLO_VERIFY_REQUEST,)) + size + bytes(2) + bytes(3) + size
    return (
        bytes((_HANDSHAKE_RECORD,))
        + _DTLS_1_0
        + hello.record_header[3:11]
        + (len(header) + len(body)).to_bytes(2, "big")
        + header
        + body
    )


class HelloAssembly:
    """Puts the fragments of one ClientHello together; for hellos with a valid cookie only.

    Args:
        first: the fragment with offset 0.

    """

    def __init__(self, first: HelloFragment) -> None:
        self._first = first
        self._fragments = {0: first.body}

    def add(self, fragment: HelloFragment) -> None:
        """Take another fragment; one of another message, or one too many, is dropped."""
        first = self._first
        if (fragment.size, fragment.sequence) == (first.size, first.sequence) and len(
            self._fragments
        ) < _MAX_FRAGMENTS:
            self._fragments.setdefault(fragment.offset, fragment.body)

    def record(self) -> bytes | None:
        """Return the whole message in one record, or None while parts are missing."""
        size = self._first.size
        message = bytearray()
        for offset, body in sorted(self._fragments.items()):
            if offset > len(message):
                return None
            message += body[len(message) - offset :]  # fragments may overlap
        if len(message) < size:
            return None
        encoded_size = size.to_bytes(3, "big")
        header = (
            bytes((_CLIENT_HELLO,))
            + encoded_size
            + self._first.sequence.to_bytes(2, "big")
            + bytes(3)
            + encoded_size
        )
        length = (len(header) + size).to_bytes(2, "big")
        return self._first.record_header + length + header + bytes(message)
