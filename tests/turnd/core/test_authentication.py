"""RFC 8489 §9.2.4, RFC 7635 §4."""

import pytest

from stun import IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from stun.credentials import SecurityFeature, long_term_key_md5, nonce_features, userhash
from stun.values import MD5, SHA256
from tests.turnd.core.kit import (
    OTHER_REALM,
    PEER,
    REALM,
    UDP,
    World,
    credential,
)
from turnd.core.outputs import LoadCredential, RequestAnswered, Transmit

SHA1_INTEGRITY, SHA256_INTEGRITY = a.MESSAGE_INTEGRITY, a.MESSAGE_INTEGRITY_SHA256


def test_request_without_integrity_is_challenged() -> None:
    reply = World().client().learn_nonce()
    message = reply.message
    assert message.get(a.REALM) == REALM
    assert message.get(a.PASSWORD_ALGORITHMS) == (SHA256, MD5)
    nonce = message.get(a.NONCE)
    assert nonce is not None
    features = SecurityFeature.PASSWORD_ALGORITHMS | SecurityFeature.USERNAME_ANONYMITY
    assert nonce_features(nonce) == features
    assert not message.has(SHA1_INTEGRITY)
    assert not message.has(a.SOFTWARE)


def test_challenge_asks_for_no_userhash_where_none_could_be_looked_up() -> None:
    nonce = World(username_anonymity=False).client().learn_nonce().message.get(a.NONCE)
    assert nonce is not None
    assert nonce_features(nonce) == SecurityFeature.PASSWORD_ALGORITHMS


def test_challenge_is_small() -> None:
    world = World(software="turnd with a long name" * 4)
    client = world.client()
    request = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)], signed=False)
    (answer,) = [
        o for o in world.server.receive(request, client.five_tuple, 0) if isinstance(o, Transmit)
    ]
    assert len(answer.data) < 5 * len(request)


def test_nonces_of_two_addresses_differ() -> None:
    world = World()
    one, two = world.client(1000), world.client(1001)
    assert one.learn_nonce().message.get(a.NONCE) != two.learn_nonce().message.get(a.NONCE)


@pytest.mark.parametrize("missing", [a.USERNAME, a.REALM, a.NONCE])
def test_integrity_without_its_companions_is_a_bad_request(missing: object) -> None:
    client = World().client()
    client.learn_nonce()
    listed = {
        a.USERNAME: a.USERNAME.of("alice"),
        a.REALM: a.REALM.of(REALM),
        a.NONCE: a.NONCE.of(client.nonce),
    }
    attributes = [value for kind, value in listed.items() if kind is not missing]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())]))
    assert reply.code == 400
    # RFC 8489 §9.2.4: none of these in that answer.
    for kind in (a.USERNAME, a.NONCE, a.REALM, SHA1_INTEGRITY):
        assert not reply.message.has(kind)


@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_password_is_unauthenticated(password: str) -> None:
    client = World().client()
    client.password = password
    reply = client.allocate()
    assert reply.code == 401
    assert reply.message.has(a.NONCE)
    assert not reply.message.has(SHA1_INTEGRITY)
    (event,) = reply.events(RequestAnswered)
    assert event.reason == "wrong password"
    assert event.username == "alice"  # who it says that it is


def test_unknown_user_is_unauthenticated() -> None:
    assert World().client(user="mallory").allocate().code == 401


def test_user_of_another_realm_is_unauthenticated() -> None:
    world = World()
    del world.source.users[OTHER_REALM, "alice"]
    assert world.client(realm=OTHER_REALM).allocate().code == 401


def test_realm_that_is_not_ours_is_unauthenticated_and_ours_is_named() -> None:
    reply = World().client(realm="nowhere.example").allocate()
    assert reply.code == 401
    assert reply.message.get(a.REALM) == REALM


