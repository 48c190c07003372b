"""Configurations as the guides of applications have people write them."""

from pathlib import Path

import pytest

from turnd.config import Config, load_config, render_toml
from turnd.coturn_conf import Severity, convert_to_toml, load_coturn

SYNAPSE = """
# Matrix: coturn with time-limited credentials
use-auth-secret
static-auth-secret=Zw2sFQ8nYc1q7rT9uH5mK3vX0pL6dJ4b
realm=turn.matrix.example.org
listening-port=3478
tls-listening-port=5349

# VoIP traffic is all UDP. There is no reason to let users connect to arbitrary TCP endpoints.
no-tcp-relay

# don't let the relay ever try to connect to private IP address ranges within your network
denied-peer-ip=10.0.0.0-10.255.255.255
denied-peer-ip=192.168.0.0-192.168.255.255
denied-peer-ip=172.16.0.0-172.31.255.255
no-multicast-peers
denied-peer-ip=0.0.0.0-0.255.255.255
denied-peer-ip=100.64.0.0-100.127.255.255
denied-peer-ip=127.0.0.0-127.255.255.255
denied-peer-ip=169.254.0.0-169.254.255.255
denied-peer-ip=::1
denied-peer-ip=64:ff9b::-64:ff9b::ffff:ffff
denied-peer-ip=::ffff:0.0.0.0-::ffff:255.255.255.255
denied-peer-ip=2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff
# special case the turn server itself so that client->TURN->TURN->client flows work
allowed-peer-ip=10.0.0.1

# consider whether you want to limit the quota of relayed streams per user
user-quota=12
total-quota=1200

cert=/etc/ssl/turn/fullchain.pem
pkey=/etc/ssl/turn/privkey.pem
no-tlsv1
no-tlsv1_1
external-ip=203.0.113.7
"""

NEXTCLOUD_TALK = """
listening-port=3478
fingerprint
use-auth-secret
static-auth-secret=c0ffee77c0ffee77c0ffee77c0ffee77
realm=cloud.example.org
total-quota=0
bps-capacity=0
stale-nonce
no-multicast-peers
no-stdout-log
simple-log
log-file=/var/log/turnserver.log
no-cli
"""

JITSI = """
# jitsi-meet coturn config. Do not modify this line
use-auth-secret
keep-address-family
static-auth-secret=jKq3ZpW8sVb1NcT5
realm=meet.example.org
cert=/etc/jitsi/meet/meet.example.org.crt
pkey=/etc/jitsi/meet/meet.example.org.key
no-multicast-peers
no-cli
no-loopback-peers
no-tcp-relay
no-tcp
listening-port=3478
tls-listening-port=5349
no-tlsv1
no-tlsv1_1
# https://ssl-config.mozilla.org/#server=haproxy&version=2.1&config=intermediate
cipher-list=ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384
# without it there are errors when running on Ubuntu 20.04
dh2066
# jitsi-meet coturn relay disable config. Do not modify this line
denied-peer-ip=0.0.0.0-0.255.255.255
denied-peer-ip=10.0.0.0-10.255.255.255
denied-peer-ip=240.0.0.0-255.255.255.255
syslog
"""

BIGBLUEBUTTON = """
listening-port=3478
tls-listening-port=443
listening-ip=192.0.2.10
relay-ip=192.0.2.10
min-port=32769
max-port=65535
verbose
fingerprint
lt-cred-mech
use-auth-secret
static-auth-secret=8f0d2c6b4a1e3957
realm=bbb.example.org
keep-address-family
cert=/etc/turnserver/fullchain.pem
pkey=/etc/turnserver/privkey.pem
cipher-list="ECDH+AESGCM:ECDH+CHACHA20:DH+AESGCM:ECDH+AES256:DH+AES256:!aNULL:!MD5:!DSS"
dh-file=/etc/turnserver/dhp.pem
no-tlsv1
no-tlsv1_1
no-rfc5780
no-stun-backward-compatibility
response-origin-only-with-rfc5780
no-cli
denied-peer-ip=0.0.0.0-255.255.255.255
denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
allowed-peer-ip=192.0.2.10
"""

