"""RFC 7635 §4."""

from stun import IntegrityAlgorithm, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from tests.turnd.core.kit import (
    REALM,
    UDP,
    Client,
    Reply,
    World,
)
from turnd.core.credentials import Credential


def test_oauth_token_is_a_credential() -> None:
    world = World(oauth_server_name="turn.example.org")
    challenge = world.client().learn_nonce().message
    assert challenge.get(a.THIRD_PARTY_AUTHORIZATION) == "turn.example.org"
    key = bytes(range(20))
    world.source.tokens["kid", b"token"] = Credential("kid", "kid", key, key, maximum_lifetime=450)
    client = world.client(user="kid")
    client.learn_nonce()
    attributes = [
        a.REQUESTED_TRANSPORT.of(UDP),
        a.ACCESS_TOKEN.of(b"token"),
        a.USERNAME.of("kid"),
        a.REALM.of(REALM),
        a.NONCE.of(client.nonce),
    ]
    message = Message.build(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), attributes)
    reply = client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, key)]))
    assert reply.code == 0
    # RFC 7635 §4.1.1: the allocation ends with the token.
    assert reply.message.get(a.LIFETIME) == 450


def test_newer_oauth_token_takes_the_older_ones_place() -> None:
    world = World(oauth_server_name="turn.example.org")
    keys = {"old": bytes(20), "new": bytes(range(20))}
    for kid, key in keys.items():
        world.source.tokens[kid, kid.encode()] = Credential(kid, "", key, key)
    client = world.client()
    client.learn_nonce()

    def request(method: Method, kid: str, *attributes: RawAttribute) -> int:
        named = [a.USERNAME.of(kid), a.REALM.of(REALM), a.NONCE.of(client.nonce)]
        message = Message.build(
            method, MessageClass.REQUEST, client.transaction_id(), [*attributes, *named]
        )
        return client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, keys[kid])])).code

    assert (
        request(Method.ALLOCATE, "old", a.REQUESTED_TRANSPORT.of(UDP), a.ACCESS_TOKEN.of(b"old"))
        == 0
    )
    assert request(Method.REFRESH, "old") == 0
    assert request(Method.REFRESH, "new") == 401
    assert request(Method.REFRESH, "new", a.ACCESS_TOKEN.of(b"new")) == 0
    assert request(Method.REFRESH, "new") == 0
    assert request(Method.REFRESH, "old") == 401


def test_oauth_token_counts_for_nothing_where_oauth_is_off() -> None:
    world = World()
    key = bytes(20)
    world.source.tokens["kid", b"token"] = Credential("kid", "kid", key, key)
    client = world.client(user="kid")
    assert client.allocate(a.ACCESS_TOKEN.of(b"token")).code == 401


def token_request(client: Client, method: Method, *attributes: RawAttribute) -> Reply:
    """Send a request signed with the key of the token."""
    named = [a.USERNAME.of("kid"), a.REALM.of(client.realm), a.NONCE.of(client.nonce)]
    message = Message.build(
        method, MessageClass.REQUEST, client.transaction_id(), [*attributes, *named]
    )
    return client.send(message.encode(sign=[(IntegrityAlgorithm.SHA1, TOKEN_KEY)]))


TOKEN_KEY = bytes(range(20))


OPEN_BY_TOKEN = (a.REQUESTED_TRANSPORT.of(UDP), a.ACCESS_TOKEN.of(b"token"))


def world_with_token(**changes: object) -> tuple[World, Client]:
    world = World(oauth_server_name="turn.example.org", **changes)
    world.source.tokens["kid", b"token"] = Credential(
        "kid", "", TOKEN_KEY, TOKEN_KEY, expires_at=world.wall + 1000, maximum_lifetime=1000
    )
    client = world.client()
    client.learn_nonce()
    return world, client


def test_token_in_a_realm_that_is_not_ours_is_unauthenticated() -> None:
    # It would have no limits, and a label of the client's choice in our metrics.
    _, client = world_with_token()
    client.realm = "made.up.example"
    assert token_request(client, Method.ALLOCATE, *OPEN_BY_TOKEN).code == 401


def test_allocation_is_not_refreshed_past_the_end_of_its_token() -> None:
    # RFC 7635 §4.1.1: LIFETIME in Refresh responses is no more than what the token has left.
    world, client = world_with_token()
    assert token_request(client, Method.ALLOCATE, *OPEN_BY_TOKEN).code == 0
    world.advance(500)
    reply = token_request(client, Method.REFRESH)
    assert reply.message.get(a.LIFETIME) == 500
    world.advance(499)
    client.learn_nonce()
    assert token_request(client, Method.REFRESH).message.get(a.LIFETIME) == 1
    world.advance(1)
    assert world.server.allocation_count == 0


def test_held_token_that_expired_is_unauthenticated() -> None:
    world, client = world_with_token()
    assert token_request(client, Method.ALLOCATE, *OPEN_BY_TOKEN).code == 0
    world.wall += 1000  # the clock of the token alone: the allocation is still there
    client.learn_nonce()
    reply = token_request(client, Method.REFRESH)
    assert reply.code == 401
    assert reply.message.get(a.THIRD_PARTY_AUTHORIZATION) == "turn.example.org"
