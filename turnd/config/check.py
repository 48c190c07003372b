"""What single values can't show: keys that contradict each other.

Each check yields problems with the path of the key to change. `check_files` looks at
the machine; everything here looks at the configuration alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from turnd.config.auth_sections import TOKEN_KEY_SIZES, Auth
from turnd.config.check_files import file_problems
from turnd.config.problem import Problem
from turnd.config.sections import Config, Listen
from turnd.config.values import Endpoint


def problems(config: Config, *, check_files: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with a configuration whose single values are right.

    Args:
        config: what was converted.
        check_files: also look at files, users and groups on this machine.

    """
    yield from _listeners(config.listen)
    yield from _http_port(config)
    yield from _nat_discovery(config)
    yield from _tls(config)
    yield from _relay(config)
    yield from _auth(config.auth)
    yield from _users(config)
    yield from _token_keys(config.auth)
    yield from _realms(config)
    if check_files:
        yield from file_problems(config)


def _listeners(listen: Listen) -> Iterator[Problem]:
    lists = {"udp": listen.udp, "tcp": listen.tcp, "tls": listen.tls, "dtls": listen.dtls}
    if not any(lists.values()):
        yield Problem(("listen", "udp"), "no listener at all; name one, for example 0.0.0.0:3478")
    for name, endpoints in lists.items():
        seen: set[Endpoint] = set()
        for index, endpoint in enumerate(endpoints):
            if endpoint in seen and endpoint.port:
                yield Problem(("listen", name, index), f'"{endpoint}" is listed twice')
            seen.add(endpoint)
    if listen.detect_tls:
        return
    for plain, secured in (("udp", "dtls"), ("tcp", "tls")):
        for index, endpoint in enumerate(lists[secured]):
            if endpoint in lists[plain] and endpoint.port:
                yield Problem(
                    ("listen", secured, index),
                    f'"{endpoint}" is in listen.{plain} too; take another port, '
                    "or set listen.detect_tls = true to share it",
                )


def _http_port(config: Config) -> Iterator[Problem]:
    endpoint = config.metrics.listen
    if endpoint is None or not endpoint.port:
        return
    for listener in config.listen.streams:
        other = listener.endpoint
        meet = other.host == endpoint.host or other.is_wildcard or endpoint.is_wildcard
        same_family = other.address.family == endpoint.address.family
        if same_family and meet and other.port == endpoint.port:
            yield Problem(("metrics", "listen"), f'TURN clients have "{other}"; take another port')


def _nat_discovery(config: Config) -> Iterator[Problem]:
    alternate = config.nat_discovery.alternate_address
    if alternate is None:
        return
    where = ("nat_discovery", "alternate_address")
    family = [e for e in config.listen.udp if e.address.family == alternate.family]
    if not family or family[0].is_wildcard:
        yield Problem(
            where,
            "RFC 5780 needs a first address to go with it; put one of the same family, "
            "not a wildcard, first in listen.udp",
        )
    elif family[0].address.packed == alternate.packed:
        yield Problem(where, "is the first address of listen.udp itself; take a second one")
    elif family[0].port == config.nat_discovery.alternate_port:
        yield Problem(
            ("nat_discovery", "alternate_port"),
            f"{family[0].port} is the port of listen.udp; take another one",
        )


def _tls(config: Config) -> Iterator[Problem]:
    tls = config.tls
    if tls.certificate and not tls.private_key:
        yield Problem(("tls", "certificate"), "its key is missing; set tls.private_key")
    if tls.private_key and not tls.certificate:
        yield Problem(("tls", "private_key"), "its certificate is missing; set tls.certificate")
    if tls.private_key_password and not tls.private_key:
        yield Problem(("tls", "private_key_password"), "there is no tls.private_key to open")
    for index, name in enumerate(tls.self_signed_names):
        if not _is_host(name):
            yield Problem(
                ("tls", "self_signed_names", index), f'"{name}" is no host name and no IP address'
            )
    if tls.ciphers:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(tls.ciphers)
        except ssl.SSLError:
            yield Problem(
                ("tls", "ciphers"),
                "OpenSSL knows none of these; try them with: openssl ciphers -v LIST",
            )