HOME_ASSISTANT = """
listening-port=3478
listening-ip=192.168.1.20
relay-ip=192.168.1.20
external-ip=198.51.100.4/192.168.1.20
min-port=49160
max-port=49200
lt-cred-mech
user=homeassistant:letmein
realm=home.example.org
no-tls
no-dtls
mobility
pidfile="/var/run/turnserver.pid"
log-file=stdout
no-cli
allow-loopback-peers=no
"""

GUIDES = {
    "synapse": SYNAPSE,
    "nextcloud": NEXTCLOUD_TALK,
    "jitsi": JITSI,
    "bigbluebutton": BIGBLUEBUTTON,
    "home-assistant": HOME_ASSISTANT,
}


def read(folder: Path, text: str) -> Config:
    path = folder / "turnserver.conf"
    path.write_text(text)
    return load_coturn(path, strict=True, check_files=False)[0]


@pytest.mark.parametrize("text", GUIDES.values(), ids=GUIDES)
def test_a_guides_configuration_loads_and_converts_to_the_same(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    toml, diagnostics = convert_to_toml(tmp_path / "turnserver.conf", strict=True)
    (tmp_path / "turnd.toml").write_text(toml)
    assert load_config(tmp_path / "turnd.toml", check_files=False) == config
    assert not [d for d in diagnostics if d.severity is Severity.ERROR]
    (tmp_path / "full.toml").write_text(render_toml(config, reveal=True))
    assert load_config(tmp_path / "full.toml", check_files=False) == config


@pytest.mark.parametrize("text", GUIDES.values(), ids=GUIDES)
def test_no_remark_on_a_guides_configuration_repeats_a_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text(text)
    said = "\n".join(str(d) for d in load_coturn(path, check_files=False)[1])
    for secret in ("Zw2sFQ8n", "c0ffee", "jKq3ZpW8", "8f0d2c6b", "letmein"):
        assert secret not in said


def test_synapse_relays_udp_to_the_world_and_to_itself(tmp_path: Path) -> None:
    config = read(tmp_path, SYNAPSE)
    assert config.server.realm == "turn.matrix.example.org"
    assert config.auth.mechanism == "long-term"
    assert len(config.auth.secrets) == 1
    assert config.relay.udp
    assert not config.relay.tcp
    assert config.peers.allow == ("10.0.0.1",)
    assert len(config.peers.deny) == 13
    assert (config.quota.allocations_per_user, config.quota.allocations) == (12, 1200)
    assert config.relay.external[0].public.host == "203.0.113.7"
    assert config.listen.tls == ("0.0.0.0:5349", "[::]:5349")


def test_nextcloud_talk_has_plain_transports_only(tmp_path: Path) -> None:
    config = read(tmp_path, NEXTCLOUD_TALK)
    assert config.listen.udp == ("0.0.0.0:3478", "[::]:3478")
    assert config.listen.tls == config.listen.dtls == ()
    assert not any(listener.secured for listener in config.listen.streams)
    assert config.log.file == "/var/log/turnserver.log"


def test_jitsi_takes_tls_but_no_plain_tcp(tmp_path: Path) -> None:
    config = read(tmp_path, JITSI)
    assert [(str(s.endpoint), s.plain, s.secured) for s in config.listen.streams] == [
        ("0.0.0.0:5349", False, True),
        ("[::]:5349", False, True),
    ]
    assert config.tls.minimum_version == "1.2"


def test_bigbluebutton_shares_443_and_allow_beats_deny(tmp_path: Path) -> None:
    config = read(tmp_path, BIGBLUEBUTTON)
    assert [(str(s.endpoint), s.plain, s.secured) for s in config.listen.streams] == [
        ("192.0.2.10:3478", True, True),
        ("192.0.2.10:443", True, True),
    ]
    assert config.peers.allow == ("192.0.2.10",)
    assert config.peers.deny[0].covers(bytes((8, 8, 8, 8)))
    assert config.relay.ports.ports[0] == 32769
    assert config.relay.addresses == ("192.0.2.10",)


def test_home_assistant_has_one_user_behind_a_nat(tmp_path: Path) -> None:
    config = read(tmp_path, HOME_ASSISTANT)
    assert [(user.name, user.password) for user in config.auth.users] == [
        ("homeassistant", "letmein")
    ]
    assert config.relay.external == ("198.51.100.4/192.168.1.20",)
    assert config.mobility.enabled
    assert config.peers.allow == ()
    assert config.server.pidfile == "/var/run/turnserver.pid"
