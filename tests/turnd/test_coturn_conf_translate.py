"""What single options of coturn mean, where the mapping is not word for word."""

from pathlib import Path
from typing import Any

import pytest

from turnd.config import Config, ConfigError, load_config
from turnd.coturn_conf import (
    CoturnConfError,
    Diagnostic,
    convert_to_toml,
    is_toml,
    load_any,
    load_coturn,
)


def read(folder: Path, text: str) -> tuple[Config, list[str]]:
    path = folder / "turnserver.conf"
    path.write_text(text)
    config, diagnostics = load_coturn(path, check_files=False)
    return config, [said(diagnostic) for diagnostic in diagnostics]


def said(diagnostic: Diagnostic) -> str:
    return str(diagnostic).partition("turnserver.conf")[2].lstrip(":")


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(CoturnConfError) as caught:
        read(folder, text)
    return str(caught.value).partition("turnserver.conf")[2].lstrip(":")


CERT = "cert=cert.pem\npkey=key.pem\n"


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("listening-port=3000", "listen", "udp", ("0.0.0.0:3000", "[::]:3000")),
        ("listening-ip=192.0.2.1", "listen", "tcp", ("192.0.2.1:3478",)),
        ("listening-ip=2001:db8::1\nlistening-port=1", "listen", "udp", ("[2001:db8::1]:1",)),
        (CERT + "tls-listening-port=443", "listen", "tls", ("0.0.0.0:443", "[::]:443")),
        ("tls-listening-port=443", "listen", "tls", ()),
        (CERT + "no-tls", "listen", "tls", ()),
        (CERT + "no-dtls", "listen", "dtls", ()),
        (CERT + "no-dtls=off", "listen", "dtls", ("0.0.0.0:5349", "[::]:5349")),
        ("no-udp", "listen", "udp", ()),
        ("listening-ip=192.0.2.1\nno-tcp", "listen", "tcp", ()),
        (
            "listening-ip=192.0.2.1\naux-server=192.0.2.1:33478\naux-server=192.0.2.1:3478",
            "listen",
            "udp",
            ("192.0.2.1:3478", "192.0.2.1:33478"),
        ),
        ("listening-ip=192.0.2.1\ntcp-proxy-port=5555", "listen", "tcp", ("192.0.2.1:5555",)),
        ("tcp-proxy-port=5555", "listen", "proxy_protocol", ("0.0.0.0/0", "::/0")),
        ("max-allocate-timeout=30", "listen", "idle_timeout", 30.0),
        ("no-stun-backward-compatibility", "listen", "classic_stun", False),
        ("listening-ip=192.0.2.1\nlistening-ip=192.0.2.2", "nat_discovery", "alternate_port", 3479),
        ("listening-ip=::1\nrelay-ip=192.0.2.1", "relay", "addresses", ("192.0.2.1",)),
        ("listening-ip=192.0.2.1", "relay", "addresses", ("192.0.2.1",)),
        ("listening-ip=0.0.0.0", "relay", "addresses", ()),
        ("min-port=50000", "relay", "ports", "50000-65535"),
        ("max-port=50000", "relay", "ports", "49152-50000"),
        ("external-ip=203.0.113.1", "relay", "external", ("203.0.113.1",)),
        ("no-tcp-relay", "relay", "tcp", False),
        ("stun-only", "relay", "udp", False),
        ("max-allocate-lifetime=60", "relay", "default_lifetime", 60),
        ("max-bps=125000", "quota", "bandwidth_per_allocation", 125000),
        ("bps-capacity=1", "quota", "bandwidth_total", 1),
        ("user-quota=5", "quota", "allocations_per_user", 5),
        ("total-quota=100", "quota", "allocations", 100),
        ("allow-loopback-peers", "peers", "allow", ("127.0.0.0/8", "::1")),
        ("allowed-peer-ip=10.0.0.0-10.0.0.9", "peers", "allow", ("10.0.0.0-10.0.0.9",)),
        ("denied-peer-ip=::-::ffff", "peers", "deny", ("::-::ffff",)),
        ("no-auth", "auth", "mechanism", "none"),
        ("no-auth=off", "auth", "mechanism", "long-term"),
        ("", "auth", "mechanism", "long-term"),
        ("static-auth-secret=a\nstatic-auth-secret=b", "auth", "secrets", ("a", "b")),
        ('static-auth-secret="q u o"', "auth", "secrets", ("q u o",)),
        ("rest-api-separator=-", "auth", "rest_separator", "-"),
        ("stale-nonce", "auth", "nonce_lifetime", 600),
        ("stale-nonce=1200", "auth", "nonce_lifetime", 1200),
        ("stale-nonce=0", "auth", "nonce_lifetime", 86400),
        ("secure-stun", "auth", "authenticate_binding", True),
        ("realm=example.org", "server", "realm", "example.org"),
        ("relay-threads=0", "server", "threads", 1),
        ("relay-threads=4", "server", "threads", 4),
        ("mobility", "mobility", "enabled", True),
        ("verbose", "log", "level", "info"),
        ("verbose\nVerbose", "log", "level", "debug"),
        ("log-file=/var/log/turn.log", "log", "file", "/var/log/turn.log"),
        ("log-file=/var/log/turn.log\nsyslog", "log", "file", ""),
        ("log-file=stdout", "log", "file", ""),
        ("", "metrics", "listen", None),
        ("prometheus", "metrics", "listen", "0.0.0.0:9641"),
        ("prometheus\nprometheus-port=9000", "metrics", "listen", "0.0.0.0:9000"),
        ("prometheus\nprometheus-address=::1", "metrics", "listen", "[::1]:9641"),
        ("prometheus\nprometheus-username-labels", "metrics", "per_user", True),
        ("alternate-server=192.0.2.1", "redirect", "alternate_servers", ("192.0.2.1:3478",)),
        (
            "tls-alternate-server=[2001:db8::1]",
            "redirect",
            "tls_alternate_servers",
            ("[2001:db8::1]:5349",),
        ),
        ("alternate-server=192.0.2.1:5", "redirect", "alternate_servers", ("192.0.2.1:5",)),
        (CERT + "no-tlsv1_2", "tls", "minimum_version", "1.3"),
        (CERT + "no-tlsv1_2", "listen", "dtls", ()),
        (CERT + 'cipher-list="DEFAULT"', "tls", "ciphers", ""),
        (CERT + 'cipher-list="ECDHE+AESGCM"', "tls", "ciphers", "ECDHE+AESGCM"),
        ("proc-user=nobody", "server", "user", "nobody"),
        (
            "unauthorized-ratelimit\nunauthorized-ratelimit-rps=3",
            "rate_limit",
            "unauthenticated_per_prefix",
            3.0,
        ),
        ("unauthorized-ratelimit-rps=3", "rate_limit", "unauthenticated_per_prefix", 200.0),
    ],
)
def test_an_option_means(tmp_path: Path, text: str, section: str, key: str, value: Any) -> None:
    config, _ = read(tmp_path, text)
    assert getattr(getattr(config, section), key) == value


