"""Which names a certificate is for: RFC 6125 §6.4."""

from __future__ import annotations

import pytest
import trustme
from cryptography import x509

from ice_client.turn import CertificateError
from ice_client.turn.certificate import check_certificate_name


def certificate_for(*names: str) -> x509.Certificate:
    pem = trustme.CA().issue_cert(*names).cert_chain_pems[0].bytes()
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize(
    ("names", "asked", "good"),
    [
        (["turn.example.org"], "turn.example.org", True),
        (["turn.example.org"], "TURN.Example.ORG", True),
        (["turn.example.org"], "turn.example.org.", True),
        (["turn.example.org"], "example.org", False),
        (["turn.example.org"], "a.turn.example.org", False),
        (["a.example.org", "b.example.org"], "b.example.org", True),
        (["*.example.org"], "turn.example.org", True),
        (["*.example.org"], "a.turn.example.org", False),
        (["*.example.org"], "example.org", False),
        (["xn--bcher-kva.example"], "bücher.example", True),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["2001:db8::1"], "2001:0db8:0::1", True),
        (["turn.example.org"], "192.0.2.1", False),
    ],
)
def test_a_certificate_is_for_the_names_it_lists(names: list[str], asked: str, good: bool) -> None:
    certificate = certificate_for(*names)
    if good:
        check_certificate_name(certificate, asked)
    else:
        with pytest.raises(CertificateError):
            check_certificate_name(certificate, asked)
