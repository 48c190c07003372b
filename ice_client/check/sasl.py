"""SASL as a client: PLAIN (RFC 4616) and SCRAM with SHA-1 and SHA-256 (RFC 5802, RFC 7677).

Sans-IO: challenges in, responses out. Channel binding (`-PLUS`) is not offered; the session is
over TLS with a verified certificate anyway, which is what PLAIN rests on as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Protocol

from ice_client.errors import IceError
from stun.opaque_string import PreparationError, saslprep

MOST_ITERATIONS = 1_000_000
"""Of PBKDF2: about a second of work. Servers ask for 4,096 to 600,000; one that asks for more
wants this machine's time."""
_NONCE_BYTES = 18


class SaslError(IceError):
    """The server breaks the rules of the mechanism, or does not know the password itself."""


class Mechanism(Protocol):
    """One login."""

    name: str

    def initial(self) -> bytes:
        """Return the initial response."""

    def respond(self, challenge: bytes) -> bytes:
        """Return the response to a challenge; SCRAM's first one takes up to a second of CPU.

        Raises:
            SaslError: it is not one.

        """

    @property
    def satisfied(self) -> bool:
        """Whether success may be believed: the server has proved what it has to."""


class Plain:
    """The password itself (RFC 4616): for TLS only."""

    name = "PLAIN"

    def __init__(self, username: str, password: str) -> None:
        self._message = b"\0" + username.encode() + b"\0" + password.encode()

    def initial(self) -> bytes:
        """See `Mechanism`."""
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        """See `Mechanism`: PLAIN has no challenges."""
        del challenge
        raise SaslError("the server answers PLAIN with a challenge")

    satisfied = True
    """The server has nothing to prove."""


class Scram:
    """A proof of knowing the password, of both sides (RFC 5802 §3).

    Args:
        hash_name: `sha1` or `sha256`.
        username: who.
        password: theirs.
        nonce: printable ASCII without a comma; None for a random one.

    Raises:
        SaslError: SASLprep forbids the name or the password.

    """

    def __init__(
        self, hash_name: str, username: str, password: str, nonce: str | None = None
    ) -> None:
        self.name = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256"}[hash_name]
        self._hash = hash_name
        try:
            name, self._password = saslprep(username), saslprep(password).encode()
        except PreparationError as error:
            raise SaslError(str(error)) from error
        # RFC 5802 §5.1: the two characters with a meaning of their own are escaped.
        name = name.replace("=", "=3D").replace(",", "=2C")
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(_NONCE_BYTES)).decode()
        self._first_bare = f"n={name},r={self._nonce}"
        self._server_signature: bytes | None = None
        self.satisfied = False

    def initial(self) -> bytes:
        """See `Mechanism`: client-first-message, without channel binding."""
        return f"n,,{self._first_bare}".encode()

    def respond(self, challenge: bytes) -> bytes:
        """See `Mechanism`: client-final-message to the first, nothing to the server's proof."""
        try:
            text = challenge.decode()
        except UnicodeDecodeError as error:
            raise SaslError("a challenge that is not UTF-8") from error
        fields = {part[:1]: part[2:] for part in text.split(",") if part[1:2] == "="}
        if self._server_signature is None:
            return self._final(text, fields)
        if "e" in fields:
            raise SaslError("the server reports an error of SCRAM")
        if not hmac.compare_digest(_decoded(fields.get("v", "")), self._server_signature):
            raise SaslError("the server does not know the password: it may be an impostor")
        self.satisfied = True
        return b""

    def _final(self, first: str, fields: dict[str, str]) -> bytes:
        nonce, salt, count = (fields.get(key, "") for key in "rsi")
        # RFC 5802 §5.1: m is for extensions that must be understood.
        if "m" in fields or not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslError("the server's SCRAM challenge has another nonce, or an extension")
        if not (count.isascii() and count.isdigit() and 0 < len(count) <= 7 and salt):
            raise SaslError("the server's SCRAM challenge has no salt or count")
        if not 0 < int(count) <= MOST_ITERATIONS:
            raise SaslError(f"the server asks for {count} iterations of SCRAM")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, _decoded(salt), int(count))
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        without_proof = f"c=biws,r={nonce}"
        signed = f"{self._first_bare},{first},{without_proof}".encode()
        signature = hmac.digest(stored_key, signed, self._hash)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", self._hash)
        self._server_signature = hmac.digest(server_key, signed, self._hash)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def choose(offered: set[str], username: str, password: str) -> Mechanism | None:
    """Return the strongest mechanism of those offered; None if none is known here."""
    if "SCRAM-SHA-256" in offered:
        return Scram("sha256", username, password)
    if "SCRAM-SHA-1" in offered:
        return Scram("sha1", username, password)
    return Plain(username, password) if "PLAIN" in offered else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SaslError("the server's SCRAM message is not base64") from error
