"""Certificates: what a bad file is told to be, self-signed ones, replacement."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path

import pytest
import structlog.testing
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from turnd.transports.certificates import CertificateStore
from turnd.transports.pem import CertificateError, load_key_pair, make_self_signed
from turnd.transports.settings import TlsSettings, TlsVersion

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> tuple[Path, Path]:
    """A chain file and a key file that fit each other."""
    issued = authority.create_child_ca().issue_cert("turn.example")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return chain, key


def encrypted(key: Path, password: bytes) -> None:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    )


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_a_chain_and_its_key_are_loaded(files: tuple[Path, Path]) -> None:
    pair = load_key_pair(*files)
    assert len(pair.chain) == 2
    assert pair.certificate.public_key() == pair.key.public_key()
    assert "PRIVATE" not in repr(pair)


def test_both_may_be_in_one_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = files
    for order in ((chain, key), (key, chain)):
        both = tmp_path / "both.pem"
        both.write_bytes(b"".join(path.read_bytes() for path in order))
        assert load_key_pair(both, both).to_pem() == load_key_pair(chain, key).to_pem()


def test_a_key_as_openssl_ecparam_writes_it_is_taken(tmp_path: Path) -> None:
    pair = make_self_signed(["turn.example"], NOW)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(pair.to_pem())
    traditional = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    # prime256v1 as an OBJECT IDENTIFIER, which is all that block holds.
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key.write_bytes(parameters + traditional)
    assert load_key_pair(chain, key).chain == pair.chain


def test_an_encrypted_key_needs_its_password(files: tuple[Path, Path]) -> None:
    chain, key = files
    encrypted(key, b"correct")
    assert len(load_key_pair(chain, key, "correct").chain) == 2
    with pytest.raises(CertificateError, match=r"key\.pem.*encrypted and no password"):
        load_key_pair(chain, key)
    with pytest.raises(CertificateError, match=r"key\.pem.*wrong password") as raised:
        load_key_pair(chain, key, "incorrect")
    assert "incorrect" not in str(raised.value)


def test_a_password_that_is_not_needed_does_no_harm(files: tuple[Path, Path]) -> None:
    assert load_key_pair(*files, "unneeded").to_pem() == load_key_pair(*files).to_pem()


def missing(chain: Path, key: Path) -> str:
    chain.unlink()
    return r"chain\.pem: there is no such file"


def a_directory(chain: Path, key: Path) -> str:
    key.unlink()
    key.mkdir()
    return r"key\.pem: can't be read: Is a directory"


def binary(chain: Path, key: Path) -> str:
    chain.write_bytes(b"\x30\x82\x01\x02")
    return r"chain\.pem: is not a PEM file"


def swapped(chain: Path, key: Path) -> str:
    chain.write_bytes(key.read_bytes())
    return r"chain\.pem: has no certificate in it"


def no_key(chain: Path, key: Path) -> str:
    key.write_bytes(chain.read_bytes())
    return r"key\.pem: has no private key in it"


def damaged_certificate(chain: Path, key: Path) -> str:
    chain.write_bytes(chain.read_bytes()[:200] + b"\n-----END CERTIFICATE-----\n")
    return r"chain\.pem: has a certificate that can't be read"


def damaged_key(chain: Path, key: Path) -> str:
    lines = key.read_bytes().splitlines(keepends=True)
    key.write_bytes(lines[0] + lines[1] + lines[-1])
    return r"key\.pem: the private key can't be read"


def other_key(chain: Path, key: Path) -> str:
    key.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
    return r"key\.pem: this is not the private key of the certificate .*chain\.pem"


def dsa_key(chain: Path, key: Path) -> str:
    key.write_bytes(pem_of(dsa.generate_private_key(2048)))
    return r"key\.pem: holds a kind of key that TLS servers don't use"


def endless(chain: Path, key: Path) -> str:
    chain.write_bytes(b"\n" * (1024 * 1024 + 1))
    return r"chain\.pem: is larger than"


@pytest.mark.parametrize(
    "spoil",
    [
        missing,
        a_directory,
        binary,
        swapped,
        no_key,
        damaged_certificate,
        damaged_key,
        other_key,
        dsa_key,
        endless,
    ],
)
def test_an_error_names_the_file_and_what_is_wrong(files: tuple[Path, Path], spoil: object) -> None:
    assert callable(spoil)
    problem = spoil(*files)
    store = CertificateStore(TlsSettings())
    store.make_self_signed(["turn.example"])
    before = store.tls_context
    with pytest.raises(CertificateError, match=problem):
        store.load(*files)
    assert store.tls_context is before  # what was in force stays


def test_a_self_signed_certificate_names_hosts_and_addresses_and_is_announced() -> None:
    store = CertificateStore(TlsSettings(), wall_clock=lambda: NOW)
    with structlog.testing.capture_logs() as logs:
        store.make_self_signed(["turn.example", "192.0.2.1", "2001:db8::1"])
    assert [entry["event"] for entry in logs] == ["certificate-self-signed"]
    # Python's own reading of it, so that not only our writer says so.
    names = ssl_view(store)["subjectAltName"]
    assert names == (
        ("DNS", "turn.example"),
        ("IP Address", "192.0.2.1"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1"),
    )
    key = store.key_pair.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert store.not_after is not None
    assert store.not_after > NOW


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["a..b", "turn.example"], [("DNS", "turn.example")]),
        (["My home", "192.0.2.1"], [("IP Address", "192.0.2.1")]),
        (["x" * 64 + ".example"], [("DNS", "localhost")]),
        ([""], [("DNS", "localhost")]),
        (["y" * 60 + ".longer.example"], [("DNS", "y" * 60 + ".longer.example")]),
    ],
)
def test_what_can_be_in_no_certificate_is_left_out_of_ours(
    names: list[str], known: list[tuple[str, str]]
) -> None:
    store = CertificateStore(TlsSettings())
    store.make_self_signed(names)  # a realm is any text
    assert ssl_view(store)["subjectAltName"] == tuple(known)


def ssl_view(store: CertificateStore) -> dict[str, object]:
    """What Python's ssl says of the certificate that the TLS context shows."""
    client_context = ssl.create_default_context()
    client_context.load_verify_locations(cadata=store.key_pair.to_pem().decode())
    client_context.check_hostname = False
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = store.tls_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = client.getpeercert()
    assert certificate is not None
    return dict(certificate)


