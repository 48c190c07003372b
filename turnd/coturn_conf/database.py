"""coturn's SQLite database, read once into the same draft as the file.

The tables are those of coturn's `schema.sql`. They are read at the start and at every
reload; `turnadmin` may go on writing them. Web administrators (`admin_user`) have no
counterpart here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any
from urllib.parse import quote

import attrs

from turnd.config.auth_sections import TOKEN_KEY_SIZES
from turnd.config.values import AddressRange, Base64Key, Md5Key
from turnd.coturn_conf.peers import allow_peers
from turnd.coturn_conf.syntax import Statement
from turnd.coturn_conf.translation import Translation

_OPTIONS = {
    "max-bps": "bandwidth_per_allocation",
    "total-quota": "allocations",
    "user-quota": "allocations_per_user",
}
_Row = tuple[str, ...]
_Realms = dict[str, dict[str, Any]]


@attrs.frozen(slots=True)
class _Content:
    """What the tables hold, as text."""

    users: list[_Row]
    secrets: list[_Row]
    origins: list[_Row]
    options: list[_Row]
    token_keys: list[_Row]
    allowed: list[_Row]
    denied: list[_Row]


def read_database(
    t: Translation, source: Statement, folder: str, *, realm: str, rest: bool
) -> None:
    """Add users, secrets, realms, token keys and peer ranges of a coturn database.

    Args:
        t: the translation.
        source: the ``userdb`` line.
        folder: where a relative name starts.
        realm: the default realm.
        rest: credentials are time-limited, so users are not looked at, as in coturn.

    """
    path = os.path.abspath(os.path.join(folder, source.value))
    try:
        uri = f"file:{quote(path)}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as connection:
            content = _read(connection)
    except sqlite3.Error as error:
        t.error(source, f"{path} is no coturn database that can be read: {error}")
        return
    t.info(source, "read now and at SIGHUP; what turnadmin changes counts from then on")
    realms: _Realms = {}
    _users(t, source, content, realm, realms, rest=rest)
    for value, owner in content.secrets if rest else ():
        if not value:
            t.warning(source, "has an empty secret; it is left out")
        elif owner in {"", realm}:
            t.add(("auth", "secrets"), value, source)
        else:
            _append(_realm(realms, owner), "secrets", value)
    for origin, owner in content.origins:
        if owner != realm:
            _append(_realm(realms, owner), "origins", origin)
    _realm_options(t, source, content, realm, realms)
    _token_keys(t, source, content)
    _peers(t, source, content, realm)
    for name in sorted(realms):
        t.add(("realms",), realms[name], source)


def _read(connection: sqlite3.Connection) -> _Content:
    def rows(columns: str, table: str) -> list[_Row]:
        # Both are literals below.
        found = connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2")  # noqa: S608
        return [tuple("" if cell is None else str(cell) for cell in row) for row in found]

    return _Content(
        users=rows("name, realm, hmackey", "turnusers_lt"),
        secrets=rows("value, realm", "turn_secret"),
        origins=rows("origin, realm", "turn_origin_to_realm"),
        options=rows("realm, opt, value", "turn_realm_option"),
        token_keys=rows("kid, ikm_key, timestamp, lifetime, as_rs_alg", "oauth_key"),
        allowed=rows("ip_range, realm", "allowed_peer_ip"),
        denied=rows("ip_range, realm", "denied_peer_ip"),
    )


def _users(
    t: Translation,
    source: Statement,
    content: _Content,
    realm: str,
    realms: _Realms,
    *,
    rest: bool,
) -> None:
    if rest:
        if content.users:
            t.warning(source, "its users are not used: use-auth-secret takes their place")
        return
    # Users of the file win over those of the database, as in coturn.
    known = {user["name"] for user in t.draft.get(("auth", "users")) or ()}
    for name, owner, key in content.users:
        own = owner in {"", realm}
        try:
            stored = str(Md5Key(key))
        except ValueError:
            stored = ""
        if not (name and stored):
            t.warning(source, f'user "{name}" has no MD5 key; left out')
        elif not (own and name in known):
            user = {"name": name, "key": stored}
            if own:
                known.add(name)
            else:
                _realm(realms, owner)
                user["realm"] = owner
            t.add(("auth", "users"), user, source)


def _realm_options(
    t: Translation,
    source: Statement,
    content: _Content,
    realm: str,
    realms: _Realms,
) -> None:
    for owner, option, value in content.options:
        key = _OPTIONS.get(option)
        if key is None or not value.isdecimal():
            t.warning(source, f'realm "{owner}" has "{option}", which is not understood; left out')
        elif owner in {"", realm}:
            t.set("quota", key, int(value), source)
        else:
            _realm(realms, owner)[key] = int(value)


def _token_keys(t: Translation, source: Statement, content: _Content) -> None:
    if not t.flag("oauth"):
        return
    for kid, key, timestamp, lifetime, algorithm in content.token_keys:
        name = (algorithm or "A256GCM").upper()
        try:
            size = len(Base64Key(key).key)
        except ValueError:
            size = 0
        numbers = timestamp.isdecimal() and lifetime.isdecimal()
        if name not in TOKEN_KEY_SIZES or size != TOKEN_KEY_SIZES[name] or not numbers:
            t.warning(source, f'token key "{kid}" does not fit {name}; left out')
            continue
        row = {"kid": kid, "key": key, "algorithm": name}
        bounds = {"valid_from": int(timestamp), "lifetime": int(lifetime)}
        t.add(("auth", "oauth_keys"), row | bounds, source)


def _peers(t: Translation, source: Statement, content: _Content, realm: str) -> None:
    for key, rows in (("allow", content.allowed), ("deny", content.denied)):
        for text, owner in rows:
            if owner not in {"", realm}:
                t.warning(
                    source,
                    f'{text} is for realm "{owner}" only, and peers are the same for all realms '
                    f"here; left out of peers.{key}",
                )
                continue
            try:
                span = AddressRange(text)
            except ValueError as error:
                t.error(source, str(error))
                continue
            if key == "allow":
                allow_peers(t, span, source)
            else:
                t.add(("peers", "deny"), str(span), source)


def _realm(realms: _Realms, name: str) -> dict[str, Any]:
    return realms.setdefault(name, {"name": name})


def _append(table: dict[str, Any], key: str, value: str) -> None:
    table.setdefault(key, []).append(value)
