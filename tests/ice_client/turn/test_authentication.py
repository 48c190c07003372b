"""The long-term credential mechanism, client side: RFC 8489 §9.2.3 and §9.2.5."""

from __future__ import annotations

import pytest

from ice_client.turn import (
    AuthenticationError,
    BidDownError,
    Credentials,
    CredentialsError,
    IntegrityViolationError,
    LongTermCredentials,
    MalformedResponseError,
    OAuthCredentials,
    StaleNonceError,
    TransactionTimeoutError,
    TurnClientError,
)
from ice_client.turn.exchanges import MOST_CHALLENGES
from ice_client.turn.outputs import Done, Failed
from stun import IntegrityAlgorithm, Message, Method
from stun import attributes as a
from stun.credentials import (
    SecurityFeature,
    long_term_key_md5,
    long_term_key_sha256,
    nonce_prefix,
    userhash,
)
from stun.values import MD5, SHA256, PasswordAlgorithm
from tests.ice_client.turn.wire import (
    KEY,
    NONCE,
    PASSWORD,
    REALM,
    USER,
    Signing,
    Wire,
    granted,
    make_wire,
)

OFFERING_NONCE = nonce_prefix(SecurityFeature.PASSWORD_ALGORITHMS) + b"rest"
ANONYMOUS_NONCE = (
    nonce_prefix(SecurityFeature.PASSWORD_ALGORITHMS | SecurityFeature.USERNAME_ANONYMITY) + b"rest"
)


def failure(wire: Wire) -> TurnClientError:
    (event,) = wire.take_events()
    assert isinstance(event, Failed)
    return event.error


def challenged(wire: Wire, nonce: bytes = NONCE, *algorithms: PasswordAlgorithm) -> Message:
    """Send Allocate, challenge it, and return what is sent then."""
    wire.client.allocate(wire.now)
    attributes = [a.PASSWORD_ALGORITHMS.of(algorithms)] if algorithms else []
    wire.challenge(wire.request(), nonce=nonce, attributes=attributes)
    return wire.request()


def test_the_first_request_is_sent_as_if_there_were_no_authentication() -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    request = wire.request()
    assert request.method == Method.ALLOCATE
    for attribute in (
        a.USERNAME,
        a.USERHASH,
        a.REALM,
        a.NONCE,
        a.PASSWORD_ALGORITHM,
        a.PASSWORD_ALGORITHMS,
        a.MESSAGE_INTEGRITY,
        a.MESSAGE_INTEGRITY_SHA256,
    ):
        assert not request.has(attribute)


def test_a_401_is_answered_with_a_new_transaction_that_is_signed() -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    first = wire.request()
    wire.challenge(first)
    second = wire.request()
    assert second.transaction_id != first.transaction_id
    assert second.get(a.REQUESTED_TRANSPORT) == first.get(a.REQUESTED_TRANSPORT) == 17
    assert (second.get(a.USERNAME), second.get(a.REALM)) == (USER, REALM)
    assert second.get(a.NONCE) == NONCE
    assert second.verify(IntegrityAlgorithm.SHA1, long_term_key_md5(USER, REALM, PASSWORD))
    assert not second.has(a.PASSWORD_ALGORITHM)
    assert not second.has(a.MESSAGE_INTEGRITY_SHA256)


@pytest.mark.parametrize(
    ("offered", "chosen", "make_key"),
    [
        ((SHA256, MD5), SHA256, long_term_key_sha256),
        ((MD5, SHA256), MD5, long_term_key_md5),
        ((PasswordAlgorithm(0x77), SHA256), SHA256, long_term_key_sha256),
    ],
)
def test_the_first_supported_algorithm_is_taken_and_the_offer_sent_back(
    offered: tuple[PasswordAlgorithm, ...], chosen: PasswordAlgorithm, make_key: object
) -> None:
    request = challenged(make_wire(), OFFERING_NONCE, *offered)
    assert request.get(a.PASSWORD_ALGORITHMS) == offered
    assert request.get(a.PASSWORD_ALGORITHM) == chosen
    assert callable(make_key)
    key = make_key(USER, REALM, PASSWORD)
    assert request.verify(IntegrityAlgorithm.SHA256, key)
    assert not request.has(a.MESSAGE_INTEGRITY)


def test_a_server_without_an_algorithm_in_common_is_not_asked_again() -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    offer = a.PASSWORD_ALGORITHMS.of((PasswordAlgorithm(0x77),))
    wire.challenge(wire.request(), nonce=OFFERING_NONCE, attributes=[offer])
    assert isinstance(failure(wire), AuthenticationError)
    assert wire.requests() == []


def test_the_username_anonymity_bit_makes_userhash_take_the_place_of_username() -> None:
    request = challenged(make_wire(), ANONYMOUS_NONCE, SHA256)
    assert request.get(a.USERHASH) == userhash(USER, REALM)
    assert not request.has(a.USERNAME)


def test_a_challenge_that_lost_its_password_algorithms_is_a_bid_down() -> None:
    for code in (401, 438):
        wire = make_wire()
        wire.client.allocate(wire.now)
        wire.challenge(wire.request(), code, nonce=OFFERING_NONCE)
        assert isinstance(failure(wire), BidDownError)
        assert wire.requests() == []


def test_an_answer_whose_nonce_tells_of_missing_algorithms_is_ignored() -> None:
    wire = make_wire(None)
    wire.client.allocate(wire.now)
    request = wire.request()
    wire.succeed(request, granted(request, a.NONCE.of(OFFERING_NONCE)), None)
    assert wire.take_events() == []
    wire.succeed(request, granted(request), None)
    assert isinstance(wire.take_events()[0], Done)


