"""The records of an established session (RFC 6347 §4.1), by the keys that OpenSSL's handshake gave.

OpenSSL's connection is not kept for them: it holds some 90 KB as long as it lives, and takes three
times as long for a record. All suites are AEAD, so a record is one call of an AEAD and its numbers.
"""

from __future__ import annotations

import hmac
import struct

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from webrtc.dtls.errors import HandshakeFailedError
from webrtc.dtls.records import HEADER_SIZE, VERSION_1_2
from webrtc.dtls.setup import DtlsRole

REPLAY_WINDOW = 256
"""Records by which one may be late. RFC 6347 §4.1.2.6 prefers 64; a fast transfer over a line with
jitter is reordered by more."""
_EPOCH = 1 << 48
_MAX_NUMBER = (1 << 48) - 1
_WINDOW_MASK = (1 << REPLAY_WINDOW) - 1
_TAG_SIZE = 16
_IV_SIZE = 12
_HEADER = struct.Struct("!BHQH")
"""Type, version, epoch and number, length."""
_ADDITIONAL = struct.Struct("!QBHH")
"""What the tag covers beside the content (RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1)."""


@attrs.frozen
class Suite:
    """How a cipher suite protects records.

    Attributes:
        aead: of cryptography.
        key_size: bytes.
        salt_size: bytes of the nonce that come from the keys.
        nonce_size: bytes of it that stand in each record: GCM's (RFC 5288 §3), not ChaCha20's,
            which mixes the record's number in (RFC 7905 §2).
        digest: of the pseudo-random function.

    """

    aead: type[AESGCM | ChaCha20Poly1305]
    key_size: int
    salt_size: int
    nonce_size: int
    digest: str


_AES_128 = Suite(AESGCM, 16, 4, 8, "sha256")
_AES_256 = Suite(AESGCM, 32, 4, 8, "sha384")
_CHACHA20 = Suite(ChaCha20Poly1305, 32, _IV_SIZE, 0, "sha256")
SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": _AES_128,
    "ECDHE-RSA-AES128-GCM-SHA256": _AES_128,
    "ECDHE-ECDSA-AES256-GCM-SHA384": _AES_256,
    "ECDHE-RSA-AES256-GCM-SHA384": _AES_256,
    "ECDHE-ECDSA-CHACHA20-POLY1305": _CHACHA20,
    "ECDHE-RSA-CHACHA20-POLY1305": _CHACHA20,
}
"""By OpenSSL's names, best first. RFC 8827 §6.5 asks for the first; GStreamer has RSA certificates.
Nothing without forward secrecy, nothing with CBC."""


@attrs.frozen(repr=False)
class SessionSecrets:
    """What a handshake agreed on.

    Attributes:
        suite: the cipher suite.
        master: the master secret.
        client_random: of the ClientHello.
        server_random: of the ServerHello.

    """

    suite: Suite
    master: bytes
    client_random: bytes
    server_random: bytes

    def key_block(self) -> bytes:
        """Return the keys of both directions (RFC 5246 §6.3); AEAD has none for a MAC."""
        seed = b"key expansion" + self.server_random + self.client_random
        size = 2 * (self.suite.key_size + self.suite.salt_size)
        block, part = b"", seed
        while len(block) < size:  # RFC 5246 §5
            part = hmac.digest(self.master, part, self.suite.digest)
            block += hmac.digest(self.master, part + seed, self.suite.digest)
        return block[:size]


class Session:
    """Seals and opens the records of epoch 1.

    Args:
        secrets: of the handshake.
        role: ours.
        next_number: that of the next record sent: the handshake has used those before.

    """

    __slots__ = (
        "_explicit",
        "_highest",
        "_next",
        "_opener",
        "_opener_salt",
        "_sealer",
        "_sealer_salt",
        "_seen",
        "overhead",
    )

    def __init__(self, secrets: SessionSecrets, role: DtlsRole, next_number: int) -> None:
        suite, block = secrets.suite, secrets.key_block()
        size, salt = suite.key_size, suite.salt_size
        salts = block[2 * size :]
        client = suite.aead(block[:size]), salts[:salt]
        server = suite.aead(block[size : 2 * size]), salts[salt:]
        sending, receiving = (client, server) if role is DtlsRole.CLIENT else (server, client)
        self._sealer, self._sealer_salt = sending
        self._opener, self._opener_salt = receiving
        self._explicit = suite.nonce_size
        self._next = next_number
        self._highest = -1
        self._seen = 0
        self.overhead = HEADER_SIZE + suite.nonce_size + _TAG_SIZE

    def seal(self, content_type: int, content: bytes) -> bytes:
        """Return a record. Per packet.

        Raises:
            HandshakeFailedError: every number was used.

        """
        number = self._next
        if number > _MAX_NUMBER:
            raise HandshakeFailedError("the session has used every record number")
        self._next = number + 1
        number |= _EPOCH
        size = len(content)
        additional = _ADDITIONAL.pack(number, content_type, VERSION_1_2, size)
        explicit = self._explicit
        header = _HEADER.pack(content_type, VERSION_1_2, number, explicit + size + _TAG_SIZE)
        if explicit:
            nonce = additional[:8]
            sealed = self._sealer.encrypt(self._sealer_salt + nonce, content, additional)
            return header + nonce + sealed
        nonce = _mixed(self._sealer_salt, number)
        return header + self._sealer.encrypt(nonce, content, additional)

    def open(self, record: bytes) -> bytes | None:
        """Return what a record of epoch 1 holds; None if its tag is wrong. Per packet.

        Ask `is_fresh` first: here its number is noted.
        """
        content = self._decrypt(record, self._opener, self._opener_salt)
        if content is None:
            return None
        number = int.from_bytes(record[5:11])
        ahead = number - self._highest
        if ahead > 0:
            self._highest = number
            self._seen = (self._seen << min(ahead, REPLAY_WINDOW) | 1) & _WINDOW_MASK
        else:
            self._seen |= 1 << -ahead
        return content

    def is_fresh(self, record: bytes) -> bool:
        """Whether a record's number was not seen, and is not too old to know. Per packet."""
        behind = self._highest - int.from_bytes(record[5:11])
        return behind < 0 or (behind < REPLAY_WINDOW and not self._seen >> behind & 1)

    def renew(self, record: bytes) -> bytes:
        """Return a record of ours with the same content under a fresh number."""
        content = self._decrypt(record, self._sealer, self._sealer_salt)
        return record if content is None else self.seal(record[0], content)

    def _decrypt(self, record: bytes, aead: AESGCM | ChaCha20Poly1305, salt: bytes) -> bytes | None:
        content_type, version, number, length = _HEADER.unpack_from(record)
        explicit = self._explicit
        size = length - explicit - _TAG_SIZE
        if size < 0 or version != VERSION_1_2:
            return None
        start = HEADER_SIZE + explicit
        nonce = salt + record[HEADER_SIZE:start] if explicit else _mixed(salt, number)
        additional = _ADDITIONAL.pack(number, content_type, version, size)
        try:
            return aead.decrypt(nonce, record[start:], additional)
        except InvalidTag:
            return None


def _mixed(iv: bytes, number: int) -> bytes:
    return (int.from_bytes(iv) ^ number).to_bytes(_IV_SIZE)