def test_nonce_ends_with_its_lifetime_and_the_answer_brings_another() -> None:
    world = World()
    client = world.client()
    client.allocated()
    world.now += 601
    world.wall += 601
    reply = client.refresh()
    assert reply.code == 438
    fresh = reply.message.get(a.NONCE)
    assert fresh not in {None, client.nonce}
    assert reply.message.has(a.REALM)
    assert reply.message.has(a.PASSWORD_ALGORITHMS)
    assert fresh is not None
    client.nonce = fresh
    assert client.refresh().code == 0


@pytest.mark.parametrize(
    "nonce", [b"", b"made up", b"obMatJos2wAAA", b"obMatJos2wAAA!!!", b"obMatJos2AAAAAAAA"]
)
def test_made_up_nonce_is_stale_and_looks_nobody_up(nonce: bytes) -> None:
    world = World()
    client = world.client()
    client.nonce = nonce or b"x"
    assert client.allocate().code == 438
    assert world.source.looked_up == 0


def test_nonce_of_another_client_is_stale() -> None:
    world = World()
    one, two = world.client(1000), world.client(1001)
    one.learn_nonce()
    two.nonce = one.nonce
    assert two.allocate().code == 438


def test_features_of_a_nonce_cannot_be_taken_away() -> None:
    client = World().client()
    client.learn_nonce()
    client.nonce = client.nonce.replace(b"obMatJos2wAAA", b"obMatJos2AAAA")
    assert client.allocate().code == 438


def test_userhash_stands_for_the_user_name() -> None:
    world = World()
    client = world.client()
    client.learn_nonce()
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERHASH.of(userhash("alice", REALM)),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())]))
    assert reply.code == 0


def test_origin_chooses_the_realm() -> None:
    client = World().client()
    data = client.encode(Method.ALLOCATE, [a.ORIGIN.of("https://other.example")], signed=False)
    assert client.send(data).message.get(a.REALM) == OTHER_REALM


def test_every_alternative_of_a_credential_is_tried() -> None:
    world = World()
    old = credential(REALM, "alice", "old secret")
    world.source.users[REALM, "alice"] = credential(
        REALM, "alice", "new secret", alternatives=(old,)
    )
    for port, password in ((1, "new secret"), (2, "old secret")):
        client = world.client(port)
        client.password = password
        assert client.allocate().code == 0
    client = world.client(3)
    client.password = "older secret"
    assert client.allocate().code == 401


def test_call_is_not_cut_when_its_credential_runs_out() -> None:
    world = World()
    world.source.users[REALM, "alice"] = credential(
        REALM, "alice", "alice's password", expires_at=world.wall + 60
    )
    client = world.client()
    client.allocated()
    world.advance(120)
    assert client.refresh().code == 0
    assert client.permit(PEER).code == 0
    # But nothing new is to be had by it.
    assert world.client(41000).allocate().code == 401


def test_changed_password_is_good_beside_the_one_an_allocation_was_granted_by() -> None:
    # RFC 8489 §9.2.4: the password associated with the username. A client that starts again from
    # the same port, its password changed meanwhile, is told 437 and not that it is nobody.
    world = World()
    world.client().allocated()
    world.source.add(REALM, "alice", "changed")
    again = world.client(password="changed")
    assert again.allocate().code == 437
    assert again.refresh().code == 0
    assert world.client().refresh().code == 0
    assert world.client(password="guessed").refresh().code == 401


def test_another_user_has_no_say_over_an_allocation() -> None:
    world = World()
    world.client().allocated()
    intruder = world.client(user="bob")
    assert intruder.refresh(0).code == 441
    assert intruder.permit(PEER).code == 441
    assert world.server.allocation_count == 1


