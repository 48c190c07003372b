"""Static users, time-limited names, OAuth tokens, and their order."""

import base64
import hashlib
import hmac

import pytest

from stun.credentials import long_term_key_md5, long_term_key_sha256, userhash
from stun.oauth_token import Token, seal_token
from turnd.core.credentials import Credential
from turnd.store.combined import CombinedSource
from turnd.store.oauth import OauthTokens, TokenKey
from turnd.store.rest_credentials import (
    RestCredentials,
    TimeLimitedName,
    mint,
    parse_time_limited,
    password_of,
)
from turnd.store.static_users import StaticUser, StaticUsers

REALM = "example.org"
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("1700000060:alice", TimeLimitedName(1700000060, "alice")),
        ("alice:1700000060", TimeLimitedName(1700000060, "alice")),
        ("1700000060", TimeLimitedName(1700000060, "1700000060")),
        ("1700000060:", TimeLimitedName(1700000060, "1700000060:")),
        ("1700000060:a:b", TimeLimitedName(1700000060, "a:b")),
        ("@alice:matrix.org:1700000060", TimeLimitedName(1700000060, "@alice:matrix.org")),
        ("1700000060:42", TimeLimitedName(1700000060, "42")),
        ("alice", None),
        ("alice:bob", None),
        ("", None),
        (":", None),
        ("\u0661\u0662", None),
        ("9" * 13, None),
    ],
)
def test_time_limited_names_of_the_wild(username: str, name: TimeLimitedName | None) -> None:
    assert parse_time_limited(username, ":") == name


def test_password_is_what_the_draft_says() -> None:
    # draft-uberti-behave-turn-rest-00 §2.2: base64(hmac(key = shared secret, input = username))
    expected = base64.b64encode(hmac.new(b"secret", b"1:user", hashlib.sha1).digest()).decode()
    assert password_of("secret", "1:user") == expected


def keys(credential: Credential) -> list[bytes | None]:
    return [each.key_md5 for each in (credential, *credential.alternatives)]


def test_every_secret_in_rotation_makes_a_key() -> None:
    rest = RestCredentials({REALM: ("new", "old")})
    for secret in ("new", "old"):
        username, password = mint(secret, "alice", 60, NOW)
        found = rest.find(REALM, username, NOW)
        assert found is not None
        assert long_term_key_md5(username, REALM, password) in keys(found)
        assert found.owner == "alice"
        assert found.expires_at == NOW + 60


@pytest.mark.parametrize("late", [60, 61, 10_000])
def test_name_is_void_when_its_time_is_up(late: float) -> None:
    rest = RestCredentials({REALM: ("secret",)})
    username, _ = mint("secret", "alice", 60, NOW)
    assert rest.find(REALM, username, NOW + 59) is not None
    assert rest.find(REALM, username, NOW + late) is None


def test_secret_of_one_realm_is_none_of_another() -> None:
    rest = RestCredentials({REALM: ("secret",)})
    username, _ = mint("secret", "alice", 60, NOW)
    assert rest.find("other.example", username, NOW) is None


def test_separator_can_be_another() -> None:
    rest = RestCredentials({REALM: ("secret",)}, "|")
    username, _ = mint("secret", "alice", 60, NOW, "|")
    assert username == "1700000060|alice"
    found = rest.find(REALM, username, NOW)
    assert found is not None
    assert found.owner == "alice"


def test_minted_name_of_nobody_is_a_bare_time() -> None:
    assert mint("secret", "", 60, NOW)[0] == "1700000060"


def test_static_user_is_found_by_name_and_by_userhash() -> None:
    users = StaticUsers([StaticUser.of_password(REALM, "alice", "pa\u00dfword")])
    found = users.find(REALM, "alice")
    assert found is not None
    assert found.key_md5 == long_term_key_md5("alice", REALM, "pa\u00dfword")
    assert found.key_sha256 == long_term_key_sha256("alice", REALM, "pa\u00dfword")
    assert users.find_by_userhash(REALM, userhash("alice", REALM)) == found
    assert users.find("other.example", "alice") is None
    assert users.find_by_userhash(REALM, userhash("alice", "other.example")) is None


def test_userhash_of_one_realm_opens_no_other() -> None:
    static = StaticUsers([StaticUser.of_password("other.example", "eve", "password")])
    source = CombinedSource(static, RestCredentials({}), None, OauthTokens([], ""))
    digest = userhash("eve", "other.example")
    assert isinstance(source.find_by_userhash("other.example", digest, NOW), Credential)
    assert source.find_by_userhash(REALM, digest, NOW) is None


def test_static_user_may_have_stored_keys_alone() -> None:
    user = StaticUser.of_keys(REALM, "alice", b"m" * 16, None)
    found = StaticUsers([user]).find(REALM, "alice")
    assert found == Credential("alice", "alice", b"m" * 16, None)


KEY = TokenKey("kid", bytes(32), valid_from=int(NOW) - 1000, lifetime=2000)


def token(timestamp: float = NOW, lifetime: int = 300, name: str = "turn.example.org") -> bytes:
    return seal_token(Token(b"m" * 20, timestamp, lifetime), KEY.key, bytes(12), name)


def test_token_opens_for_the_mac_key_and_bounds_the_lifetime() -> None:
    tokens = OauthTokens([KEY], "turn.example.org")
    found = tokens.open("kid", token(), NOW + 100)
    assert found is not None
    assert found.key_md5 == found.key_sha256 == b"m" * 20
    assert found.maximum_lifetime == 205  # 300 - 100, and RFC 7635's delay of 5
    assert keys(found) == [b"m" * 20, b"m" * 16]


@pytest.mark.parametrize(
    ("kid", "data", "wall_time"),
    [
        ("other", token(), NOW),
        ("kid", token(name="turn.example.com"), NOW),
        ("kid", token() + b"x", NOW),
        ("kid", b"", NOW),
        ("kid", token(), NOW + 306),  # expired
        ("kid", token(NOW + 100), NOW),  # from the future
        ("kid", token(NOW + 1100), NOW + 1100),  # its key is void by then
        ("kid", token(NOW - 1100), NOW - 1100),  # its key was not yet in force
    ],
)
def test_token_that_is_not_valid_opens_nothing(kid: str, data: bytes, wall_time: float) -> None:
    assert OauthTokens([KEY], "turn.example.org").open(kid, data, wall_time) is None


async def test_sources_are_asked_in_their_order() -> None:
    username, password = mint("secret", "alice", 60, NOW)
    static = StaticUsers(
        [
            StaticUser.of_password(REALM, "alice", "p"),
            StaticUser.of_password(REALM, username, "static"),
        ]
    )
    rest = RestCredentials({REALM: ("secret",)})
    source = CombinedSource(static, rest, None, OauthTokens([KEY], "turn.example.org"))
    found = source.find(REALM, username, NOW)
    assert isinstance(found, Credential)
    assert found.key_md5 == long_term_key_md5(username, REALM, "static")
    other, password = mint("secret", "bob", 60, NOW)
    found = source.find(REALM, other, NOW)
    assert isinstance(found, Credential)
    assert found.key_md5 == long_term_key_md5(other, REALM, password)
    assert source.find(REALM, "nobody", NOW) is None
    assert source.find_by_userhash(REALM, bytes(32), NOW) is None
    assert source.open_token("kid", token(), NOW) is not None
    await source.load(REALM, "nobody", None)
