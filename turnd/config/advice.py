"""Configurations that work and that their operator may want to know more about."""

from __future__ import annotations

from collections.abc import Iterator

from turnd.config.sections import Config

_SHORT_SECRET = 16


def warnings(config: Config) -> tuple[str, ...]:
    """Return a sentence, key first, for each thing that is allowed but likely unwanted."""
    return tuple(_auth(config)) + tuple(_others(config))


def _auth(config: Config) -> Iterator[str]:
    auth = config.auth
    relays = config.relay.udp or config.relay.tcp
    if auth.mechanism == "none":
        if relays:
            yield (
                "auth.mechanism: anyone may relay through this server; "
                'set "long-term" unless no stranger can reach it'
            )
        return
    if relays and not auth.has_credentials and not any(r.secrets for r in config.realms):
        yield (
            "auth: there are no users, secrets or keys, so every Allocate is refused (401); "
            "set auth.secrets, auth.users or auth.user_database"
        )
    if auth.users and all(not (user.password or user.key_sha256) for user in auth.users):
        if "SHA-256" in auth.password_algorithms:
            yield (
                "auth.password_algorithms: users have MD5 keys only and SHA-256 is offered: "
                'clients of RFC 8489 choose it and fail; set ["MD5"] or add key_sha256'
            )
    elif any(user.key and not user.key_sha256 for user in auth.users) and (
        "SHA-256" in auth.password_algorithms
    ):
        yield (
            "auth.users: some have an MD5 key only, so clients that choose SHA-256 "
            "can't log in as them; add key_sha256"
        )
    if "MD5" in auth.password_algorithms and any(
        user.key_sha256 and not user.key for user in auth.users
    ):
        yield (
            "auth.users: some have a SHA-256 key only, so today's browsers, which know MD5 "
            "alone, can't log in as them; add key"
        )
    secrets = {"auth.secrets": auth.secrets}
    secrets |= {f"realms[{i}].secrets": realm.secrets for i, realm in enumerate(config.realms)}
    for key, values in secrets.items():
        if any(len(secret) < _SHORT_SECRET for secret in values):
            yield (
                f"{key}: one is shorter than {_SHORT_SECRET} characters and can be guessed "
                "from one credential; make one with: openssl rand -base64 32"
            )


def _others(config: Config) -> Iterator[str]:
    relay = config.relay
    if not config.peers.deny_special:
        yield (
            "peers.deny_special: clients can reach this host's own networks through the relay; "
            "name what they need in peers.allow instead"
        )
    if relay.permission_lifetime != 300:
        yield "relay.permission_lifetime: RFC 8656 §9 says 300 and clients count on it"
    if relay.channel_lifetime != 600:
        yield "relay.channel_lifetime: RFC 8656 §12 says 600 and clients count on it"
    if relay.maximum_lifetime < 600:
        yield "relay.maximum_lifetime: RFC 8656 §7.2 has clients expect 600 at least"
    if relay.ports.low < 1024:
        yield "relay.ports: ports below 1024 need privileges and may be other services'"
    if config.tls.minimum_version == "1.3" and config.listen.dtls:
        yield "tls.minimum_version: DTLS is 1.2 all the same; set listen.dtls = [] to go without"
    if config.metrics.listen is not None and not config.metrics.listen.address.packed.startswith(
        (b"\x7f", bytes(15) + b"\x01")
    ):
        yield (
            f"metrics.listen: {config.metrics.listen} can be reached from outside, "
            "without a password"
        )
