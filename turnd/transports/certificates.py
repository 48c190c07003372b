"""The certificate in force: TLS and DTLS contexts, replaced whole when files change.

New handshakes take the newest contexts; sessions keep the ones they began with, so a
renewed certificate never costs a call.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import structlog
from OpenSSL import SSL

from turnd.transports.pem import CertificateError, KeyPair, load_key_pair, make_self_signed
from turnd.transports.settings import TlsSettings, TlsVersion

log = structlog.get_logger("turnd")

ALPN_PROTOCOLS = ("stun.turn", "stun.nat-discovery")
"""RFC 7443 §3, in the server's order of preference.

A client that offers other protocols only (``"http/1.1"``, to look harmless to a
middlebox) is served without one: RFC 7443 obliges nobody to use ALPN, and Python's TLS
leaves no other choice, so DTLS does alike.
"""
DEFAULT_CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:DHE+AESGCM:!aNULL:!eNULL:!PSK:!SRP:!aDSS"
)
DTLS_1_2 = 0xFEFD
_EXPIRY_WARNING = datetime.timedelta(days=7)
_MINIMUM = {
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@attrs.frozen(slots=True)
class _Source:
    """The files a key pair comes from."""

    certificate: Path
    key: Path
    password: str | None = attrs.field(repr=False)


@attrs.frozen(slots=True)
class _InForce:
    """A key pair and the contexts made of it."""

    pair: KeyPair
    tls: ssl.SSLContext
    dtls: SSL.Context


class CertificateStore:
    """Holds the key pair in force and the contexts made of it.

    Begin with one of `load` and `make_self_signed`.

    Args:
        settings: what clients are offered.
        wall_clock: the time of day, to know what has expired.

    """

    def __init__(
        self, settings: TlsSettings, *, wall_clock: Callable[[], datetime.datetime] = _utc_now
    ) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._source: _Source | None = None
        self._in_force: _InForce | None = None

    def load(self, certificate: Path, key: Path, password: str | None = None) -> None:
        """Read a certificate chain and its key from PEM files and put them in force.

        An expired certificate is used and warned of: some clients don't check, and a
        server that won't start serves none.

        Raises:
            CertificateError: a file can't be used; what was in force stays.

        """
        pair = load_key_pair(certificate, key, password)
        try:
            self._put_in_force(pair)
        except (ssl.SSLError, SSL.Error) as error:
            # The files are sound, but OpenSSL's policy refuses them, a 512-bit key for one.
            raise CertificateError(certificate, f"OpenSSL refuses it: {error}") from error
        self._source = _Source(certificate, key, password)
        log.info(
            "certificate-loaded",
            certificate=str(certificate),
            not_after=pair.certificate.not_valid_after_utc.isoformat(),
            fingerprint=pair.fingerprint,
        )
        self._warn_of_expiry(pair, certificate)

    def make_self_signed(self, names: Sequence[str]) -> None:
        """Make a certificate for `names` (hosts and IP addresses) and put it in force."""
        pair = make_self_signed(names, self._wall_clock())
        self._put_in_force(pair)
        self._source = None
        log.warning("certificate-self-signed", names=list(names), fingerprint=pair.fingerprint)

    def reload(self) -> bool:
        """Read the files again; False if the certificate is not from files.

        Raises:
            CertificateError: a file can't be used; what was in force stays.

        """
        if self._source is None:
            return False
        self.load(self._source.certificate, self._source.key, self._source.password)
        return True

    def reconfigure(self, settings: TlsSettings) -> None:
        """Offer something else to new clients.

        Raises:
            ValueError: the cipher list selects nothing; what was in force stays.

        """
        previous, self._settings = self._settings, settings
        try:
            if self._in_force is not None:
                self._put_in_force(self._in_force.pair)
        except (ssl.SSLError, SSL.Error) as error:
            self._settings = previous
            raise ValueError(f"OpenSSL knows no cipher in {settings.ciphers!r}") from error

    @property
    def key_pair(self) -> KeyPair:
        """The key pair in force."""
        return self._require().pair

    @property
    def tls_context(self) -> ssl.SSLContext:
        """The context of new TLS handshakes."""
        return self._require().tls

    @property
    def dtls_context(self) -> SSL.Context:
        """The context of new DTLS handshakes."""
        return self._require().dtls

    @property
    def not_after(self) -> datetime.datetime | None:
        """When the certificate in force expires; None without one."""
        if self._in_force is None:
            return None
        return self._in_force.pair.certificate.not_valid_after_utc

    def _require(self) -> _InForce:
        if self._in_force is None:
            raise RuntimeError("no certificate: call load or make_self_signed first")
        return self._in_force

    def _put_in_force(self, pair: KeyPair) -> None:
        tls = _make_tls_context(pair, self._settings)
        dtls = _make_dtls_context(pair, self._settings)
        self._in_force = _InForce(pair, tls, dtls)

    def _warn_of_expiry(self, pair: KeyPair, path: Path) -> None:
        now = self._wall_clock()
        not_after = pair.certificate.not_valid_after_utc
        if not_after <= now:
            event = "certificate-expired"
        elif not_after - now < _EXPIRY_WARNING:
            event = "certificate-expires-soon"
        elif pair.certificate.not_valid_before_utc > now:
            event = "certificate-not-yet-valid"
        else:
            return
        log.warning(event, certificate=str(path), not_after=not_after.isoformat())


def _make_tls_context(pair: KeyPair, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[settings.minimum_version]
    context.set_ciphers(settings.ciphers or DEFAULT_CIPHERS)
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    )
    context.set_alpn_protocols(list(ALPN_PROTOCOLS))
    _load_pem(context, pair.to_pem())
    return context


def _load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Give a context a key pair from memory: Python's ssl takes it from files only."""
    if hasattr(os, "memfd_create"):
        # No disk ever holds the key; the descriptor's name is only this process's.
        descriptor = os.memfd_create("turnd-certificate", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # mode 0600
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def _make_dtls_context(pair: KeyPair, settings: TlsSettings) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_SERVER_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    # Nothing newer either: an OpenSSL that learns DTLS 1.3 must not change in silence what
    # the cookie exchange of `dtls_hello` is written for.
    context.set_max_proto_version(DTLS_1_2)
    context.set_cipher_list((settings.ciphers or DEFAULT_CIPHERS).encode())
    context.set_options(
        SSL.OP_NO_QUERY_MTU
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_select_callback(_select_alpn)
    context.use_certificate(pair.certificate)
    for issuer in pair.chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(pair.key)
    # The cookie is checked before OpenSSL hears of a client (`dtls_hello`), so any will do.
    context.set_cookie_generate_callback(lambda _connection: b"unused")
    context.set_cookie_verify_callback(lambda _connection, _cookie: True)
    return context


def _select_alpn(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    for protocol in ALPN_PROTOCOLS:
        if protocol.encode() in offered:
            return protocol.encode()
    return SSL.NO_OVERLAPPING_PROTOCOLS
