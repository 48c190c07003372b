"""The long-term credential mechanism, client side (RFC 8489 §9.2.3, §9.2.5; RFC 7635 §4).

An `Authenticator` remembers one server's last challenge and signs requests by it; the control
connection and the data connections of RFC 6062 share one.
"""

from __future__ import annotations

import attrs

from ice_client.turn.credentials import Credentials, LongTermCredentials, OAuthCredentials
from ice_client.turn.errors import (
    BidDownError,
    CredentialsError,
    MalformedResponseError,
    response_error,
)
from stun import ErrorCode, IntegrityAlgorithm, Message, RawAttribute, StunError
from stun import attributes as a
from stun.credentials import (
    SecurityFeature,
    long_term_key_md5,
    long_term_key_sha256,
    nonce_features,
    userhash,
)
from stun.opaque_string import opaque_string
from stun.values import MD5, SHA256, Error, PasswordAlgorithm

_SUPPORTED = (MD5, SHA256)


@attrs.frozen(slots=True)
class Signature:
    """How a request is signed, and so how its answer must be.

    Attributes:
        realm: the challenge's.
        nonce: the challenge's.
        algorithm: which integrity attribute.
        key: its key.
        attributes: what goes before the integrity attribute.

    """

    realm: str
    nonce: bytes
    algorithm: IntegrityAlgorithm
    key: bytes = attrs.field(repr=False)
    attributes: tuple[RawAttribute, ...] = attrs.field(repr=False)

    def verifies(self, response: Message) -> bool:
        """Whether an integrity attribute of the answer is by the same key (RFC 8489 §9.2.5)."""
        return any(response.verify(algorithm, self.key) for algorithm in IntegrityAlgorithm)


def claims_integrity(response: Message) -> bool:
    """Whether an answer has an integrity attribute, right or wrong."""
    return response.has(a.MESSAGE_INTEGRITY) or response.has(a.MESSAGE_INTEGRITY_SHA256)


def is_bid_down(response: Message) -> bool:
    """Whether the nonce tells of password algorithms that are not there (RFC 8489 §9.2.5)."""
    nonce = response.get(a.NONCE)
    features = nonce_features(nonce) if nonce is not None else None
    wanted = features is not None and SecurityFeature.PASSWORD_ALGORITHMS in features
    return wanted and not response.has(a.PASSWORD_ALGORITHMS)


class Authenticator:
    """Signs requests to one server.

    Args:
        credentials: None for servers that ask for none.

    Attributes:
        signature: of the next request; None before the first challenge.

    Raises:
        CredentialsError: they cannot be sent.

    """

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = _prepared(credentials)
        self.signature: Signature | None = None

    def accept_challenge(self, response: Message, error: Error, previous: Signature | None) -> None:
        """Take a 401 or 438 in, so that the request can be sent again.

        Args:
            response: the answer.
            error: its ERROR-CODE.
            previous: how the request was signed.

        Raises:
            AuthenticationError: the same credentials were refused, or there are none, or the
                server wants password algorithms that are not supported.
            BidDownError: somebody took PASSWORD-ALGORITHMS away.
            MalformedResponseError: REALM or NONCE is missing, or malformed.

        """
        try:
            signature = self._sign_for(response, error, previous)
        except StunError as problem:
            raise MalformedResponseError(f"the server's challenge: {problem}") from problem
        # RFC 8489 §9.2.5: not again with what was refused.
        if (
            error.code == ErrorCode.UNAUTHENTICATED
            and previous is not None
            and (previous.realm, previous.key) == (signature.realm, signature.key)
        ):
            raise response_error(error, response)
        self.signature = signature

    def _sign_for(self, response: Message, error: Error, previous: Signature | None) -> Signature:
        credentials = self._credentials
        if credentials is None:
            raise response_error(error, response)
        nonce = response.get(a.NONCE)
        realm = response.get(a.REALM)
        if realm is None and previous is not None:
            realm = previous.realm
        if nonce is None or realm is None:
            raise MalformedResponseError(f"{error.code} without REALM or NONCE")
        if is_bid_down(response):
            raise BidDownError("the nonce tells of PASSWORD-ALGORITHMS that are not there")
        offered = response.get(a.PASSWORD_ALGORITHMS)
        chosen = _choose(offered, error, response)
        features = nonce_features(nonce) or SecurityFeature.NONE
        anonymous = SecurityFeature.USERNAME_ANONYMITY in features
        attributes: list[RawAttribute] = []
        if isinstance(credentials, OAuthCredentials):
            attributes += [
                a.USERNAME.of(credentials.kid),
                a.ACCESS_TOKEN.of(credentials.access_token),
            ]
            key = credentials.mac_key
        else:
            user = credentials.username
            user_attribute = (
                a.USERHASH.of(userhash(user, opaque_string(realm)))
                if anonymous
                else a.USERNAME.of(user)
            )
            attributes.append(user_attribute)
            make_key = long_term_key_sha256 if chosen == SHA256 else long_term_key_md5
            key = make_key(user, opaque_string(realm), credentials.password)
        attributes += [a.REALM.of(realm), a.NONCE.of(nonce)]
        if offered is not None:
            attributes += [a.PASSWORD_ALGORITHMS.of(offered), a.PASSWORD_ALGORITHM.of(chosen)]
        # RFC 8489 §9.2.5, last paragraph: after PASSWORD-ALGORITHMS SHA-256 only.
        algorithm = IntegrityAlgorithm.SHA1 if offered is None else IntegrityAlgorithm.SHA256
        return Signature(realm, nonce, algorithm, key, tuple(attributes))


def _prepared(credentials: Credentials | None) -> Credentials | None:
    """Return credentials as they are sent and hashed (RFC 8489 §9.2.2: OpaqueString)."""
    try:
        if isinstance(credentials, OAuthCredentials):
            a.USERNAME.of(credentials.kid)
        elif credentials is not None:
            username = opaque_string(credentials.username)
            a.USERNAME.of(username)
            return LongTermCredentials(username, opaque_string(credentials.password))
    except StunError as error:
        raise CredentialsError(f"the user name or password cannot be used: {error}") from error
    return credentials


def _choose(
    offered: tuple[PasswordAlgorithm, ...] | None, error: Error, response: Message
) -> PasswordAlgorithm:
    """Return the first algorithm offered that is supported; MD5 where there is no offer."""
    if offered is None:
        return MD5
    for algorithm in offered:
        if algorithm in _SUPPORTED:
            return algorithm
    raise response_error(Error(error.code, "no password algorithm in common"), response)
