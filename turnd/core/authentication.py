"""The long-term credential mechanism, server side (RFC 8489 §9.2.4, RFC 7635 §4).

Nothing is kept of a client that has not shown a valid credential: nonces verify by
themselves, and a request whose credential must be loaded first comes back whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from stun import (
    Address,
    ErrorCode,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    StunError,
)
from stun import attributes as a
from stun.constants import HEADER_SIZE
from stun.credentials import nonce_prefix
from stun.credentials import userhash as userhash_of
from stun.opaque_string import opaque_string
from stun.values import MD5, SHA256, PasswordAlgorithm
from turnd.core.challenge import Challenge
from turnd.core.credentials import Credential, CredentialSource, NotYet
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.nonce import NonceMaker
from turnd.core.request import RejectionError, Request, Signature
from turnd.core.settings import Settings

_DUMMY = Credential("", "", key_md5=bytes(16), key_sha256=bytes(32))
"""Checked against where there is no such user, so that it takes as long."""


@attrs.frozen(slots=True)
class Identity:
    """An authenticated client: its realm, its credential, and how to sign answers to it."""

    realm: str
    credential: Credential
    signature: Signature


@attrs.frozen(slots=True)
class Held:
    """The allocation a request is about: its 5-tuple, and what it was granted by."""

    five_tuple: FiveTuple
    realm: str
    credential: Credential


@attrs.frozen(slots=True)
class MustLoad:
    """The credential is in a store that has to be asked; see `LoadCredential`."""

    realm: str
    username: str | None
    userhash: bytes | None


@attrs.frozen(slots=True)
class Authenticator:
    """Checks requests against credentials.

    Attributes:
        settings: realms, algorithms, OAuth server name.
        source: where credentials are.
        nonces: makes and checks nonces.

    """

    settings: Settings
    source: CredentialSource
    nonces: NonceMaker

    def authenticate(
        self,
        message: Message,
        five_tuple: FiveTuple,
        held: Held | None,
        wall_time: float,
    ) -> Identity | MustLoad:
        """Authenticate a request.

        Args:
            message: the request.
            five_tuple: where it came from.
            held: the allocation the request is about, if there is one.
            wall_time: Unix time, seconds.

        Raises:
            RejectionError: 400, 401 or 438, with the attributes that go with it.

        """
        sha256_integrity = message.has(a.MESSAGE_INTEGRITY_SHA256)
        if not sha256_integrity and not message.has(a.MESSAGE_INTEGRITY):
            raise self._challenge(ErrorCode.UNAUTHENTICATED, message, five_tuple, wall_time)
        realm, nonce = message.get(a.REALM), message.get(a.NONCE)
        named = message.has(a.USERNAME) or message.has(a.USERHASH)
        if realm is None or nonce is None or not named:
            raise RejectionError(ErrorCode.BAD_REQUEST, "USERNAME, REALM or NONCE is missing")
        # RFC 8489 §9.2.4 lists the nonce last. It is looked at first because it costs a
        # hash where the others may cost a database, or the preparation of a long name: a flood
        # of made-up requests ends here.
        # Who joins a data connection (RFC 6062 §4.3) or moves (RFC 8016 §3.2) comes from a new
        # 5-tuple with the nonce of the old one.
        if not self.nonces.is_valid(nonce, five_tuple, wall_time) and not (
            held is not None and self.nonces.is_valid(nonce, held.five_tuple, wall_time)
        ):
            raise self._challenge(ErrorCode.STALE_NONCE, message, five_tuple, wall_time)
        username, userhash = self._user(message)
        algorithm_named = self._check_algorithms(message)
        algorithm = IntegrityAlgorithm.SHA256 if sha256_integrity else IntegrityAlgorithm.SHA1
        by_sha256 = algorithm_named == SHA256
        credential, matched, key = None, None, b""
        for credential in self._find(message, realm, username, userhash, held, wall_time):
            if isinstance(credential, NotYet):
                return MustLoad(realm, username, userhash)
            matched, key = _verify(message, algorithm, credential or _DUMMY, by_sha256)
            if matched is not None:
                break
        # RFC 8489 §14.6: 32 bytes unless the usage says that fewer will do; TURN does not.
        digest = message.get(a.MESSAGE_INTEGRITY_SHA256)
        if digest is not None and len(digest) != IntegrityAlgorithm.SHA256.digest_size:
            matched = None
        if credential is None or matched is None or not self._takes(algorithm_named):
            detail = "unknown or expired user" if credential is None else "wrong password"
            raise self._challenge(ErrorCode.UNAUTHENTICATED, message, five_tuple, wall_time, detail)
        # RFC 8489 §9.2.4, last paragraph: which attribute answers carry.
        answer = IntegrityAlgorithm.SHA256 if algorithm_named else IntegrityAlgorithm.SHA1
        return Identity(realm, matched, ((answer, key),))

    def template(self) -> Challenge:
        """Return the challenge to a request over UDP that names neither realm nor origin."""
        nowhere = Address(bytes(4), 0)
        five_tuple = FiveTuple(Transport.UDP, nowhere, nowhere)
        message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12))
        rejection = self._challenge(ErrorCode.UNAUTHENTICATED, message, five_tuple, 0.0)
        response = Request(message, b"", five_tuple, 0.0).error(rejection)
        nonce = self.nonces.make(five_tuple, 0.0)
        cookie = nonce_prefix(self.nonces.features)
        start = response.index(nonce)
        return Challenge(
            response[HEADER_SIZE : start + len(cookie)],
            response[start + len(nonce) :],
            self.nonces.key,
            int(self.nonces.features).to_bytes(3, "big"),
            self.nonces.covers,
        )

    def _user(self, message: Message) -> tuple[str | None, bytes | None]:
        username = message.get(a.USERNAME)
        if username is None:
            return None, message.get(a.USERHASH)
        try:
            return opaque_string(username), None
        except StunError as error:
            raise RejectionError(ErrorCode.BAD_REQUEST, f"USERNAME: {error}") from error

    def _find(
        self,
        message: Message,
        realm: str,
        username: str | None,
        userhash: bytes | None,
        held: Held | None,
        wall_time: float,
    ) -> Iterator[Credential | NotYet | None]:
        """Yield what the request may be signed by: what it was once, then what it is by now."""
        token = message.get(a.ACCESS_TOKEN)
        if token is not None:
            # A token says nothing of realms, and a made-up one has no limits and no place
            # among the labels of metrics.
            offered = self.settings.oauth_server_name and realm in self.settings.realms
            known = offered and username is not None
            yield self.source.open_token(username or "", token, wall_time) if known else None
            return
        if (
            held is not None
            and held.realm == realm
            and _is_user(held.credential, realm, username, userhash)
        ):
            yield _as_of(held.credential, wall_time)
        if realm not in self.settings.realms:
            yield None
        elif username is not None:
            yield self.source.find(realm, username, wall_time)
        else:
            assert userhash is not None  # noqa: S101 - `authenticate` made sure of one of them
            yield self.source.find_by_userhash(realm, userhash, wall_time)

    def _check_algorithms(self, message: Message) -> PasswordAlgorithm | None:
        """Check the bid-down protection; return the algorithm named, or None for MD5 unnamed."""
        if not self.settings.password_algorithms:
            return None  # our nonces then do not say that we know of them
        offered = message.get(a.PASSWORD_ALGORITHMS)
        chosen = message.get(a.PASSWORD_ALGORITHM)
        if offered is None and chosen is None:
            return None
        if offered != self.settings.password_algorithms or chosen not in offered:
            raise RejectionError(ErrorCode.BAD_REQUEST, "PASSWORD-ALGORITHMS differ from ours")
        return chosen

    def _takes(self, algorithm: PasswordAlgorithm | None) -> bool:
        """Whether a key made that way counts: SHA-256 alone may have been configured."""
        return (algorithm or MD5) in (self.settings.password_algorithms or (MD5,))

    def _challenge(
        self,
        code: ErrorCode,
        message: Message,
        five_tuple: FiveTuple,
        wall_time: float,
        detail: str = "",
    ) -> RejectionError:
        return RejectionError(
            code, detail, self._challenge_attributes(message, five_tuple, wall_time)
        )

    def _challenge_attributes(
        self, message: Message, five_tuple: FiveTuple, wall_time: float
    ) -> list[RawAttribute]:
        realm = message.get(a.REALM)
        if realm is None or realm not in self.settings.realms:
            origin = message.get(a.ORIGIN) or ""
            realm = self.settings.origins.get(origin, self.settings.realm)
        attributes = [a.REALM.of(realm), a.NONCE.of(self.nonces.make(five_tuple, wall_time))]
        if self.settings.password_algorithms:
            attributes.append(a.PASSWORD_ALGORITHMS.of(self.settings.password_algorithms))
        if self.settings.oauth_server_name:
            attributes.append(a.THIRD_PARTY_AUTHORIZATION.of(self.settings.oauth_server_name))
        return attributes


def _as_of(credential: Credential, wall_time: float) -> Credential | None:
    """Return what is left of a held credential: of a token, unlike a password, ever less.

    RFC 7635 §4.1.1: an allocation never outlives its token; to refresh it for longer
    takes a newer one.
    """
    if credential.maximum_lifetime is None or credential.expires_at is None:
        return credential
    left = int(credential.expires_at - wall_time)
    if left <= 0:
        return None
    alternatives = (attrs.evolve(each, maximum_lifetime=left) for each in credential.alternatives)
    return attrs.evolve(credential, maximum_lifetime=left, alternatives=tuple(alternatives))


def _is_user(
    credential: Credential, realm: str, username: str | None, userhash: bytes | None
) -> bool:
    if username is not None:
        return credential.username == username
    return userhash_of(credential.username, realm) == userhash


def _verify(
    message: Message, algorithm: IntegrityAlgorithm, credential: Credential, by_sha256: bool
) -> tuple[Credential | None, bytes]:
    for candidate in (credential, *credential.alternatives):
        key = candidate.key_sha256 if by_sha256 else candidate.key_md5
        if key is not None and message.verify(algorithm, key):
            return candidate, key
    return None, b""