def test_file_names_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    config, _ = read(tmp_path, CERT + "pkey-pwd=open sesame")
    assert config.tls.certificate == str(tmp_path / "cert.pem")
    assert config.tls.private_key == str(tmp_path / "key.pem")
    assert config.tls.private_key_password == "open sesame"


def test_two_listening_addresses_of_a_family_turn_nat_discovery_on(tmp_path: Path) -> None:
    text = "listening-ip=192.0.2.1\nlistening-ip=::1\nlistening-ip=192.0.2.2\n"
    config, _ = read(tmp_path, text)
    assert config.nat_discovery.alternate_address == "192.0.2.2"
    config, _ = read(tmp_path, text + "alt-listening-port=9000")
    assert config.nat_discovery.alternate_port == 9000
    config, _ = read(tmp_path, text + "no-rfc5780")
    assert config.nat_discovery.alternate_address is None
    config, _ = read(tmp_path, "listening-ip=192.0.2.1\nlistening-ip=::1")
    assert config.nat_discovery.alternate_address is None


def test_users_have_passwords_or_keys_and_keys_leave_md5_alone_on_offer(tmp_path: Path) -> None:
    key = "bc807ee29df3c9ffa736523fb2c4e8ee"
    config, remarks = read(tmp_path, f"realm=north.gov\nuser=a:b:c\nuser=ninefingers:0x{key}")
    assert [(u.name, u.password, u.key) for u in config.auth.users] == [
        ("a", "b:c", ""),
        ("ninefingers", "", key),
    ]
    assert config.auth.password_algorithms == ("MD5",)
    assert any("SHA-256 is not offered" in remark for remark in remarks)


def test_passwords_alone_leave_both_algorithms_on_offer(tmp_path: Path) -> None:
    config, _ = read(tmp_path, "realm=x\nuser=a:b")
    assert config.auth.password_algorithms == ("SHA-256", "MD5")


