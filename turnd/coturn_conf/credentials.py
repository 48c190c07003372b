"""coturn's options for credentials as `[auth]` and `[[realms]]`."""

from __future__ import annotations

from turnd.config.sections import Config
from turnd.coturn_conf.database import read_database
from turnd.coturn_conf.syntax import Statement
from turnd.coturn_conf.translation import Translation

_LONGEST_NONCE = 86400


def translate_credentials(t: Translation, folder: str) -> None:
    """Translate who may allocate.

    Args:
        t: the translation.
        folder: where relative file names start.

    """
    realm = t.last("realm")
    if realm is not None:
        t.set("server", "realm", realm.value, realm)
    open_to_all, rest = t.flag("no-auth"), _rest(t)
    long_term = t.flag("lt-cred-mech")
    if open_to_all is not None and (rest is not None or long_term is not None):
        t.error(open_to_all, "can't go together with lt-cred-mech or use-auth-secret; remove one")
    elif open_to_all is not None:
        t.set("auth", "mechanism", "none", open_to_all)
        for statement in t.every("user"):
            t.info(statement, "not used: no-auth lets everybody in")
    else:
        t.set("auth", "mechanism", "long-term", rest or long_term)
        _secrets(t)
        _users(t, rest)
    _oauth(t)
    database = t.last("userdb", "db")
    if database is not None and open_to_all is None:
        name = realm.value if realm is not None else Config().server.realm
        read_database(t, database, folder, realm=name, rest=rest is not None)
    elif database is not None:
        t.info(database, "not read: no-auth lets everybody in")
    _keys_only(t)
    _say_if_empty(t, open_to_all, rest or long_term)
    _nonces(t)
    binding = t.flag("secure-stun")
    if binding is not None:
        t.set("auth", "authenticate_binding", True, binding)


def _rest(t: Translation) -> Statement | None:
    """Return the line that makes credentials time-limited; a secret alone does it too."""
    return t.flag("use-auth-secret") or t.last("static-auth-secret")


def _secrets(t: Translation) -> None:
    for statement in t.every("static-auth-secret"):
        t.add(("auth", "secrets"), statement.value, statement)
    separator = t.last("rest-api-separator")
    if separator is not None:
        t.set("auth", "rest_separator", separator.value[:1], separator)


def _users(t: Translation, rest: Statement | None) -> None:
    """Translate ``user=name:password`` and ``user=name:0xKEY``."""
    # coturn keeps one user of a name, the last one.
    last = {statement.value.partition(":")[0]: statement for statement in t.every("user")}
    for statement in t.every("user"):
        if rest is not None:
            t.warning(
                statement,
                "not used: with use-auth-secret coturn takes time-limited credentials only; "
                "turnd can take both, from [[auth.users]] in a turnd.toml",
            )
            continue
        name, colon, secret = statement.value.partition(":")
        secret = secret.lstrip(" \t")
        if not (name and colon and secret):
            t.error(statement, "is not NAME:PASSWORD or NAME:0xKEY")
        elif last[name] is not statement:
            t.warning(statement, f"not used: line {last[name].line} has a user of the same name")
        elif secret.startswith("0x"):
            digits = secret[2:]
            if len(digits) != 32 or not set(digits.lower()) <= set("0123456789abcdef"):
                t.error(statement, "a key is 0x and 32 hexadecimal digits, as turnadmin -k prints")
            else:
                t.add(("auth", "users"), {"name": name, "key": digits.lower()}, statement)
        else:
            t.add(("auth", "users"), {"name": name, "password": secret}, statement)


def _oauth(t: Translation) -> None:
    name = t.last("server-name")
    if name is not None:
        t.set("auth", "oauth_server_name", name.value, name)
    oauth = t.flag("oauth")
    if oauth is not None and t.last("userdb", "db") is None:
        t.warning(oauth, "coturn has its token keys in a database; set auth.oauth_keys instead")


def _keys_only(t: Translation) -> None:
    """Offer MD5 alone when some users have nothing else: the choice is the client's."""
    users = t.draft.get(("auth", "users")) or []
    if any("key" in user for user in users):
        source = t.last("user", "userdb", "db")
        t.set("auth", "password_algorithms", ["MD5"], source)
        t.info(
            source,
            "stored keys are MD5, so SHA-256 is not offered to any user; with passwords it would",
        )
        if t.last("realm") is None:
            t.warning(source, "stored keys are for one realm; set realm to the one they are for")


def _say_if_empty(t: Translation, open_to_all: Statement | None, source: Statement | None) -> None:
    if open_to_all is not None or t.flag("stun-only"):
        return
    if any(t.draft.get(("auth", key)) for key in ("users", "secrets", "oauth_keys")):
        return
    if t.draft.get(("realms",)) or any(d.option in {"user", "userdb"} for d in t.diagnostics):
        return
    if source is None:
        t.warning(
            None,
            "no credentials are set up: coturn would relay for anyone, turnd refuses every "
            "Allocate; use use-auth-secret with static-auth-secret, or no-auth if you mean it",
        )
    else:
        t.warning(
            source,
            "no user and no secret is here, so every Allocate is refused; if they are in coturn's "
            "default database, name it: userdb=/var/lib/turn/turndb",
        )


def _nonces(t: Translation) -> None:
    stale = t.last("stale-nonce")
    if stale is not None:
        seconds = stale.number
        if seconds is None or seconds > 0:
            seconds = min(seconds or 600, _LONGEST_NONCE)
            t.set("auth", "nonce_lifetime", seconds, stale)
        else:
            t.set("auth", "nonce_lifetime", _LONGEST_NONCE, stale)
            t.warning(stale, "nonces always end here: after a day, the longest there is")
    secret = t.last("stateless-nonce-secret")
    if secret is not None:
        t.set("auth", "nonce_secret", secret.value, secret)
    limited = t.last("unauthorized-ratelimit", "unauthorized-ratelimit-rps")
    if limited is not None:
        is_on = t.flag("unauthorized-ratelimit") is not None
        rate = t.number("unauthorized-ratelimit-rps", at_least=1, at_most=1_000_000) or 10
        if is_on:
            t.set("rate_limit", "unauthenticated_per_prefix", float(rate), limited)
            t.info(limited, "counted for each IPv4 /24 and IPv6 /56 here, not for each address")
        else:
            t.info(limited, "turnd's own limit stays; see rate_limit.unauthenticated_per_prefix")
