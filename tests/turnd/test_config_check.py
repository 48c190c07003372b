"""Keys that contradict each other, and what is missing on the machine."""

from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from turnd.config import Config, ConfigError, load_config, warnings

KEY_32 = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def failure(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "turnd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("[listen]\nudp=[]\ntcp=[]\ntls=[]\ndtls=[]", 2, "listen.udp", "no listener at all"),
        (
            '[listen]\nudp = ["[::]:1",\n"[0::0]:1"]',
            3,
            "listen.udp[1]",
            '"[::]:1" is listed twice',
        ),
        (
            '[listen]\ndetect_tls = false\ntcp = ["[::]:1"]\ntls = ["[::]:1"]',
            4,
            "listen.tls[0]",
            "listen.detect_tls = true",
        ),
        (
            '[metrics]\nlisten = "127.0.0.1:3478"',
            2,
            "metrics.listen",
            'TURN clients have "0.0.0.0:3478"',
        ),
        (
            '[nat_discovery]\nalternate_address = "192.0.2.2"',
            2,
            "nat_discovery.alternate_address",
            "not a wildcard, first in listen.udp",
        ),
        (
            '[listen]\nudp = ["192.0.2.2:1"]\n[nat_discovery]\nalternate_address = "192.0.2.2"',
            4,
            "nat_discovery.alternate_address",
            "take a second one",
        ),
        (
            '[listen]\nudp = ["192.0.2.1:9"]\n[nat_discovery]\nalternate_address = "192.0.2.2"\n'
            "alternate_port = 9",
            5,
            "nat_discovery.alternate_port",
            "take another one",
        ),
        ('[tls]\ncertificate = "x"', 2, "tls.certificate", "set tls.private_key"),
        ('[tls]\nprivate_key = "x"', 2, "tls.private_key", "set tls.certificate"),
        ('[tls]\nprivate_key_password = "x"', 2, "tls.private_key_password", "to open"),
        (
            '[tls]\nself_signed_names = ["a.b", "a..b"]',
            2,
            "tls.self_signed_names[1]",
            "no host name",
        ),
        ('[tls]\nself_signed_names = [""]', 2, "tls.self_signed_names[0]", "no host name"),
        ('[tls]\nciphers = "NOTHING"', 2, "tls.ciphers", "openssl ciphers -v"),
        (
            "[relay]\nmaximum_lifetime = 60",
            1,
            "relay.default_lifetime",
            "is more than relay.maximum_lifetime, 60",
        ),
        ('[relay]\naddresses = ["0.0.0.0"]', 2, "relay.addresses[0]", "can't be a wildcard"),
        ('[relay]\naddresses = ["::1", "::1"]', 2, "relay.addresses[1]", "is listed twice"),
        (
            '[relay]\naddresses = ["10.0.0.1"]\nexternal = ["203.0.113.1/10.0.0.2"]',
            3,
            "relay.external[0]",
            "10.0.0.2 is not one of relay.addresses",
        ),
        (
            '[relay]\nexternal = ["203.0.113.1", "203.0.113.2"]',
            2,
            "relay.external[1]",
            "write PUBLIC/PRIVATE to map several",
        ),
        ("[auth]\npassword_algorithms = []", 2, "auth.password_algorithms", "is empty"),
        (
            '[auth]\npassword_algorithms = ["MD5", "MD5"]',
            2,
            "auth.password_algorithms",
            "names one twice",
        ),
        ('[auth]\nsecrets = ["a", ""]', 2, "auth.secrets[1]", "anyone could mint credentials"),
        ('[[auth.users]]\nname = "a"', 1, "auth.users[0]", "needs a password, or stored keys"),
        (
            f'[[auth.users]]\nname = "a"\npassword = "b"\nkey = "{"0" * 32}"',
            1,
            "auth.users[0]",
            "not both",
        ),
        (
            '[[auth.users]]\nname = "a"\npassword = "b"\nrealm = "c"',
            4,
            "auth.users[0].realm",
            'there is no realm "c"',
        ),
        (
            '[[auth.users]]\nname = "a"\npassword = "b"\n'
            '[[auth.users]]\nname = "a"\npassword = "c"\nrealm = "turnd.local"',
            5,
            "auth.users[1].name",
            'is in realm "turnd.local" already',
        ),
        (
            '[[auth.oauth_keys]]\nkid = "a"\nkey = "AAAA"',
            3,
            "auth.oauth_keys[0].key",
            "has 3 bytes and A256GCM takes 32",
        ),
        (
            f'[[auth.oauth_keys]]\nkid = "a"\nkey = "{KEY_32}"\n'
            f'[[auth.oauth_keys]]\nkid = "a"\nkey = "{KEY_32}"',
            5,
            "auth.oauth_keys[1].kid",
            'another key "a"',
        ),
        ('[[realms]]\nname = "turnd.local"', 2, "realms[0].name", "set up by [quota]"),
        (
            '[[realms]]\nname = "a"\norigins = ["x"]\n[[realms]]\nname = "b"\norigins = ["x"]',
            6,
            "realms[1].origins[0]",
            "leads to another realm",
        ),
        (
            '[[realms]]\nname = "a"\nsecrets = [""]',
            3,
            "realms[0].secrets[0]",
            "anyone could mint",
        ),
        ('[server]\nuser = "no-such-user"', 2, "server.user", "there is no user"),
        ('[server]\ngroup = "no-such-group"', 2, "server.group", "there is no group"),
        ('[log]\nfile = "/no/such/folder/x"', 2, "log.file", "there is no folder /no/such/folder"),
    ],
)
def test_a_contradiction_names_the_key_to_change(
    tmp_path: Path, text: str, line: int, key: str, message: str
) -> None:
    error = failure(tmp_path, text)
    assert (error.line, error.key) == (line, key)
    assert message in error.message


