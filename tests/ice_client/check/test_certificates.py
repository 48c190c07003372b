"""Certificates with something wrong, served by real TLS; names, times, chains, versions."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ice_client.check import verdicts as v
from ice_client.check.judge import judge
from ice_client.check.native_roots import LIBWEBRTC_ROOTS
from ice_client.check.results import Report
from tests.ice_client.check.fake_server import fake_server, relaying
from tests.ice_client.check.kit import check, provokes
from tests.ice_client.check.name_server import name_server
from tests.ice_client.check.sample import SAMPLE
from tests.interop.server_under_test import PASSWORD, USER, running_server

NAME = "turn.example.org"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@attrs.frozen(slots=True)
class Authority:
    """A certificate that signs others, or a leaf."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def issue(
    issuer: Authority | None,
    *,
    name: str = NAME,
    ca: bool = False,
    start: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 90 * DAY,
    key: Key | None = None,
) -> Authority:
    """Make a certificate; without an issuer it signs itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    signer = issuer.key if issuer else key
    return Authority(builder.sign(signer, hashes.SHA256()), key)


ROOT = issue(None, name="Root", ca=True, end=NOW + 900 * DAY)


async def check_tls(
    folder: Path, leaf: Authority, *chain: Authority, old: bool = False, root: Authority = ROOT
) -> Report:
    """Check a server that shows a leaf and a chain, trusting `root`."""
    (folder / "chain.pem").write_bytes(leaf.pem + b"".join(each.pem for each in chain))
    (folder / "key.pem").write_bytes(leaf.key_pem)
    (folder / "root.pem").write_bytes(root.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.minimum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    zone = {(NAME, "A"): ["127.0.0.1"], (NAME, "AAAA"): ["::1"]}
    script = relaying()
    async with fake_server(script, tls=context) as server, name_server(zone) as resolver:
        return await check(
            f"stuns:{NAME}:{server.port}",
            changes={
                "name_server": resolver,
                "ca_file": folder / "root.pem",
                "families": frozenset({"ipv4"}),
            },
        )


# Nobody's test authority is in libwebrtc's list: every chain that is trusted gets that warning.
NATIVE = (v.ROOT_NOT_NATIVE,)


@provokes(v.ROOT_NOT_NATIVE)
async def test_good_chain_of_a_root_that_libwebrtc_does_not_have(tmp_path: Path) -> Report:
    report = await check_tls(tmp_path, issue(ROOT))
    (shown,) = report.tls
    assert shown.version == "TLSv1.3"
    assert shown.trusted
    assert shown.name_matches
    assert shown.chain[0].names == (NAME,)
    assert shown.chain[0].key == "secp256r1"
    assert report.works
    return report


@provokes(v.CERTIFICATE_EXPIRED, beside=NATIVE)
async def test_expired_certificate(tmp_path: Path) -> Report:
    return await check_tls(tmp_path, issue(ROOT, start=NOW - 90 * DAY, end=NOW - DAY))


@provokes(v.CERTIFICATE_EXPIRED, beside=NATIVE)
async def test_expired_certificate_at_turnd(tmp_path: Path) -> Report:
    leaf = issue(ROOT, start=NOW - 90 * DAY, end=NOW - DAY)
    (tmp_path / "cert.pem").write_bytes(leaf.pem)
    (tmp_path / "key.pem").write_bytes(leaf.key_pem)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    changes: dict[str, dict[str, Any]] = {
        "tls": {"certificate": "cert.pem", "private_key": "key.pem"}
    }
    zone = {(NAME, "A"): ["127.0.0.1"], (NAME, "AAAA"): ["::1"]}
    async with running_server(tmp_path, changes) as server, name_server(zone) as resolver:
        return await check(
            f"turns:{NAME}:{server.secure_port}",
            changes={"name_server": resolver, "ca_file": tmp_path / "root.pem"},
            username=USER,
            password=PASSWORD,
        )


@provokes(v.CERTIFICATE_NOT_YET_VALID, beside=NATIVE)
async def test_certificate_of_tomorrow(tmp_path: Path) -> Report:
    return await check_tls(tmp_path, issue(ROOT, start=NOW + DAY))


@provokes(v.CERTIFICATE_EXPIRES_SOON, beside=NATIVE)
async def test_certificate_that_should_have_been_renewed(tmp_path: Path) -> Report:
    return await check_tls(tmp_path, issue(ROOT, end=NOW + 5 * DAY))


@provokes(v.CERTIFICATE_NAME, beside=NATIVE)
async def test_certificate_of_another_name(tmp_path: Path) -> Report:
    return await check_tls(tmp_path, issue(ROOT, name="www.example.org"))


@provokes(v.CERTIFICATE_CHAIN)
async def test_chain_without_its_intermediate(tmp_path: Path) -> Report:
    intermediate = issue(ROOT, name="Intermediate", ca=True)
    return await check_tls(tmp_path, issue(intermediate))


async def test_chain_with_its_intermediate_is_trusted(tmp_path: Path) -> None:
    intermediate = issue(ROOT, name="Intermediate", ca=True)
    report = await check_tls(tmp_path, issue(intermediate), intermediate)
    assert report.works


@provokes(v.CERTIFICATE_SELF_SIGNED)
async def test_self_signed_certificate(tmp_path: Path) -> Report:
    return await check_tls(tmp_path, issue(None))


@provokes(v.OLD_TLS, beside=NATIVE)
async def test_server_that_takes_tls_1_0(tmp_path: Path) -> Report:
    report = await check_tls(tmp_path, issue(ROOT), old=True)
    assert report.tls[0].old_versions == ("TLSv1", "TLSv1.1")
    return report


@provokes(v.WEAK_KEY, beside=(*NATIVE, v.OLD_TLS))
async def test_rsa_key_of_1024_bits(tmp_path: Path) -> Report:
    key = rsa.generate_private_key(65537, 1024)
    return await check_tls(tmp_path, issue(ROOT, key=key), old=True)


async def test_certificate_is_not_judged_where_nobody_asked_for_tls() -> None:
    ids = {each.id for each in judge(SAMPLE)}
    unasked = attrs.evolve(SAMPLE, tls=(attrs.evolve(SAMPLE.tls[0], expected=False),))
    assert ids - {each.id for each in judge(unasked)} == {"ICE-E024", "ICE-W025"}


async def test_root_that_libwebrtc_has_gets_no_warning() -> None:
    known = attrs.evolve(
        SAMPLE.tls[0],
        trusted=True,
        self_signed=False,
        seconds_left=90 * 86_400.0,
        native_root="GTS Root R1",
    )
    assert judge(attrs.evolve(SAMPLE, tls=(known,), findings=())) != ()
    ids = {each.id for each in judge(attrs.evolve(SAMPLE, tls=(known,)))}
    assert not {id_ for id_ in ids if "02" in id_}
    assert "GTS Root R1" in LIBWEBRTC_ROOTS.values()
    assert not any("ISRG" in name for name in LIBWEBRTC_ROOTS.values())