def test_the_same_credentials_are_not_tried_twice() -> None:
    wire = make_wire()
    wire.challenge(challenged(wire), nonce=b"another nonce")
    error = failure(wire)
    assert isinstance(error, AuthenticationError)
    assert error.code == 401
    assert wire.requests() == []


def test_another_realm_is_worth_another_try() -> None:
    wire = make_wire()
    wire.challenge(challenged(wire), realm="example.net")
    request = wire.request()
    assert request.verify(IntegrityAlgorithm.SHA1, long_term_key_md5(USER, "example.net", PASSWORD))


def test_without_credentials_a_401_is_the_end() -> None:
    wire = make_wire(None)
    wire.client.allocate(wire.now)
    wire.challenge(wire.request())
    assert isinstance(failure(wire), AuthenticationError)


def test_a_stale_nonce_is_replaced_at_once() -> None:
    wire = make_wire()
    request = challenged(wire)
    wire.challenge(request, 438, nonce=b"fresh")
    again = wire.request()
    assert again.get(a.NONCE) == b"fresh"
    assert again.verify(IntegrityAlgorithm.SHA1, KEY)
    wire.succeed(again, granted(again))
    assert isinstance(wire.take_events()[0], Done)


def test_nonces_that_are_always_stale_end_in_an_error() -> None:
    wire = make_wire()
    request = challenged(wire)
    for count in range(MOST_CHALLENGES - 1):
        wire.challenge(request, 438, nonce=b"nonce %d" % count)
        request = wire.request()
    wire.challenge(request, 438, nonce=b"one more")
    assert isinstance(failure(wire), StaleNonceError)
    assert wire.requests() == []


@pytest.mark.parametrize("missing", ["realm", "nonce"])
def test_a_401_without_realm_or_nonce_is_malformed(missing: str) -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    attributes = [a.REALM.of(REALM)] if missing == "nonce" else [a.NONCE.of(NONCE)]
    wire.refuse(wire.request(), 401, attributes, None)
    assert isinstance(failure(wire), MalformedResponseError)


WRONG_KEY: Signing = (IntegrityAlgorithm.SHA1, b"wrong")


@pytest.mark.parametrize("signing", [None, WRONG_KEY], ids=["unsigned", "wrong-key"])
def test_over_udp_an_answer_that_is_not_authentic_never_came(signing: Signing | None) -> None:
    wire = make_wire()
    request = challenged(wire)
    wire.succeed(request, granted(request), signing)
    wire.refuse(request, 403, (), signing)
    assert wire.take_events() == []
    wire.advance(0.5)
    assert wire.request() == request  # retransmissions go on
    wire.succeed(request, granted(request))
    assert isinstance(wire.take_events()[0], Done)


def test_if_all_answers_were_discarded_it_is_no_timeout_but_a_violation() -> None:
    wire = make_wire()
    request = challenged(wire)
    wire.refuse(request, 400, (), None)
    wire.advance(60)
    error = failure(wire)
    assert isinstance(error, IntegrityViolationError)
    assert error.discarded is not None
    assert error.discarded.code == 400


def test_over_a_stream_an_answer_that_is_not_authentic_ends_the_transaction() -> None:
    wire = make_wire(reliable=True)
    request = challenged(wire)
    wire.succeed(request, granted(request), WRONG_KEY)
    assert isinstance(failure(wire), IntegrityViolationError)


def test_silence_is_a_timeout() -> None:
    wire = make_wire()
    wire.client.allocate(wire.now)
    wire.advance(60)
    error = failure(wire)
    assert isinstance(error, TransactionTimeoutError)
    assert error.method == Method.ALLOCATE


def test_requests_after_the_first_use_the_challenge_again() -> None:
    wire = make_wire()
    request = challenged(wire)
    wire.succeed(request, granted(request))
    wire.client.refresh(wire.now)
    refresh = wire.request()
    assert (refresh.get(a.NONCE), refresh.get(a.USERNAME)) == (NONCE, USER)
    assert refresh.verify(IntegrityAlgorithm.SHA1, KEY)


def test_an_oauth_token_goes_with_its_key_id_and_signs_with_its_mac_key() -> None:
    mac_key = bytes(range(20))
    request = challenged(make_wire(OAuthCredentials("kid-1", b"sealed", mac_key)))
    assert request.get(a.USERNAME) == "kid-1"
    assert request.get(a.ACCESS_TOKEN) == b"sealed"
    assert request.verify(IntegrityAlgorithm.SHA1, mac_key)


def test_names_and_passwords_are_prepared_as_opaque_strings() -> None:
    # RFC 8265 §4.2.2: non-ASCII spaces become ASCII ones, and NFC is applied.
    request = challenged(make_wire(LongTermCredentials("u\u0308", "pass\u00a0word")))
    assert request.get(a.USERNAME) == "ü"
    assert request.verify(IntegrityAlgorithm.SHA1, long_term_key_md5("ü", REALM, "pass word"))


@pytest.mark.parametrize(
    "credentials",
    [
        LongTermCredentials("", PASSWORD),
        LongTermCredentials("x" * 509, PASSWORD),
        LongTermCredentials(USER, "bell\a"),
        OAuthCredentials("x" * 509, b"token", b"key"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_at_once(credentials: Credentials) -> None:
    with pytest.raises(CredentialsError):
        make_wire(credentials)


def test_secrets_do_not_show() -> None:
    shown = repr([LongTermCredentials(USER, PASSWORD), OAuthCredentials("k", b"token", b"key")])
    assert PASSWORD not in shown
    assert "token=" not in shown
    assert "mac_key" not in shown