@pytest.mark.parametrize("sha256", [False, True])
def test_wrong_credentials_are_told_signed_as_a_client_would_not_hear_it_otherwise(
    sha256: bool,
) -> None:
    # RFC 8489 §9.2.4: once the checks have passed, any response has its integrity; §9.2.5: over
    # UDP a response without is discarded, all but 401 and 438.
    world = World()
    world.client().allocated()
    intruder = world.client(user="bob")
    intruder.sha256 = sha256
    reply = intruder.refresh(0)
    assert reply.code == 441
    algorithm = IntegrityAlgorithm.SHA256 if sha256 else IntegrityAlgorithm.SHA1
    assert reply.message.verify(algorithm, intruder.key())


def test_stale_nonce_is_told_before_a_made_up_name_is_looked_at() -> None:
    # Preparing a name that is not ASCII costs a thousand hashes: for those with a nonce of ours.
    client = World().client()
    client.user, client.nonce = "\u202e", b"made up"
    assert client.allocate().code == 438
    client.nonce = b""
    assert client.allocate().code == 400


def test_request_waits_for_a_credential_and_goes_around_whole() -> None:
    world = World()
    world.source.pending.add("alice")
    client = world.client()
    client.learn_nonce()
    data = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)])
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert outputs == [LoadCredential(data, client.five_tuple, REALM, "alice", None)]
    world.source.pending.clear()
    assert client.send(data).code == 0


def test_nobody_is_asked_for_anything_where_authentication_is_off() -> None:
    client = World(authenticate=False).client()
    data = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)], signed=False)
    reply = client.send(data)
    assert reply.code == 0
    assert not reply.message.has(SHA1_INTEGRITY)


def test_software_is_told_to_authenticated_clients_alone() -> None:
    world = World(software="turnd")
    client = world.client()
    assert not client.learn_nonce().message.has(a.SOFTWARE)
    assert client.allocated().message.get(a.SOFTWARE) == "turnd"


def test_fingerprint_is_answered_with_fingerprint() -> None:
    client = World().client()
    plain = Message.build(Method.BINDING, MessageClass.REQUEST, bytes(12))
    assert not client.send(plain.encode()).message.has(a.FINGERPRINT)
    assert client.send(plain.encode(fingerprint=True)).message.has(a.FINGERPRINT)


def test_integrity_that_covers_a_longer_message_is_not_taken_for_this_one() -> None:
    client = World().client()
    client.learn_nonce()
    data = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)])
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    assert client.send(flipped).code == 401
    assert client.send(data).code == 0


def test_what_follows_integrity_is_not_obeyed() -> None:
    # RFC 8489 §14.5: anybody on the way could have put it there.
    client = World().client()
    client.allocated()
    data = client.encode(Method.REFRESH)
    added = data + b"\0\x0d\0\4\0\0\0\0"  # LIFETIME of 0
    added = added[:2] + (len(added) - 20).to_bytes(2, "big") + added[4:]
    assert client.send(added).message.get(a.LIFETIME) == 600


def test_first_of_two_attributes_counts() -> None:
    reply = World().client().allocated(a.LIFETIME.of(700), a.LIFETIME.of(800))
    assert reply.message.get(a.LIFETIME) == 700


@pytest.mark.parametrize("username", ["", "a\x00b", "\u0378", "x" * 600])
def test_user_name_no_password_could_be_for_is_refused(username: str) -> None:
    client = World().client()
    client.learn_nonce()
    attributes = [
        (a.USERNAME.code, username.encode()),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())]))
    assert reply.code in {400, 401}


def test_user_name_is_prepared_before_it_is_looked_up() -> None:
    # RFC 8265 §4.2.2: OpaqueString maps other spaces to U+0020 and composes (NFC).
    world = World()
    world.source.add(REALM, "caf\u00e9 noir", "p")
    client = world.client(user="cafe\u0301\u00a0noir", password="p")
    client.learn_nonce()
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERNAME.of(client.user),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    key = long_term_key_md5("caf\u00e9 noir", REALM, "p")
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    assert client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, key)])).code == 0


def test_realms_in_events_are_ours_whatever_clients_write() -> None:
    world = World()
    for realm in ("made.up.example", REALM, OTHER_REALM):
        reply = world.client(realm=realm).allocate()
        (event,) = reply.events(RequestAnswered)
        assert event.realm in {REALM, OTHER_REALM}


