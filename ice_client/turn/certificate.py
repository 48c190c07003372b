"""Whether a certificate is for the name that was asked for (RFC 6125 §6, RFC 8656 §21.1.6).

For DTLS only: pyOpenSSL verifies chains, but compares no names. TLS has Python's own `ssl`.
"""

from __future__ import annotations

import contextlib
import ipaddress

from cryptography import x509

from ice_client.errors import printable
from ice_client.turn.errors import CertificateError


def check_certificate_name(certificate: x509.Certificate, name: str) -> None:
    """Compare a host name or IP address with a certificate's subjectAltName.

    Raises:
        CertificateError: it is for others.

    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateError("the certificate has no subjectAltName") from error
    names = extension.value
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        dns_names = names.get_values_for_type(x509.DNSName)
        if any(_matches(pattern, name) for pattern in dns_names):
            return
        shown = ", ".join(dns_names)
    else:
        addresses = names.get_values_for_type(x509.IPAddress)
        if address in addresses:
            return
        shown = ", ".join(map(str, addresses))
    shown = printable(shown) or "no such name"
    raise CertificateError(f"the certificate is not for {name} but for {shown}")


def _matches(pattern: str, name: str) -> bool:
    with contextlib.suppress(UnicodeError):
        name = name.encode("idna").decode()  # RFC 6125 §6.4.2: compared as A-labels
    wanted = name.rstrip(".").lower().split(".")
    offered = pattern.lower().split(".")
    if len(wanted) != len(offered):
        return False
    # RFC 6125 §6.4.3: a wildcard is the whole left-most label, and never the only two.
    if offered[0] == "*" and len(offered) > 2:
        return offered[1:] == wanted[1:]
    return offered == wanted
