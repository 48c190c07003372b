"""Every option of coturn's configuration file, and what becomes of it here.

The names are those of `turnserver` 4.6.1 (Debian 12), of its example file, of its manual
page, of older versions that guides still quote, and of newer ones up to 4.17. `translate`
has the code for those that are taken; the words for all others stand in this table.
"""

from __future__ import annotations

import enum

import attrs


class Takes(enum.Enum):
    """What stands behind an option's name."""

    FLAG = "a boolean, or nothing for true"
    NUMBER = "a number"
    TEXT = "a value"


class Treatment(enum.Enum):
    """What turnd does with an option."""

    TAKEN = "taken"
    NEEDLESS = "needless"
    """Says what turnd does anyway, or tunes what it does not have. Nothing is lost."""
    IGNORED = "ignored"
    """The server behaves otherwise than coturn would; the operator should know."""
    REFUSED = "refused"
    """Going on without it would be unsafe or useless."""


@attrs.frozen(slots=True)
class Option:
    """One option.

    Attributes:
        name: as coturn spells it.
        takes: the form of its value.
        treatment: what becomes of it.
        says: the key it goes to when taken, else the reason.

    """

    name: str
    takes: Takes
    treatment: Treatment
    says: str


_FLAG, _NUMBER, _TEXT = Takes.FLAG, Takes.NUMBER, Takes.TEXT

_TAKEN: dict[str, tuple[Takes, str]] = {
    # Listeners
    "listening-port": (_NUMBER, "listen.udp, listen.tcp"),
    "tls-listening-port": (_NUMBER, "listen.tls, listen.dtls"),
    "alt-listening-port": (_NUMBER, "nat_discovery.alternate_port"),
    "tcp-proxy-port": (_NUMBER, "listen.tcp, listen.proxy_protocol"),
    "listening-ip": (_TEXT, "listen"),
    "aux-server": (_TEXT, "listen"),
    "no-udp": (_FLAG, "listen.udp"),
    "no-tcp": (_FLAG, "listen.tcp"),
    "no-tls": (_FLAG, "listen.tls"),
    "no-dtls": (_FLAG, "listen.dtls"),
    "max-allocate-timeout": (_NUMBER, "listen.idle_timeout"),
    "no-rfc5780": (_FLAG, "nat_discovery.alternate_address"),
    "no-stun-backward-compatibility": (_FLAG, "listen.classic_stun"),
    "rfc3489-compatibility": (_FLAG, "listen.classic_stun"),
    "sock-buf-size": (_NUMBER, "listen.receive_buffer, relay.receive_buffer"),
    # Relay
    "relay-ip": (_TEXT, "relay.addresses"),
    "external-ip": (_TEXT, "relay.external"),
    "min-port": (_NUMBER, "relay.ports"),
    "max-port": (_NUMBER, "relay.ports"),
    "no-udp-relay": (_FLAG, "relay.udp"),
    "no-tcp-relay": (_FLAG, "relay.tcp"),
    "multiplex-peer": (_FLAG, "relay.shared"),
    "stun-only": (_FLAG, "relay.udp, relay.tcp"),
    "max-allocate-lifetime": (_NUMBER, "relay.maximum_lifetime"),
    "channel-lifetime": (_NUMBER, "relay.channel_lifetime"),
    "permission-lifetime": (_NUMBER, "relay.permission_lifetime"),
    "mobility": (_FLAG, "mobility.enabled"),
    # Peers
    "allow-loopback-peers": (_FLAG, "peers.allow"),
    "no-multicast-peers": (_FLAG, "peers.deny_special"),
    "allowed-peer-ip": (_TEXT, "peers.allow"),
    "denied-peer-ip": (_TEXT, "peers.deny"),
    # Credentials
    "lt-cred-mech": (_FLAG, "auth.mechanism"),
    "no-auth": (_FLAG, "auth.mechanism"),
    "user": (_TEXT, "auth.users"),
    "userdb": (_TEXT, "auth.users, auth.secrets, realms"),
    "db": (_TEXT, "auth.users, auth.secrets, realms"),
    "use-auth-secret": (_FLAG, "auth.mechanism"),
    "static-auth-secret": (_TEXT, "auth.secrets"),
    "rest-api-separator": (_TEXT, "auth.rest_separator"),
    "realm": (_TEXT, "server.realm"),
    "server-name": (_TEXT, "auth.oauth_server_name"),
    "oauth": (_FLAG, "auth.oauth_keys"),
    "secure-stun": (_FLAG, "auth.authenticate_binding"),
    "stale-nonce": (_NUMBER, "auth.nonce_lifetime"),
    "stateless-nonce-secret": (_TEXT, "auth.nonce_secret"),
    "unauthorized-ratelimit": (_FLAG, "rate_limit.unauthenticated_per_prefix"),
    "unauthorized-ratelimit-rps": (_NUMBER, "rate_limit.unauthenticated_per_prefix"),
    # Quotas
    "user-quota": (_NUMBER, "quota.allocations_per_user"),
    "total-quota": (_NUMBER, "quota.allocations"),
    "max-bps": (_NUMBER, "quota.bandwidth_per_allocation"),
    "bps-capacity": (_NUMBER, "quota.bandwidth_total"),
    # TLS
    "cert": (_TEXT, "tls.certificate"),
    "pkey": (_TEXT, "tls.private_key"),
    "pkey-pwd": (_TEXT, "tls.private_key_password"),
    "cipher-list": (_TEXT, "tls.ciphers"),
    "no-tlsv1_2": (_FLAG, "tls.minimum_version"),
    # Process, logs, metrics
    "relay-threads": (_NUMBER, "server.threads"),
    "no-software-attribute": (_FLAG, "server.software"),
    "prod": (_FLAG, "server.software"),
    "proc-user": (_TEXT, "server.user"),
    "proc-group": (_TEXT, "server.group"),
    "pidfile": (_TEXT, "server.pidfile"),
    "verbose": (_FLAG, "log.level"),
    "Verbose": (_FLAG, "log.level"),
    "log-min-level": (_TEXT, "log.level"),
    "log-file": (_TEXT, "log.file"),
    "prometheus": (_FLAG, "metrics.listen"),
    "prometheus-port": (_NUMBER, "metrics.listen"),
    "prometheus-address": (_TEXT, "metrics.listen"),
    "prometheus-username-labels": (_FLAG, "metrics.per_user"),
    # Redirection
    "alternate-server": (_TEXT, "redirect.alternate_servers"),
    "tls-alternate-server": (_TEXT, "redirect.tls_alternate_servers"),
}

