"""RFC 8489 §9.2.1 and §9.2.4: algorithms, and which integrity goes with them."""

import hmac

import attrs
import pytest

from stun import IntegrityAlgorithm, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.credentials import SecurityFeature, nonce_features
from stun.values import MD5, SHA256
from tests.turnd.core.kit import (
    REALM,
    UDP,
    Reply,
    World,
    credential,
)

SHA1_INTEGRITY, SHA256_INTEGRITY = a.MESSAGE_INTEGRITY, a.MESSAGE_INTEGRITY_SHA256


@pytest.mark.parametrize(
    ("sha256", "answered_with", "not_with"),
    [(False, SHA1_INTEGRITY, SHA256_INTEGRITY), (True, SHA256_INTEGRITY, SHA1_INTEGRITY)],
)
def test_answers_carry_the_integrity_the_request_calls_for(
    sha256: bool, answered_with: object, not_with: object
) -> None:
    client = World().client()
    client.sha256 = sha256
    reply = client.allocated()
    codes = {code for code, _ in reply.message.attributes}
    assert answered_with.code in codes  # type: ignore[attr-defined]
    assert not_with.code not in codes  # type: ignore[attr-defined]
    algorithm = IntegrityAlgorithm.SHA256 if sha256 else IntegrityAlgorithm.SHA1
    assert reply.message.verify(algorithm, client.key())
    for kind in (a.REALM, a.NONCE, a.USERNAME):
        assert not reply.message.has(kind)


def _with_algorithms(world: World, *attributes: RawAttribute) -> Reply:
    client = world.client()
    client.learn_nonce()
    return client.request(Method.ALLOCATE, a.REQUESTED_TRANSPORT.of(UDP), *attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        (a.PASSWORD_ALGORITHM.of(MD5),),
        (a.PASSWORD_ALGORITHMS.of((SHA256, MD5)),),
        (a.PASSWORD_ALGORITHMS.of((MD5,)), a.PASSWORD_ALGORITHM.of(MD5)),
        (a.PASSWORD_ALGORITHMS.of((MD5, SHA256)), a.PASSWORD_ALGORITHM.of(MD5)),
        (
            a.PASSWORD_ALGORITHMS.of((SHA256, MD5)),
            a.PASSWORD_ALGORITHM.of(attrs.evolve(MD5, number=9)),
        ),
    ],
    ids=["algorithm alone", "list alone", "shortened", "reordered", "not of the list"],
)
def test_tampering_with_password_algorithms_is_a_bad_request(
    attributes: tuple[RawAttribute, ...],
) -> None:
    assert _with_algorithms(World(), *attributes).code == 400


def test_md5_chosen_from_the_list_is_answered_with_sha256_integrity() -> None:
    attributes = (a.PASSWORD_ALGORITHMS.of((SHA256, MD5)), a.PASSWORD_ALGORITHM.of(MD5))
    reply = _with_algorithms(World(), *attributes)
    assert reply.code == 0
    assert reply.message.has(SHA256_INTEGRITY)


def test_md5_is_refused_where_sha256_alone_is_configured() -> None:
    world = World(password_algorithms=(SHA256,))
    assert world.client().allocate().code == 401
    client = world.client()
    client.sha256 = True
    assert client.allocate().code == 0


def test_nonce_of_another_list_of_algorithms_is_stale() -> None:
    # Else the client of a call that goes on would get a 400, and end it, after a reload.
    world = World()
    client = world.client()
    client.sha256 = True
    client.allocated()
    world.reconfigure(password_algorithms=(SHA256,))
    assert client.refresh().code == 438


@pytest.mark.parametrize(
    ("length", "code"),
    [(32, 0), (28, 401), (20, 401), (16, 401), (12, 400), (18, 401), (36, 400)],
)
def test_sha256_integrity_counts_at_its_full_length_alone(length: int, code: int) -> None:
    # RFC 8489 §14.6: truncation is for usages that allow it. Computed here by hand.
    client = World().client()
    client.learn_nonce()
    client.sha256 = True
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERNAME.of("alice"),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
        a.PASSWORD_ALGORITHMS.of((SHA256, MD5)),
        a.PASSWORD_ALGORITHM.of(SHA256),
    ]
    body = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes).encode()
    padded = length + -length % 4
    head = body[:2] + (len(body) - 20 + 4 + padded).to_bytes(2, "big")
    covered = body[:2] + (len(body) - 20 + 4 + length).to_bytes(2, "big") + body[4:]
    digest = hmac.digest(client.key(), covered, "sha256") + b"more"
    value = digest[:length] + bytes(padded - length)
    data = head + body[4:] + b"\x00\x1c" + length.to_bytes(2, "big") + value
    assert client.send(data).code == code


def test_sha256_integrity_is_the_one_that_counts_of_two() -> None:
    # RFC 8489 §9.2.4: "If the MESSAGE-INTEGRITY-SHA256 attribute is present", that.
    client = World().client()
    client.learn_nonce()
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERNAME.of("alice"),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    good, bad = client.key(), b"another key"
    sha1, sha256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256
    assert client.send(message.encode(sign=[(sha1, good), (sha256, bad)])).code == 401
    reply = client.send(message.encode(sign=[(sha1, bad), (sha256, good)]))
    assert reply.code == 0
    # Neither PASSWORD-ALGORITHM nor -ALGORITHMS: as though MD5, and so answered (same section).
    assert reply.message.has(SHA1_INTEGRITY)
    assert not reply.message.has(SHA256_INTEGRITY)


def test_sha1_integrity_may_go_with_a_sha256_key() -> None:
    client = World().client()
    client.learn_nonce()
    client.sha256 = True
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERNAME.of("alice"),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
        a.PASSWORD_ALGORITHMS.of((SHA256, MD5)),
        a.PASSWORD_ALGORITHM.of(SHA256),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())]))
    assert reply.code == 0
    assert reply.message.has(SHA256_INTEGRITY)


@pytest.mark.parametrize("sha256", [False, True])
def test_user_known_by_one_key_alone_uses_that_one(sha256: bool) -> None:
    world = World()
    keys = {"key_md5": None} if sha256 else {"key_sha256": None}
    world.source.users[REALM, "alice"] = credential(REALM, "alice", "alice's password", **keys)
    for port, way in ((1, sha256), (2, not sha256)):
        client = world.client(port)
        client.sha256 = way
        assert client.allocate().code == (0 if way == sha256 else 401)


def test_server_without_password_algorithms_is_one_of_rfc_5389() -> None:
    world = World(password_algorithms=())
    client = world.client()
    challenge = client.learn_nonce().message
    assert not challenge.has(a.PASSWORD_ALGORITHMS)
    assert nonce_features(client.nonce) in {None, SecurityFeature.NONE}
    assert client.allocate().code == 0
