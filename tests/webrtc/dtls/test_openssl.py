"""OpenSSL's own tools as the peer, in both roles."""

import functools
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.webrtc.dtls.link import certificate
from tests.webrtc.dtls.openssl_peer import assert_talks, openssl_client, openssl_server
from webrtc.dtls import (
    Certificate,
    Closed,
    Connected,
    DtlsEndpoint,
    DtlsRole,
    DtlsSettings,
    Failed,
    FailureReason,
    SrtpProfile,
)
from webrtc.dtls.records import ContentType, HandshakeType
from webrtc.dtls.session import SUITES

GCM_128 = "SRTP_AEAD_AES_128_GCM"
CM_32 = "SRTP_AES128_CM_SHA1_32"
ALL = f"{CM_32}:SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:{GCM_128}"


@functools.cache
def rsa_certificate() -> Certificate:
    return Certificate.generate(rsa.generate_private_key(65537, 2048))


def peer_certificate(kind: str) -> Certificate:
    return rsa_certificate() if kind == "rsa" else certificate("openssl")


PROFILES = [
    pytest.param(profile, id=profile.name)
    for profile in SrtpProfile
    if profile is not SrtpProfile.AES128_CM_SHA1_32
]


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("profile", PROFILES)
def test_client_talks_with_s_server(kind: str, profile: SrtpProfile, tmp_path: Path) -> None:
    theirs = peer_certificate(kind)
    endpoint = DtlsEndpoint(certificate(), DtlsSettings(mtu=400))
    name = profile.openssl_name.decode()
    with openssl_server(theirs, tmp_path, name, profile.keying_size, "-mtu", "400") as peer:
        endpoint.start(time.monotonic(), DtlsRole.CLIENT, [theirs.fingerprint("sha-384")])
        connected = assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        assert connected.srtp is not None
        assert connected.srtp.profile is profile
        assert connected.peer_certificate == theirs.der
        assert ("RSA" in connected.cipher) == (kind == "rsa")
        assert max(map(len, peer.datagrams)) <= 400


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_server_talks_with_s_client(kind: str, profile: SrtpProfile, tmp_path: Path) -> None:
    theirs = peer_certificate(kind)
    endpoint = DtlsEndpoint(certificate(), DtlsSettings(mtu=400))
    name = profile.openssl_name.decode()
    with openssl_client(theirs, tmp_path, endpoint, name, profile.keying_size) as peer:
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [theirs.fingerprint()])
        connected = assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        assert connected.srtp is not None
        assert connected.srtp.profile is profile
        assert connected.peer_certificate == theirs.der
        assert max(map(len, peer.datagrams)) <= 400


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_carries_data(suite: str, tmp_path: Path) -> None:
    theirs = peer_certificate("ecdsa" if "ECDSA" in suite else "rsa")
    endpoint = DtlsEndpoint(certificate())
    with openssl_server(theirs, tmp_path, GCM_128, 56, "-cipher", suite) as peer:
        endpoint.start(time.monotonic(), DtlsRole.CLIENT, [theirs.fingerprint()])
        connected = assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        assert connected.cipher == suite


def test_client_brings_the_cookie_that_s_server_asks_for(tmp_path: Path) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    with openssl_server(theirs, tmp_path, GCM_128, 56, "-listen") as peer:
        endpoint.start(time.monotonic(), DtlsRole.CLIENT, [theirs.fingerprint()])
        assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        hellos = [d for d in peer.datagrams if d[13] == HandshakeType.CLIENT_HELLO]
        assert len(hellos) >= 2
        assert endpoint.statistics.attempts == 1


def test_server_with_an_rsa_certificate_talks_with_s_client(tmp_path: Path) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(rsa_certificate())
    with openssl_client(theirs, tmp_path, endpoint, GCM_128, 56) as peer:
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [theirs.fingerprint()])
        connected = assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        assert "RSA" in connected.cipher


def test_server_chooses_the_profile_by_its_own_order(tmp_path: Path) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    with openssl_client(theirs, tmp_path, endpoint, ALL, 56) as peer:
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [theirs.fingerprint()])
        connected = assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        assert connected.srtp is not None
        assert connected.srtp.profile is SrtpProfile.AEAD_AES_128_GCM


def test_client_does_not_offer_the_short_tag(tmp_path: Path) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    with openssl_server(theirs, tmp_path, CM_32, 60) as peer:
        endpoint.start(time.monotonic(), DtlsRole.CLIENT, [theirs.fingerprint()])
        (failed,) = peer.run(endpoint, Failed)
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.SRTP_PROFILE


@pytest.mark.parametrize("required", [True, False])
def test_peer_without_srtp_is_taken_only_where_srtp_is_not_required(
    required: bool, tmp_path: Path
) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate(), DtlsSettings(srtp_required=required))
    with openssl_client(theirs, tmp_path, endpoint, "", 56) as peer:
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [theirs.fingerprint()])
        (event,) = peer.run(endpoint, Failed if required else Connected)
        if required:
            assert isinstance(event, Failed)
            assert event.reason is FailureReason.SRTP_PROFILE
        else:
            assert isinstance(event, Connected)
            assert event.srtp is None


def test_wrong_certificate_of_s_server_is_refused_by_an_alert_it_understands(
    tmp_path: Path,
) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    with openssl_server(theirs, tmp_path, GCM_128, 56) as peer:
        wrong = certificate("another").fingerprint()
        endpoint.start(time.monotonic(), DtlsRole.CLIENT, [wrong])
        (failed,) = peer.run(endpoint, Failed)
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.FINGERPRINT
        assert peer.datagrams[-1][0] == 21  # an alert


def test_close_notify_of_s_client_closes(tmp_path: Path) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    with openssl_client(theirs, tmp_path, endpoint, GCM_128, 56) as peer:
        endpoint.start(time.monotonic(), DtlsRole.SERVER, [theirs.fingerprint()])
        assert_talks(peer, endpoint, peer.run(endpoint, Connected))
        peer.enter(b"Q\n")
        assert Closed(by_peer=True) in peer.run(endpoint, Closed)


def test_last_flight_of_s_server_is_asked_for_again_by_a_finished_under_a_new_number(
    tmp_path: Path,
) -> None:
    theirs = certificate("openssl")
    endpoint = DtlsEndpoint(certificate())
    lost: list[bytes] = []

    def lose_the_first_finished(datagram: bytes) -> bool:
        if lost or datagram[0] != ContentType.CHANGE_CIPHER_SPEC:
            return False
        lost.append(datagram)
        return True

    with openssl_server(theirs, tmp_path, GCM_128, 56) as peer:
        began = time.monotonic()
        endpoint.start(began, DtlsRole.CLIENT, [theirs.fingerprint()])
        events = peer.run(endpoint, Connected, lose_the_first_finished)
        assert lost
        # A server that has finished answers nothing but a new record, and only OpenSSL's timer
        # of 1 s writes one.
        assert time.monotonic() - began < 2
        assert_talks(peer, endpoint, events)