def test_ports_that_the_system_chooses_do_not_clash() -> None:
    ports = ("127.0.0.1:0", "127.0.0.1:0")
    config = load_config(
        None,
        overrides={"listen.udp": ports, "listen.tcp": ports, "listen.tls": ports[:1]},
    )
    assert config.listen.udp[0].port == 0


def test_one_port_may_be_in_both_lists_while_they_are_told_apart() -> None:
    config = load_config(
        None,
        overrides={
            "listen.tcp": "[::]:443",
            "listen.tls": "[::]:443,[::]:5349",
            "listen.udp": "[::]:3478",
            "listen.dtls": "",
        },
    )
    assert [(str(s.endpoint), s.plain, s.secured) for s in config.listen.streams] == [
        ("[::]:443", True, True),
        ("[::]:5349", True, True),
    ]
    # No DTLS anywhere: nor is it found out on the plain port.
    assert [(str(s.endpoint), s.plain, s.secured) for s in config.listen.datagrams] == [
        ("[::]:3478", True, False)
    ]


def test_ports_keep_to_their_kind_when_nothing_is_told_apart() -> None:
    config = load_config(
        None,
        overrides={"listen.tcp": "[::]:1", "listen.tls": "[::]:2", "listen.detect_tls": False},
    )
    assert [(s.plain, s.secured) for s in config.listen.streams] == [(True, False), (False, True)]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    certificate = authority.issue_cert("turn.example.org")
    (folder / "chain.pem").write_bytes(b"".join(b.bytes() for b in certificate.cert_chain_pems))
    (folder / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    (folder / "other.pem").write_bytes(authority.issue_cert("x").private_key_pem.bytes())
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
        )
    )
    (folder / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    return folder


def tls(folder: Path, certificate: str, key: str, password: str = "") -> Config:
    return load_config(
        None,
        overrides={
            "tls.certificate": str(folder / certificate),
            "tls.private_key": str(folder / key),
            "tls.private_key_password": password,
        },
    )


def test_a_certificate_with_its_key_is_taken(pem: Path) -> None:
    assert tls(pem, "chain.pem", "key.pem").tls.certificate == str(pem / "chain.pem")


def test_an_encrypted_key_opens_with_its_password(pem: Path) -> None:
    tls(pem, "chain.pem", "locked.pem", "open sesame")


@pytest.mark.parametrize(
    ("certificate", "key", "password", "message"),
    [
        ("chain.pem", "other.pem", "", "tls.private_key: is not the key of the first certificate"),
        ("chain.pem", "locked.pem", "", "tls.private_key: is encrypted; set"),
        ("chain.pem", "locked.pem", "wrong", "holds no PEM private key that this password opens"),
        ("chain.pem", "key.pem", "superfluous", "tls.private_key: is not encrypted; unset"),
        ("chain.pem", "chain.pem", "", "holds no usable PEM private key"),
        ("chain.pem", "missing.pem", "", "can't be read: No such file"),
        ("missing.pem", "key.pem", "", "tls.certificate: "),
        ("key.pem", "key.pem", "", "holds no PEM certificate"),
        ("junk.pem", "key.pem", "", "holds no PEM certificate"),
    ],
)
def test_a_certificate_that_will_not_work_is_refused(
    pem: Path, certificate: str, key: str, password: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        tls(pem, certificate, key, password)
    assert message in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_files_are_left_alone_on_request() -> None:
    config = load_config(
        None,
        overrides={"tls.certificate": "/no/c.pem", "tls.private_key": "/no/k.pem"},
        check_files=False,
    )
    assert config.tls.certificate == "/no/c.pem"


GOOD_SECRET = "a long enough shared secret"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({}, "every Allocate is refused"),
        ({"auth.mechanism": "none"}, "anyone may relay"),
        ({"auth.secrets": ["short"]}, "auth.secrets: one is shorter than 16 characters"),
        (
            {"auth.secrets": [GOOD_SECRET], "realms": [{"name": "b", "secrets": ["short"]}]},
            "realms[0].secrets: one is shorter",
        ),
        (
            {"auth.users": [{"name": "a", "key": "0" * 32}]},
            "users have MD5 keys only and SHA-256 is offered",
        ),
        (
            {
                "auth.users": [
                    {"name": "a", "key": "0" * 32},
                    {"name": "b", "password": "c"},
                ]
            },
            "some have an MD5 key only",
        ),
        (
            {"auth.users": [{"name": "a", "key_sha256": "0" * 64}]},
            "some have a SHA-256 key only",
        ),
        ({"peers.deny_special": False}, "peers.deny_special"),
        ({"relay.permission_lifetime": 30}, "RFC 8656 §9 says 300"),
        ({"relay.channel_lifetime": 60}, "RFC 8656 §12 says 600"),
        ({"relay.maximum_lifetime": 599, "relay.default_lifetime": 599}, "600 at least"),
        ({"relay.ports": "1000-2000"}, "ports below 1024"),
        ({"tls.minimum_version": "1.3"}, "DTLS is 1.2 all the same"),
        ({"metrics.listen": "0.0.0.0:9641"}, "can be reached from outside"),
    ],
)
def test_what_is_allowed_but_unwise_is_said(overrides: dict[str, Any], message: str) -> None:
    base = {} if not overrides or "auth.secrets" in overrides else {"auth.secrets": [GOOD_SECRET]}
    said = warnings(load_config(None, overrides={**base, **overrides}))
    assert any(message in sentence for sentence in said), said


def test_a_sound_configuration_gets_no_advice() -> None:
    assert warnings(load_config(None, overrides={"auth.secrets": [GOOD_SECRET]})) == ()


def test_a_stun_only_server_needs_no_credentials() -> None:
    overrides = {"relay.udp": False, "relay.tcp": False}
    assert warnings(load_config(None, overrides=overrides)) == ()