def _is_host(name: str) -> bool:
    try:
        return bool(name.encode("idna")) and not name.isspace()
    except UnicodeError:
        return False


def _relay(config: Config) -> Iterator[Problem]:
    relay = config.relay
    if relay.default_lifetime > relay.maximum_lifetime:
        yield Problem(
            ("relay", "default_lifetime"),
            f"is more than relay.maximum_lifetime, {relay.maximum_lifetime}",
        )
    for index, address in enumerate(relay.addresses):
        if not any(address.packed):
            yield Problem(
                ("relay", "addresses", index),
                "clients are told this address, so it can't be a wildcard; name real ones, "
                "or leave the list empty to have them detected",
            )
        if address in relay.addresses[:index]:
            yield Problem(("relay", "addresses", index), f'"{address}" is listed twice')
    local = {address.packed for address in relay.addresses}
    for index, external in enumerate(relay.external):
        private = external.private
        if local and private is not None and private.packed not in local:
            yield Problem(
                ("relay", "external", index), f"{private.host} is not one of relay.addresses"
            )
        for other in relay.external[:index]:
            same_family = other.public.family == external.public.family
            if same_family and other.private == private:
                name = private.host if private is not None else "the whole family"
                yield Problem(
                    ("relay", "external", index),
                    f"{name} has a public address already; write PUBLIC/PRIVATE to map several",
                )


def _auth(auth: Auth) -> Iterator[Problem]:
    where = ("auth", "password_algorithms")
    if not auth.password_algorithms:
        yield Problem(where, 'is empty; write ["SHA-256", "MD5"], or one of them')
    if len(set(auth.password_algorithms)) < len(auth.password_algorithms):
        yield Problem(where, "names one twice")
    # An empty HMAC key would let everybody make credentials.
    for index, secret in enumerate(auth.secrets):
        if not secret:
            yield Problem(("auth", "secrets", index), "is empty; anyone could mint credentials")


def _users(config: Config) -> Iterator[Problem]:
    realms = {config.server.realm, *(realm.name for realm in config.realms)}
    seen: set[tuple[str, str]] = set()
    for index, user in enumerate(config.auth.users):
        where = ("auth", "users", index)
        realm = user.realm or config.server.realm
        if bool(user.password) == bool(user.key or user.key_sha256):
            yield Problem(where, f'user "{user.name}" needs a password, or stored keys, not both')
        if realm not in realms:
            yield Problem(
                (*where, "realm"), f'there is no realm "{realm}"; add [[realms]] with that name'
            )
        if (user.name, realm) in seen:
            yield Problem((*where, "name"), f'"{user.name}" is in realm "{realm}" already')
        seen.add((user.name, realm))


def _token_keys(auth: Auth) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, key in enumerate(auth.oauth_keys):
        where = ("auth", "oauth_keys", index)
        size = TOKEN_KEY_SIZES[key.algorithm]
        if len(key.key.key) != size:
            yield Problem(
                (*where, "key"),
                f"has {len(key.key.key)} bytes and {key.algorithm} takes {size}; "
                f"make one with: openssl rand -base64 {size}",
            )
        if key.kid in seen:
            yield Problem((*where, "kid"), f'there is another key "{key.kid}"')
        seen.add(key.kid)


def _realms(config: Config) -> Iterator[Problem]:
    names = {config.server.realm}
    origins: set[str] = set()
    for index, realm in enumerate(config.realms):
        if realm.name in names:
            yield Problem(
                ("realms", index, "name"),
                f'there is a realm "{realm.name}" already; server.realm is set up by [quota] '
                "and auth.secrets",
            )
        names.add(realm.name)
        for number, origin in enumerate(realm.origins):
            if origin in origins:
                yield Problem(
                    ("realms", index, "origins", number), f'"{origin}" leads to another realm'
                )
            origins.add(origin)
        for number, secret in enumerate(realm.secrets):
            if not secret:
                yield Problem(
                    ("realms", index, "secrets", number), "is empty; anyone could mint credentials"
                )