_TLS_FLOOR = "TLS below 1.2 is never taken"
_OPENSSL_CHOOSES = "OpenSSL chooses keys of sound size by itself"
_NO_CLI = "there is no telnet interface; metrics, logs and signals tell what it told"
_NO_WEB_ADMIN = "there is no web interface that changes things; see [metrics] for what can be read"
_STANDARD_ERROR = "logs go to standard error, which systemd's journal keeps, or to log.file"
_TIMESTAMPS = "log lines always carry an ISO 8601 time"
_OWN_ENGINE = "turnd's own engine decides how it reads and writes packets"
_SNAPSHOT = "the database is read at the start and at SIGHUP, nothing is polled"
_OLD = "coturn itself has dropped it"

_NEEDLESS: dict[str, tuple[Takes, str]] = {
    "fingerprint": (_FLAG, "a request with FINGERPRINT is answered with one, others without"),
    "no-sslv2": (_FLAG, _TLS_FLOOR),
    "no-sslv3": (_FLAG, _TLS_FLOOR),
    "no-tlsv1": (_FLAG, _TLS_FLOOR),
    "no-tlsv1_1": (_FLAG, _TLS_FLOOR),
    "no-loopback-peers": (_FLAG, "loopback peers are denied unless peers.allow names them"),
    "ec-curve-name": (_TEXT, _OPENSSL_CHOOSES),
    "dh566": (_FLAG, _OPENSSL_CHOOSES),
    "dh1066": (_FLAG, _OPENSSL_CHOOSES),
    "dh2066": (_FLAG, _OPENSSL_CHOOSES),
    "dh-file": (_TEXT, _OPENSSL_CHOOSES),
    "no-cli": (_FLAG, _NO_CLI),
    "cli-ip": (_TEXT, _NO_CLI),
    "cli-port": (_NUMBER, _NO_CLI),
    "cli-password": (_TEXT, _NO_CLI),
    "cli-max-output-sessions": (_NUMBER, _NO_CLI),
    "no-web-admin": (_FLAG, _NO_WEB_ADMIN),
    "web-admin-ip": (_TEXT, _NO_WEB_ADMIN),
    "web-admin-port": (_NUMBER, _NO_WEB_ADMIN),
    "web-admin-listen-on-workers": (_FLAG, _NO_WEB_ADMIN),
    "no-http": (_FLAG, "there is no HTTP on the TURN ports"),
    "no-prometheus": (_FLAG, "without `prometheus` there are no metrics"),
    "prometheus-no-username-labels": (_FLAG, "users are no labels unless metrics.per_user says so"),
    "no-stdout-log": (_FLAG, _STANDARD_ERROR),
    "syslog": (_FLAG, _STANDARD_ERROR),
    "syslog-facility": (_TEXT, _STANDARD_ERROR),
    "simple-log": (_FLAG, "log.file is used as it is named; SIGHUP reopens it for logrotate"),
    "new-log-timestamp": (_FLAG, _TIMESTAMPS),
    "new-log-timestamp-format": (_TEXT, _TIMESTAMPS),
    "new-timestamp-format": (_TEXT, _TIMESTAMPS),
    "new-timestamp_format": (_TEXT, _TIMESTAMPS),
    "log-binding": (_FLAG, 'Binding requests are logged at log.level = "debug"'),
    "daemon": (_FLAG, "turnd stays in the foreground; systemd or a container keeps it"),
    "systemd": (_FLAG, "turnd tells systemd when it is ready by itself"),
    "version": (_FLAG, "ask by: turnd --version"),
    "ne": (_NUMBER, _OWN_ENGINE + "; see server.datapath"),
    "udp-recvmmsg": (_FLAG, _OWN_ENGINE),
    "udp-recvmmsg-log": (_FLAG, _OWN_ENGINE),
    "udp-sendmmsg": (_FLAG, _OWN_ENGINE),
    "udp-sendmmsg-log": (_FLAG, _OWN_ENGINE),
    "udp-gso": (_FLAG, _OWN_ENGINE),
    "cpus": (_NUMBER, "server.threads = 0 counts the cores this process may use"),
    "udp-self-balance": (_FLAG, "one port serves all cores; auxiliary servers need no balancing"),
    "no-auth-pings": (_FLAG, _SNAPSHOT),
    "no-dynamic-ip-list": (_FLAG, _SNAPSHOT),
    "no-dynamic-realms": (_FLAG, _SNAPSHOT),
    "secret-ts-exp-time": (_NUMBER, _OLD),
    "stateless-nonce": (_FLAG, "nonces are always stateless"),
    "rfc5766-channel-numbers": (_FLAG, "channel numbers 0x4000-0x7FFF are always taken"),
    "stun-backward-compatibility": (_FLAG, "MAPPED-ADDRESS is sent to clients of RFC 3489 only"),
    "response-origin-only-with-rfc5780": (_FLAG, "RESPONSE-ORIGIN is sent with RFC 5780 only"),
    "software-attribute": (_FLAG, "set server.software to have SOFTWARE sent"),
    "drop-invalid-packets": (_FLAG, "what is no STUN is counted and dropped, always"),
    "drop-invalid-packets-log": (_FLAG, "what is no STUN is counted in the metrics"),
    "include-reason-string": (_FLAG, "reasons are short before the login and plain after it"),
    "dtls": (_FLAG, "DTLS is on while there is a certificate"),
    "sha256": (_FLAG, "password algorithms are offered by auth.password_algorithms"),
    "sha384": (_FLAG, _OLD),
    "sha512": (_FLAG, _OLD),
    "alt-tls-listening-port": (_NUMBER, "RFC 5780 is for UDP; nobody asks for it over TLS"),
    "secret-key-file": (_TEXT, "it opens the MySQL password, and MySQL is not read"),
    "list-st": (_FLAG, _OLD),
    "add-st": (_FLAG, _OLD),
    "delete-st": (_FLAG, _OLD),
    "rfc5780": (_FLAG, "RFC 5780 is on when two listening-ip of one family are given"),
}