@pytest.mark.parametrize(
    ("now_offset", "event"),
    [
        (datetime.timedelta(days=-1), "certificate-not-yet-valid"),
        (datetime.timedelta(days=1), None),
        (datetime.timedelta(days=360), "certificate-expires-soon"),
        (datetime.timedelta(days=366), "certificate-expired"),
    ],
)
def test_a_certificate_outside_its_time_is_used_and_warned_of(
    tmp_path: Path, now_offset: datetime.timedelta, event: str | None
) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(make_self_signed(["turn.example"], NOW).to_pem())
    store = CertificateStore(TlsSettings(), wall_clock=lambda: NOW + now_offset)
    with structlog.testing.capture_logs() as logs:
        store.load(path, path)
    warned = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert warned == ([event] if event else [])
    assert store.key_pair.certificate.subject.rfc4514_string() == "CN=turn.example"


def test_reload_reads_the_same_files_and_makes_new_contexts(
    files: tuple[Path, Path], authority: trustme.CA
) -> None:
    chain, key = files
    store = CertificateStore(TlsSettings())
    store.load(chain, key)
    tls, dtls, before = store.tls_context, store.dtls_context, store.key_pair.fingerprint
    renewed = authority.issue_cert("turn.example")
    renewed.cert_chain_pems[0].write_to_path(chain)
    renewed.private_key_pem.write_to_path(key)
    assert store.reload()
    assert store.key_pair.fingerprint != before
    assert store.tls_context is not tls
    assert store.dtls_context is not dtls


def test_a_self_signed_certificate_has_no_files_to_reload() -> None:
    store = CertificateStore(TlsSettings())
    store.make_self_signed([])
    before = store.key_pair
    assert not store.reload()
    assert store.key_pair is before


def test_an_unusable_cipher_list_is_refused_and_changes_nothing() -> None:
    store = CertificateStore(TlsSettings())
    store.make_self_signed([])
    before = store.tls_context
    with pytest.raises(ValueError, match="NO-SUCH-CIPHER"):
        store.reconfigure(TlsSettings(ciphers="NO-SUCH-CIPHER"))
    assert store.tls_context is before
    store.reconfigure(TlsSettings(minimum_version=TlsVersion.TLS_1_3))
    assert store.tls_context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_keys_never_touch_a_disk_and_leave_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = CertificateStore(TlsSettings())
    store.make_self_signed([])
    assert len(os.listdir("/proc/self/fd")) == before
