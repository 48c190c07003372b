"""Fingerprints and certificates: the peer is who was signalled, or nothing is released."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.webrtc.dtls.link import certificate, make_pair, start
from webrtc.dtls import (
    Certificate,
    CertificateError,
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsState,
    DtlsStateError,
    Failed,
    FailureReason,
    Fingerprint,
    FingerprintError,
)
from webrtc.dtls.fingerprint import certificate_matches

OURS = certificate("client")
OTHER = certificate("another")
ALGORITHMS = ["sha-256", "sha-384", "sha-512"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fingerprint_is_read_as_it_is_written(algorithm: str) -> None:
    fingerprint = OURS.fingerprint(algorithm)
    assert Fingerprint.parse(str(fingerprint)) == fingerprint
    assert Fingerprint.parse(str(fingerprint).lower()) == fingerprint
    assert Fingerprint.parse(str(fingerprint).upper()) == fingerprint


def test_fingerprint_of_an_unknown_hash_function_is_kept_and_not_supported() -> None:
    fingerprint = Fingerprint.parse("sha3-256 " + ":".join(["AB"] * 32))
    assert not fingerprint.is_supported
    assert fingerprint.digest == b"\xab" * 32


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256 ",
        "sha-256 AB:CD",
        "sha-256 " + ":".join(["AB"] * 33),
        "sha-256 " + ":".join(["+A"] * 32),
        "sha-256 " + ":".join([" A"] * 32),
        "sha-256 " + "AB" * 32,
        "sha-512 " + ":".join(["AB"] * 32),
        "sha-256 " + ":".join(["ＡＢ"] * 32),
    ],
)
def test_what_is_no_fingerprint_is_refused(value: str) -> None:
    with pytest.raises(FingerprintError):
        Fingerprint.parse(value)


@pytest.mark.parametrize(
    ("signalled", "matches"),
    [
        ([OURS.fingerprint()], True),
        ([OTHER.fingerprint()], False),
        ([OTHER.fingerprint(), OURS.fingerprint()], True),
        ([OURS.fingerprint(algorithm) for algorithm in ALGORITHMS], True),
        # The strongest hash function decides, whatever the weaker ones say.
        ([OTHER.fingerprint("sha-512"), OURS.fingerprint("sha-256")], False),
        ([OURS.fingerprint("sha-512"), OTHER.fingerprint("sha-256")], True),
        ([Fingerprint("sha-1", b"\0" * 20), OURS.fingerprint()], True),
        ([Fingerprint("sha-1", b"\0" * 20)], False),
        ([], False),
    ],
)
def test_certificate_must_be_one_of_those_signalled(
    signalled: list[Fingerprint], matches: bool
) -> None:
    assert certificate_matches(OURS.der, signalled) is matches


@pytest.mark.parametrize("liar", [0, 1])
def test_wrong_fingerprint_fails_both_ends_and_releases_nothing(liar: int) -> None:
    link = make_pair()
    wrong = [OTHER.fingerprint()]
    start(link, wrong if liar else None, None if liar else wrong)
    link.run()
    assert link.states == (DtlsState.FAILED, DtlsState.FAILED)
    deceived = link.ends[1 - liar]
    (failed,) = deceived.events
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.FINGERPRINT
    for end in link.ends:
        assert not any(isinstance(event, Connected | DataReceived) for event in end.events)
        with pytest.raises(DtlsStateError):
            end.endpoint.send(b"x")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fingerprints_of_any_trusted_hash_function_connect(algorithm: str) -> None:
    link = make_pair()
    client, server = (end.endpoint.certificate for end in link.ends)
    start(link, [server.fingerprint(algorithm)], [client.fingerprint(algorithm)])
    link.run()
    assert link.states == (DtlsState.CONNECTED, DtlsState.CONNECTED)


def test_endpoint_does_not_start_with_fingerprints_it_cannot_check() -> None:
    endpoint = DtlsEndpoint(OURS)
    with pytest.raises(DtlsStateError):
        endpoint.start(0.0, DtlsRole.CLIENT, [Fingerprint("sha-1", b"\0" * 20)])
    with pytest.raises(DtlsStateError):
        endpoint.start(0.0, DtlsRole.CLIENT, [])


def test_certificate_is_p256_by_default_and_survives_pem() -> None:
    made = Certificate.generate()
    assert isinstance(made.key, ec.EllipticCurvePrivateKey)
    assert made.key.curve.name == "secp256r1"
    assert Certificate.from_pem(*made.to_pem()).fingerprint() == made.fingerprint()


def test_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(CertificateError):
        Certificate.from_pem(OURS.to_pem()[0], OTHER.to_pem()[1])
    with pytest.raises(CertificateError):
        Certificate.from_pem(b"no certificate", OURS.to_pem()[1])


def test_short_rsa_key_is_refused() -> None:
    with pytest.raises(CertificateError):
        Certificate.generate(rsa.generate_private_key(65537, 1024))


def test_private_key_and_srtp_keys_are_not_shown() -> None:
    assert "key" not in repr(OURS)
    link = make_pair()
    start(link)
    link.run()
    connected = link.ends[0].connected
    assert connected.srtp is not None
    for secret in (connected.srtp.sending, connected.srtp.receiving):
        assert repr(secret)[2:-1] not in repr(connected)