_IGNORED: dict[str, tuple[Takes, str]] = {
    "relay-device": (_TEXT, "name the device's addresses by relay-ip instead"),
    "tlsv1": (_FLAG, _TLS_FLOOR + "; clients that know no better can't connect"),
    "tlsv1_1": (_FLAG, _TLS_FLOOR + "; clients that know no better can't connect"),
    "raw-public-keys": (_FLAG, "raw public keys (RFC 7250) are not offered"),
    "check-origin-consistency": (
        _FLAG,
        "ORIGIN only chooses the realm; later ones aren't compared",
    ),
    "no-stun": (_FLAG, "Binding requests are answered, as RFC 8656 has a TURN server do"),
    "server-relay": (
        _FLAG,
        "permissions are always checked; peers that come unasked do not get through",
    ),
    "keep-address-family": (_FLAG, "IPv4 is relayed unless a client asks for IPv6 (RFC 8656 §7.2)"),
    "allocation-default-address-family": (
        _TEXT,
        "IPv4 is relayed unless a client asks for IPv6 (RFC 8656 §7.2)",
    ),
    "cli": (_FLAG, _NO_CLI),
    "web-admin": (_FLAG, _NO_WEB_ADMIN),
    "acme-redirect": (_TEXT, "there is no HTTP on the TURN ports; serve ACME challenges elsewhere"),
    "respond-http-unsupported": (_FLAG, "there is no HTTP on the TURN ports"),
    "redis-statsdb": (_TEXT, "statistics are Prometheus metrics; see [metrics]"),
    "prometheus-path": (_TEXT, "the path is /metrics"),
    "drain-min-allocations": (_NUMBER, "a draining server waits for its last allocation"),
    "multiplex-peer-port": (_NUMBER, "shared relays have ports of the range, one per thread"),
    "multiplex-peer-max-peers": (_NUMBER, "see quota.permissions_per_allocation"),
    "tcp-alternate-server": (_TEXT, "use alternate-server, which is for UDP and TCP"),
    "udp-alternate-server": (_TEXT, "use alternate-server, which is for UDP and TCP"),
}

