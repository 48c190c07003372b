"""A report in which everything occurs, with addresses, names and secrets to be hidden."""

from __future__ import annotations

from ice_client.check import verdicts
from ice_client.check.judge import finding
from ice_client.check.network_results import (
    Filtering,
    LocalCandidate,
    Mapping,
    NatResult,
    QualityResult,
    RampStep,
    RoundTrips,
)
from ice_client.check.results import (
    Cause,
    Certificate,
    CredentialResult,
    CredentialState,
    Lookup,
    Outcome,
    PeerAccess,
    Report,
    Row,
    Stage,
    StageName,
    TlsResult,
)
from ice_client.turn import Transport

USER = "1767225600:alice"
PASSWORD = "kX0aQ8yOZ8rV3m1b"
NAME = "turn.example.org"
ADDRESSES = ("198.51.100.7", "2001:db8::7", "10.1.2.3", "192.168.1.20", "203.0.113.9")
NASTY = "<script>alert(1)</script> & | \x07"
"""What a server might put into its reason phrase."""


def _ok(name: StageName, seconds: float) -> Stage:
    return Stage(name, Outcome.OK, seconds)


SAMPLE = Report(
    tool="ice-check 0.1.0",
    started="2026-11-21T08:00:00Z",
    seconds=2.5,
    target=f"turn:{NAME}",
    works=False,
    lookups=(
        Lookup("A", NAME, ("198.51.100.7",), 0.01),
        Lookup("AAAA", NAME, ("2001:db8::7",), 0.02),
        Lookup("SRV", f"_turn._udp.{NAME}", (f"0 0 3478 a.{NAME}.",), 0.01),
    ),
    rows=(
        Row(
            Transport.UDP,
            "ipv4",
            "198.51.100.7",
            3478,
            (
                _ok(StageName.CONNECT, 0.0),
                _ok(StageName.BINDING, 0.012),
                _ok(StageName.ALLOCATE, 0.024),
                _ok(StageName.ECHO, 0.03),
            ),
            mapped_address="203.0.113.9:40000",
            relayed_address="10.1.2.3:50000",
            lifetime=600.0,
            software="turnd",
        ),
        Row(
            Transport.TLS,
            "ipv6",
            "2001:db8::7",
            5349,
            (
                _ok(StageName.CONNECT, 0.02),
                Stage(StageName.TLS, Outcome.FAILED, 0.1, Cause.TLS, None, NASTY),
            ),
            expected=False,
        ),
        Row(
            Transport.TCP,
            "ipv4",
            "198.51.100.7",
            3478,
            (
                _ok(StageName.CONNECT, 0.02),
                Stage(
                    StageName.ALLOCATE,
                    Outcome.FAILED,
                    0.1,
                    Cause.ERROR_RESPONSE,
                    401,
                    f"401 for {USER} with {PASSWORD}",
                ),
            ),
        ),
    ),
    tls=(
        TlsResult(
            address="198.51.100.7:5349",
            name=NAME,
            version="TLSv1.3",
            cipher="TLS_AES_256_GCM_SHA384",
            alpn="",
            chain=(
                Certificate(
                    f"CN={NAME}", "CN=An authority", "2026-01-01", "2026-12-01", (NAME, f"x.{NAME}")
                ),
            ),
            trusted=False,
            trust_error="self-signed certificate",
            self_signed=True,
            name_matches=True,
            seconds_left=864000.0,
            seconds_until_valid=-1.0,
            native_root=None,
        ),
    ),
    credentials=(
        CredentialResult(
            "udp ipv4 198.51.100.7:3478", CredentialState.REFUSED, realm=NAME, detail="401 twice"
        ),
    ),
    nat=(
        NatResult(
            server="198.51.100.7:3478",
            local_address="192.168.1.20:40000",
            mapped_address="203.0.113.9:40000",
            offered=True,
            mapping=Mapping.ADDRESS_DEPENDENT,
            filtering=Filtering.ADDRESS_DEPENDENT,
            hairpin=False,
            port_preserved=True,
            alg=False,
        ),
    ),
    candidates=(LocalCandidate("host", "udp", "192.168.1.20:40001", interface="eth0"),),
    quality=(
        QualityResult(
            row="udp ipv4 198.51.100.7:3478",
            relay=RoundTrips(3, 2, 0.02, 0.03, 0.03, 0.001, 0, (0.02, None, 0.03)),
            direct=RoundTrips(2, 2, 0.01, 0.01, 0.01, 0.001, 0, (0.01, 0.01)),
            ramp=(RampStep(1e6, 1e6, 0.0), RampStep(8e6, 6e6, 0.25)),
            path_mtu=1400,
        ),
    ),
    peers=(PeerAccess("169.254.169.254", "metadata", permitted=True),),
    findings=(
        finding(verdicts.PRIVATE_RELAY, "udp ipv4 198.51.100.7:3478", "10.1.2.3:50000"),
        finding(verdicts.CERTIFICATE_SELF_SIGNED, f"{NAME}", ""),
        finding(verdicts.NO_IPV6, NAME, NASTY),
        finding(verdicts.NO_DISCOVERY, "198.51.100.7:3478", ""),
    ),
)
