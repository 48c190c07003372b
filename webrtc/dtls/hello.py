"""ClientHellos before OpenSSL sees them (RFC 6347 §4.2.1-4.2.3): whole, sane and one at a time.

OpenSSL gives a handshake up at the first hello it does not like, and takes the first it likes
for the peer's. So a server's hellos are put together here (Chromium's come in two datagrams),
the malformed are dropped, and the first good one is believed without a cookie, which saves a
round trip. Any other one after it means that somebody forges: from then on a hello must bring
back a cookie, which only he has who reads what we send to the peer's address.
"""

from __future__ import annotations

import collections
import enum
import hmac

import attrs

from webrtc.dtls.records import Fragment, HandshakeType, handshake_record

COOKIE_SIZE = 16
MAX_HELLO_SIZE = 8192
"""Bytes of a ClientHello; Chromium's with a post-quantum key share has about 1,400."""
_MAX_PARTIAL_HELLOS = 8
_DTLS_1_0 = b"\xfe\xff"
_DTLS_1_2 = b"\xfe\xfd"
_RANDOM_SIZE = 32
_MAX_SESSION_ID_SIZE = 32
_NULL_COMPRESSION = 0
_SECOND_HELLO = 1
"""The message_seq of a hello with a cookie; OpenSSL goes on from no other."""


class Verdict(enum.Enum):
    """What to do about a ClientHello."""

    IGNORE = "ignore"
    """It is incomplete, malformed, or of a handshake that we have left."""
    REPEAT = "repeat"
    """The one we have answered came again: the peer lacks our flight."""
    BEGIN = "begin"
    """The first one: begin a handshake that may turn out a forger's."""
    BEGIN_VERIFIED = "begin-verified"
    """It has brought our cookie: begin, in place of any that has begun."""
    CHALLENGE = "challenge"
    """Another one, without our cookie: ask for it."""


@attrs.frozen(slots=True)
class ClientHello:
    """A whole ClientHello.

    Attributes:
        message_sequence: the message_seq.
        body: the message, without its header.
        random: the client's.
        cookie: empty in a first hello.

    """

    message_sequence: int
    body: bytes
    random: bytes
    cookie: bytes

    @property
    def record(self) -> bytes:
        """The hello in one record; the handshake's hash is over it in this form (§4.2.6)."""
        return handshake_record(
            _DTLS_1_0, HandshakeType.CLIENT_HELLO, self.message_sequence, self.body
        )


class _Reader:
    """Takes a ClientHello apart; sets `failed` instead of raising."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.failed = False

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        self.failed = self.failed or len(part) != size
        self._at += size
        return part

    def vector(self, length_size: int) -> bytes:
        return self.take(int.from_bytes(self.take(length_size), "big"))

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)


def parse_client_hello(message_sequence: int, body: bytes) -> ClientHello | None:
    """Read a ClientHello; None if OpenSSL would not accept its form either."""
    reader = _Reader(body)
    version = reader.take(2)
    random = reader.take(_RANDOM_SIZE)
    session_id = reader.vector(1)
    cookie = reader.vector(1)
    suites = reader.vector(2)
    compressions = reader.vector(1)
    extensions = _Reader(b"" if reader.at_end else reader.vector(2))
    while not (extensions.at_end or extensions.failed):
        extensions.take(2)
        extensions.vector(2)
    if (
        reader.failed
        or extensions.failed
        or not reader.at_end
        or version != _DTLS_1_2  # also those who offer 1.3 say so (RFC 9147 §5.3)
        or len(session_id) > _MAX_SESSION_ID_SIZE
        or not suites
        or len(suites) % 2
        or _NULL_COMPRESSION not in compressions
    ):
        return None
    return ClientHello(message_sequence, body, random, cookie)


class _PartialHello:
    """The fragments of one ClientHello. What comes later wins: it may replace a forgery."""

    def __init__(self, size: int) -> None:
        self._body = bytearray(size)
        self._missing = bytearray(b"\1" * size)

    def add(self, fragment: Fragment) -> bytes | None:
        end = fragment.offset + len(fragment.body)
        self._body[fragment.offset : end] = fragment.body
        self._missing[fragment.offset : end] = bytes(len(fragment.body))
        return None if any(self._missing) else bytes(self._body)


class HelloGate:
    """Decides which ClientHellos a server answers, and how.

    Its state is bounded: the last hello believed, and `_MAX_PARTIAL_HELLOS` in pieces.

    Args:
        cookie: `COOKIE_SIZE` random bytes that nobody knows yet.

    """

    def __init__(self, cookie: bytes) -> None:
        self._cookie = cookie
        self._partial: collections.OrderedDict[tuple[int, int], _PartialHello] = (
            collections.OrderedDict()
        )
        self._believed: ClientHello | None = None
        self._cookie_needed = False

    def judge(self, fragment: Fragment) -> tuple[Verdict, ClientHello | None]:
        """Take a fragment of a ClientHello and say what to do; with the hello, once it is whole."""
        hello = self._assemble(fragment)
        if hello is None:
            return Verdict.IGNORE, None
        if hello == self._believed:
            return Verdict.REPEAT, hello
        if hello.message_sequence == _SECOND_HELLO:
            # One cookie serves everybody: what counts is who can have read it.
            if not hmac.compare_digest(hello.cookie, self._cookie):
                return Verdict.IGNORE, None  # another HelloVerifyRequest has led it astray
            self._believed = hello
            return Verdict.BEGIN_VERIFIED, hello
        if hello.message_sequence:
            return Verdict.IGNORE, None
        if self._believed is None and not self._cookie_needed:
            self._believed = hello
            return Verdict.BEGIN, hello
        self._cookie_needed = True
        return Verdict.CHALLENGE, hello

    @property
    def contested(self) -> bool:
        """Whether more than one client has said hello."""
        return self._cookie_needed

    def disown(self) -> None:
        """Forget the hello believed: nothing came of it. The next must bring the cookie."""
        self._believed = None
        self._cookie_needed = True

    def challenge(self) -> bytes:
        """Write the HelloVerifyRequest for a first hello: one record.

        It is shorter than any ClientHello, so that nobody is flooded through us.
        """
        body = _DTLS_1_0 + bytes((len(self._cookie),)) + self._cookie
        return handshake_record(_DTLS_1_0, HandshakeType.HELLO_VERIFY_REQUEST, 0, body)

    def _assemble(self, fragment: Fragment) -> ClientHello | None:
        if fragment.size > MAX_HELLO_SIZE:
            return None
        if len(fragment.body) == fragment.size:
            return parse_client_hello(fragment.message_sequence, fragment.body)
        key = (fragment.message_sequence, fragment.size)
        partial = self._partial.pop(key, None) or _PartialHello(fragment.size)
        body = partial.add(fragment)
        if body is None:
            self._partial[key] = partial
            if len(self._partial) > _MAX_PARTIAL_HELLOS:
                self._partial.popitem(last=False)
            return None
        return parse_client_hello(fragment.message_sequence, body)