_NO_SERVER_DATABASE = (
    "only files are read: export the users into [[auth.users]], or use time-limited "
    "credentials (use-auth-secret with static-auth-secret), which need no database"
)
_METRICS_IN_CLEAR = "metrics are plain HTTP: put a proxy with TLS before metrics.listen"

_REFUSED: dict[str, tuple[Takes, str]] = {
    "listening-device": (
        _TEXT,
        "listening is by address, and without one it is on every device: name this one's "
        "addresses by listening-ip instead",
    ),
    "psql-userdb": (_TEXT, "PostgreSQL is not read here; " + _NO_SERVER_DATABASE),
    "sql-userdb": (_TEXT, "PostgreSQL is not read here; " + _NO_SERVER_DATABASE),
    "mysql-userdb": (_TEXT, "MySQL is not read here; " + _NO_SERVER_DATABASE),
    "mongo-userdb": (_TEXT, "MongoDB is not read here; " + _NO_SERVER_DATABASE),
    "redis-userdb": (_TEXT, "Redis is not read here; " + _NO_SERVER_DATABASE),
    "CA-file": (
        _TEXT,
        "client certificates are not asked for, so who has none would get in; "
        "remove it if credentials are enough for you",
    ),
    "prometheus-tls": (_FLAG, _METRICS_IN_CLEAR),
    "prometheus-cert": (_TEXT, _METRICS_IN_CLEAR),
    "prometheus-key": (_TEXT, _METRICS_IN_CLEAR),
    "st-cred-mech": (_FLAG, "short-term credentials are not for TURN; use lt-cred-mech"),
}

OPTIONS: dict[str, Option] = {
    name: Option(name, takes, treatment, says)
    for treatment, table in (
        (Treatment.TAKEN, _TAKEN),
        (Treatment.NEEDLESS, _NEEDLESS),
        (Treatment.IGNORED, _IGNORED),
        (Treatment.REFUSED, _REFUSED),
    )
    for name, (takes, says) in table.items()
}
"""Every option by name."""