def test_the_last_user_of_a_name_counts(tmp_path: Path) -> None:
    config, remarks = read(tmp_path, "user=a:first\nuser=a:second")
    assert [user.password for user in config.auth.users] == ["second"]
    assert "1: warning: user: not used: line 2 has a user of the same name" in remarks


@pytest.mark.parametrize(
    "secret", ["use-auth-secret\nstatic-auth-secret=s", "static-auth-secret=s"]
)
def test_long_term_and_secret_together_mean_time_limited_credentials_only(
    tmp_path: Path, secret: str
) -> None:
    config, remarks = read(tmp_path, f"lt-cred-mech\n{secret}\nuser=a:hunter2")
    assert config.auth.mechanism == "long-term"
    assert config.auth.secrets == ("s",)
    assert config.auth.users == ()
    assert any("user: not used" in remark for remark in remarks)
    assert "hunter2" not in "".join(remarks)


def test_no_credentials_at_all_is_not_an_open_relay(tmp_path: Path) -> None:
    config, remarks = read(tmp_path, "realm=x")
    assert config.auth.mechanism == "long-term"
    assert any("turnd refuses every Allocate" in remark for remark in remarks)


def test_credentials_that_are_in_coturns_default_database_are_asked_for(tmp_path: Path) -> None:
    _, remarks = read(tmp_path, "use-auth-secret")
    assert any(r.startswith("1: warning: use-auth-secret: no user and no secret") for r in remarks)


def test_a_wide_allow_list_does_not_open_loopback(tmp_path: Path) -> None:
    config, remarks = read(tmp_path, "allowed-peer-ip=0.0.0.0-255.255.255.255\nno-multicast-peers")
    allowed = config.peers.allow
    assert [str(part) for part in allowed] == [
        "1.0.0.0-126.255.255.255",
        "128.0.0.0-223.255.255.255",
    ]
    assert any("stay closed" in remark for remark in remarks)
    config, _ = read(tmp_path, "allowed-peer-ip=126.0.0.0-128.0.0.0\nallow-loopback-peers")
    assert "126.0.0.0-128.0.0.0" in config.peers.allow


def test_the_safe_peer_policy_stays_and_is_said_once(tmp_path: Path) -> None:
    config, remarks = read(tmp_path, "allowed-peer-ip=10.0.0.1\ndenied-peer-ip=8.8.8.8")
    assert config.peers.deny_special
    assert sum("special-purpose peer addresses are denied" in remark for remark in remarks) == 1


def test_mappings_that_coturn_passes_over_are_passed_over(tmp_path: Path) -> None:
    config, remarks = read(
        tmp_path,
        "relay-ip=10.0.0.1\nexternal-ip=203.0.113.1/10.0.0.1\nexternal-ip=203.0.113.2/10.0.0.2\n"
        "external-ip=203.0.113.3/10.0.0.1\n",
    )
    assert config.relay.external == ("203.0.113.1/10.0.0.1",)
    assert any(r.startswith("3: warning: external-ip: ignored: nothing") for r in remarks)
    assert any(r.startswith("4: warning: external-ip: ignored, as by coturn") for r in remarks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listening-ip=eth0", "1: listening-ip: 'eth0' is not an IP address"),
        ("external-ip=turn.example.org", "1: external-ip: 'turn.example.org' is not an IP address"),
        ("listening-port=0", "1: listening-port: 0 is not within 1-65535"),
        ("listening-port=many", "1: listening-port: is not a number"),
        ("min-port=3\nmax-port=2", "2: max-port: min-port 3 is above max-port 2"),
        ("fingerprint=perhaps", "1: fingerprint: is neither on nor off"),
        ("user=alice", "1: user: is not NAME:PASSWORD"),
        ("user=alice:0x12", "1: user: a key is 0x and 32 hexadecimal digits"),
        ("no-auth\nlt-cred-mech", "1: no-auth: can't go together"),
        ("no-udp-relay\nno-tcp-relay", "2: no-tcp-relay: nothing is left to relay; use stun-only"),
        ("listening-device=eth0", "1: listening-device: listening is by address"),
        ("psql-userdb=host=x", "1: psql-userdb: PostgreSQL is not read here"),
        ("redis-userdb=ip=x", "1: redis-userdb: Redis is not read here"),
        ("CA-file=ca.pem", "1: CA-file: client certificates are not asked for"),
        ("userdb=missing.db", "1: userdb: "),
        ("denied-peer-ip=1.2.3.4-::1", '1: denied-peer-ip: "1.2.3.4-::1" mixes IPv4 and IPv6'),
        ("alternate-server=here", "1: alternate-server: "),
        ("log-min-level=loud", "1: log-min-level: is none of"),
    ],
)
def test_what_can_not_be_taken_is_refused_with_a_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    assert refusal(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("realm=", "1: warning: realm: has no value, needs a value; ignored"),
        ("static-auth-secret=", "1: warning: static-auth-secret: has no value"),
        ("min-port=50000;", "1: warning: min-port: read as 50000, as coturn does"),
        ("realm=x # mine", "1: warning: realm: there are no comments behind a value"),
        ("listening-device=lo\nlistening-ip=::1", "1: info: listening-device: nothing to do"),
        ("cert=c.pem", "1: warning: cert: not used: TLS and DTLS need both cert and pkey"),
        ("prometheus-port=1", "1: info: prometheus-port: not used: prometheus is not set"),
        ("oauth", "1: warning: oauth: coturn has its token keys in a database"),
        ("server-relay", "1: warning: server-relay: ignored: permissions are always checked"),
        ("no-cli", "1: info: no-cli: nothing to do"),
    ],
)
def test_what_is_ignored_is_explained(tmp_path: Path, text: str, remark: str) -> None:
    _, remarks = read(tmp_path, text)
    assert any(line.startswith(remark) for line in remarks), remarks