def test_user_who_is_gone_from_the_store_keeps_the_call_and_gets_no_new_one() -> None:
    world = World()
    client = world.client()
    client.allocated()
    del world.source.users[REALM, "alice"]
    assert client.refresh().code == 0
    assert world.client(2).allocate().code == 401


@pytest.mark.parametrize("known", [True, False])
def test_unknown_user_hash_is_unauthenticated(known: bool) -> None:
    client = World().client()
    client.learn_nonce()
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.USERHASH.of(userhash("alice" if known else "mallory", REALM)),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())]))
    assert reply.code == (0 if known else 401)


@pytest.mark.parametrize("code", [401, 438, 400])
def test_errors_before_authentication_are_small_and_say_little(code: int) -> None:
    world = World(software="x" * 200, oauth_server_name="turn.example.org")
    client = world.client()
    client.learn_nonce()
    if code == 438:
        client.nonce = b"stale"
    if code == 400:
        data = client.encode(Method.ALLOCATE, [a.PASSWORD_ALGORITHM.of(MD5)])
    elif code == 401:
        data = client.encode(Method.ALLOCATE, signed=False)
    else:
        data = client.encode(Method.ALLOCATE)
    reply = client.send(data)
    assert reply.code == code
    for kind in (a.SOFTWARE, a.USERNAME, a.USERHASH, SHA1_INTEGRITY, SHA256_INTEGRITY):
        assert not reply.message.has(kind)
    assert len(reply.message.raw) < 200


def test_unknown_user_costs_the_same_work_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[IntegrityAlgorithm] = []
    verify = Message.verify

    def count(message: Message, algorithm: IntegrityAlgorithm, key: bytes) -> bool:
        verified.append(algorithm)
        return verify(message, algorithm, key)

    world = World()
    clients = [world.client(port, user=user) for port, user in ((1, "alice"), (2, "mallory"))]
    clients[0].password = "wrong"
    for client in clients:
        client.learn_nonce()
    monkeypatch.setattr(Message, "verify", count)
    for client in clients:
        assert client.allocate().code == 401
    assert len(verified) == 2


def test_errors_after_authentication_are_signed_too() -> None:
    client = World().client()
    reply = client.refresh()
    assert reply.code == 437
    assert reply.message.verify(IntegrityAlgorithm.SHA1, client.key())


def test_servers_of_a_cluster_take_each_others_nonces() -> None:
    one, two = World(), World()
    client = one.client()
    client.learn_nonce()
    elsewhere = two.client()
    elsewhere.nonce = client.nonce
    assert elsewhere.allocate().code == 0


def test_request_by_user_hash_waits_for_its_credential() -> None:
    world = World()
    world.source.pending.add("alice")
    client = world.client()
    client.learn_nonce()
    digest = userhash("alice", REALM)
    named = [a.USERHASH.of(digest), a.REALM.of(REALM), a.NONCE.of(client.nonce)]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), named)
    data = message.encode(sign=[(IntegrityAlgorithm.SHA1, client.key())])
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert outputs == [LoadCredential(data, client.five_tuple, REALM, None, digest)]


def test_keys_are_not_shown_in_logs() -> None:
    found = credential(REALM, "alice", "secret")
    for key in (found.key_md5, found.key_sha256):
        assert repr(key) not in repr(found)
    assert "key" not in repr(World().server._environment)


def test_user_of_two_realms_is_two_users() -> None:
    world = World()
    world.client(1).allocated()
    other = world.client(2, realm=OTHER_REALM)
    other.allocated()
    counts = world.server._state.allocations
    assert counts.count_in_realm(REALM) == counts.count_in_realm(OTHER_REALM) == 1
    intruder = world.client(1, realm=OTHER_REALM)
    assert intruder.refresh(0).code == 441
