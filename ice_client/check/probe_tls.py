"""Looks at what a TLS port shows: chain, names, validity, version, ALPN, and who trusts it.

Made with OpenSSL over memory, not with `ssl`: the chain is wanted as the server sends it, of a
server whose certificate does not verify as well.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from ice_client.check.native_roots import LIBWEBRTC_ROOTS
from ice_client.check.results import Certificate, TlsResult
from ice_client.check.target import is_address
from ice_client.errors import printable
from ice_client.turn import CertificateError
from ice_client.turn.certificate import check_certificate_name
from stun import Address

TIMEOUT = 6.0
_CHUNK = 16_384
_OLD = (("TLSv1", SSL.TLS1_VERSION), ("TLSv1.1", SSL.TLS1_1_VERSION))
_LEAST_RSA_BITS = 2048
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which pyOpenSSL gives no name."""


class TlsProbeError(Exception):
    """No handshake."""


_NO_HANDSHAKE = (TlsProbeError, OSError, trio.TooSlowError, trio.BrokenResourceError)


async def probe_tls(
    address: Address, name: str, wall_time: float, ca_file: Path | None = None
) -> TlsResult | None:
    """Return what a TLS port shows; None if no handshake completes.

    Args:
        address: where it is.
        name: the name or IP address the certificate should be for.
        wall_time: seconds since the epoch, to judge validity by.
        ca_file: PEM file of the roots to trust instead of the system's.

    """
    try:
        with trio.fail_after(TIMEOUT):
            connection = await _handshake(address, name)
    except _NO_HANDSHAKE:
        return None
    try:
        return await _describe(connection, address, name, wall_time, ca_file)
    except ValueError:  # a certificate that cryptography cannot read
        return None


async def _describe(
    connection: SSL.Connection,
    address: Address,
    name: str,
    wall_time: float,
    ca_file: Path | None,
) -> TlsResult | None:
    chain = [each.to_cryptography() for each in connection.get_peer_cert_chain() or ()]
    if not chain:
        return None
    root, trust_error = _verify(connection, ca_file)
    native = _fingerprint(root) if root is not None else ""
    return TlsResult(
        address=str(address),
        name=name,
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        alpn=printable(connection.get_alpn_proto_negotiated().decode(errors="replace")),
        chain=tuple(_certificate(each) for each in chain),
        trusted=root is not None,
        trust_error=trust_error,
        self_signed=chain[0].issuer == chain[0].subject,
        name_matches=_is_for(chain[0], name),
        seconds_left=min(_timestamp(c.not_valid_after_utc) for c in chain) - wall_time,
        seconds_until_valid=max(_timestamp(c.not_valid_before_utc) for c in chain) - wall_time,
        native_root=LIBWEBRTC_ROOTS.get(native),
        weak="; ".join(filter(None, map(_weakness, chain))),
        old_versions=await _old_versions(address, name),
    )


async def _handshake(address: Address, name: str, version: int | None = None) -> SSL.Connection:
    """Shake hands and close again; the connection can still be asked."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_alpn_protos([b"stun.turn"])
    if version is not None:
        # Old versions need an old security level to be offered at all.
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if not is_address(name):
        connection.set_tlsext_host_name(name.encode("idna"))
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        while True:
            try:
                connection.do_handshake()
            except SSL.WantReadError:
                await _flush(connection, stream)
                data = await stream.receive_some(_CHUNK)
                if not data:
                    raise TlsProbeError("closed") from None
                connection.bio_write(data)
            except SSL.Error as error:
                raise TlsProbeError(str(error)) from error
            else:
                await _flush(connection, stream)
                return connection


async def _flush(connection: SSL.Connection, stream: trio.SocketStream) -> None:
    try:
        while True:
            await stream.send_all(connection.bio_read(_CHUNK))
    except SSL.WantReadError:
        return
    except trio.BrokenResourceError as error:
        raise TlsProbeError("closed") from error


async def _old_versions(address: Address, name: str) -> tuple[str, ...]:
    """Return the versions before 1.2 that complete a handshake."""
    accepted = []
    for text, version in _OLD:
        try:
            with trio.fail_after(TIMEOUT):
                await _handshake(address, name, version)
        except _NO_HANDSHAKE:
            continue
        accepted.append(text)
    return tuple(accepted)


def _verify(
    connection: SSL.Connection, ca_file: Path | None
) -> tuple[x509.Certificate | None, str]:
    """Return the root the chain leads to, and why there is none.

    Whatever the time: whether a certificate has expired is another question, with its own
    verdict.
    """
    chain = connection.get_peer_cert_chain() or []
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if ca_file is not None:
        context.load_verify_locations(str(ca_file))
    else:
        context.set_default_verify_paths()
    store = context.get_cert_store()
    if store is None:
        return None, "there is no store of roots here"
    store.set_flags(_NO_CHECK_TIME)
    try:
        verified = crypto.X509StoreContext(store, chain[0], chain[1:]).get_verified_chain()
    except crypto.X509StoreContextError as error:
        return None, str(error.args[0] if error.args else error)
    return verified[-1].to_cryptography(), ""


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256())[:16].hex()


def _timestamp(moment: datetime.datetime) -> float:
    return moment.timestamp()


def _certificate(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=printable(certificate.subject.rfc4514_string()),
        issuer=printable(certificate.issuer.rfc4514_string()),
        not_before=certificate.not_valid_before_utc.isoformat(),
        not_after=certificate.not_valid_after_utc.isoformat(),
        names=tuple(_names(certificate)),
        key=_key(certificate),
        signature=_signature(certificate),
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that does not parse
        return []
    return [
        *map(printable, names.get_values_for_type(x509.DNSName)),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    try:
        check_certificate_name(certificate, name)
    except CertificateError:
        return False
    return True


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _signature(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_hash_algorithm
    return algorithm.name if algorithm is not None else ""


def _weakness(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    subject = printable(certificate.subject.rfc4514_string())
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return f"{subject}: RSA {key.key_size}"
    root = certificate.issuer == certificate.subject  # nobody checks a root's signature
    if not root and _signature(certificate) in {"sha1", "md5"}:
        return f"{subject}: signed with {_signature(certificate)}"
    return ""