def test_an_empty_secret_is_not_a_secret(tmp_path: Path) -> None:
    config, _ = read(tmp_path, "use-auth-secret\nstatic-auth-secret=\nstatic-auth-secret=s")
    assert config.auth.secrets == ("s",)


def test_latin1_in_a_value_is_an_error_and_in_a_comment_is_none(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_bytes(b"# Stra\xdfe\nrealm=stra\xdfe\n")
    with pytest.raises(CoturnConfError, match=r"turnserver\.conf:2: realm: is not UTF-8 text"):
        load_coturn(path)


def test_environment_and_flags_are_above_a_turnserver_conf(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("realm=file\nlistening-port=1\nstatic-auth-secret=s\n")
    config, _ = load_any(path, {"TURND_SERVER__REALM": "env"}, {"listen.udp": "127.0.0.1:0"})
    assert config.server.realm == "env"
    assert config.listen.udp == ("127.0.0.1:0",)
    assert config.listen.tcp[0].port == 1


def test_what_does_not_fit_together_names_the_line_of_the_turnserver_conf(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("# nothing\nproc-user=no-such-user\n")
    with pytest.raises(ConfigError) as caught:
        load_coturn(path)
    assert (caught.value.line, caught.value.key) == (2, "server.user")


@pytest.mark.parametrize(
    ("name", "text", "toml"),
    [
        ("x.toml", "realm=x", True),
        ("turnserver.conf", "realm=example.org", False),
        ("turnserver.conf", "listening-port=3478", False),
        ("turnserver.conf", "# all\n#commented\n", False),
        ("turnserver.conf", "\n# hi\n[server]\n", True),
        ("config", "[listen]\n", True),
        ("config", 'server.realm = "x"', True),
        ("config", "server-name=x", False),
        ("config", "realm=x", False),
        ("config", "", True),
    ],
)
def test_the_format_is_told_by_name_then_by_the_first_line(
    tmp_path: Path, name: str, text: str, toml: bool
) -> None:
    (tmp_path / name).write_text(text)
    assert is_toml(tmp_path / name) is toml


def test_either_format_loads(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[server]\nrealm = 'toml'")
    (tmp_path / "b").write_text("realm=coturn\nstatic-auth-secret=s")
    assert load_any(tmp_path / "a")[0].server.realm == "toml"
    assert load_any(tmp_path / "b")[0].server.realm == "coturn"
    assert load_any(None)[0] == Config()


def test_a_converted_file_loads_as_the_same(tmp_path: Path) -> None:
    text = (
        "realm=example.org\nlistening-ip=192.0.2.1\nlistening-ip=192.0.2.2\n" + CERT + "no-dtls\n"
        'lt-cred-mech\nuser=a:b"c\\d\nuser=e:0x'
        + "ab"
        * 16
        + "\nexternal-ip=203.0.113.1/192.0.2.1\n"
        "denied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.0.0.7\nmax-bps=100\n"
        "stale-nonce=0\nprometheus\nlog-file=turn.log\n"
    )
    config, _ = read(tmp_path, text)
    toml, diagnostics = convert_to_toml(tmp_path / "turnserver.conf")
    (tmp_path / "turnd.toml").write_text(toml)
    assert load_config(tmp_path / "turnd.toml", check_files=False) == config
    assert diagnostics
