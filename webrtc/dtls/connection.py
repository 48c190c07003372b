"""One OpenSSL connection over memory BIOs: whole records in, whole records out, errors as ours.

It carries the handshake; the records of the session are `Session`'s.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from webrtc.dtls.certificate import Certificate
from webrtc.dtls.errors import HandshakeFailedError
from webrtc.dtls.profile import EXPORTER_LABEL, SrtpProfile
from webrtc.dtls.records import VERSION_1_2, ContentType, epoch_of, split_records
from webrtc.dtls.session import SUITES, Session, SessionSecrets
from webrtc.dtls.setup import DtlsRole

_DRAIN_SIZE = 0x4000
_MAX_EARLY = 16
"""Records of the session that is to come, kept until the handshake is complete."""
_KEPT = (ContentType.APPLICATION_DATA, ContentType.ALERT)


@functools.cache
def _context(role: DtlsRole, profiles: tuple[SrtpProfile, ...]) -> SSL.Context:
    """Return what all connections of a role share: 20 KB, and the better part of a millisecond."""
    is_client = role is DtlsRole.CLIENT
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD if is_client else SSL.DTLS_SERVER_METHOD)
    context.set_min_proto_version(VERSION_1_2)
    context.set_max_proto_version(VERSION_1_2)  # an upgrade shall change nothing in silence
    context.set_options(
        SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(":".join(SUITES).encode())
    if profiles:
        context.set_tlsext_use_srtp(b":".join(profile.openssl_name for profile in profiles))
    # `HelloGate` has compared the cookie before OpenSSL hears of a hello, so any will do.
    context.set_cookie_generate_callback(lambda _connection: b"unused")
    context.set_cookie_verify_callback(lambda _connection, _cookie: True)
    return context


class DtlsConnection:
    """A handshake, until it succeeds.

    Args:
        certificate: ours.
        role: ours.
        profiles: SRTP profiles, best first.
        mtu: bytes of a datagram.
        is_known: tells whether a certificate (DER) was signalled. It is asked in the handshake,
            so that the peer hears of it if not.

    Attributes:
        certificate_refused: whether it was not.
        early: records of epoch 1 that came in the handshake and were not part of it.

    """

    def __init__(
        self,
        certificate: Certificate,
        role: DtlsRole,
        profiles: tuple[SrtpProfile, ...],
        mtu: int,
        is_known: Callable[[bytes], bool],
    ) -> None:
        self._ssl = SSL.Connection(_context(role, profiles), None)
        self._ssl.use_certificate(certificate.x509)
        self._ssl.use_privatekey(certificate.key)
        self._role = role
        self._is_known = is_known
        self._next_number = 0
        self.certificate_refused = False
        self.early: list[bytes] = []
        # No chain is built: the fingerprint alone vouches for a certificate (RFC 8827 §6.5).
        self._ssl.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        if role is DtlsRole.CLIENT:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self.set_mtu(mtu)

    def _verify(
        self, _connection: SSL.Connection, x509: crypto.X509, _error: int, depth: int, _ok: int
    ) -> bool:
        if depth:
            return True
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, x509)
        self.certificate_refused = not self._is_known(der)
        return not self.certificate_refused

    def set_mtu(self, mtu: int) -> None:
        """Change the bytes of a datagram."""
        self._ssl.set_ciphertext_mtu(mtu)

    def accept_verified_hello(self, record: bytes) -> None:
        """Begin with a hello that has brought its cookie: the message_seq is 1, not 0.

        Raises:
            HandshakeFailedError: OpenSSL does not like it.

        """
        self._ssl.bio_write(record)
        try:
            self._ssl.DTLSv1_listen()
        except SSL.Error as error:
            raise HandshakeFailedError(_reason(error)) from error

    def feed(self, records: Sequence[bytes]) -> None:
        """Hand in whole records of one datagram."""
        for record in records:
            if epoch_of(record) and record[0] in _KEPT and len(self.early) < _MAX_EARLY:
                self.early.append(record)
        self._ssl.bio_write(b"".join(records))

    def advance(self) -> bool:
        """Go on with the handshake; True once it is complete.

        Raises:
            HandshakeFailedError: it cannot succeed any more; an alert may wait in `drain`.

        """
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise HandshakeFailedError(_reason(error)) from error
        return True

    def retransmit(self) -> None:
        """Have OpenSSL write its last flight anew if its own clock finds it due (1 s, 3 s, 7 s…).

        Only it can write a Finished with a new record number.

        Raises:
            HandshakeFailedError: it did so too often already.

        """
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise HandshakeFailedError(_reason(error)) from error

    def drain(self) -> list[bytes]:
        """Return the records that OpenSSL has written."""
        written = []
        with contextlib.suppress(SSL.WantReadError):
            while True:
                written.append(self._ssl.bio_read(_DRAIN_SIZE))
                if len(written[-1]) < _DRAIN_SIZE:
                    break
        records = split_records(b"".join(written))[0]
        for record in records:
            if epoch_of(record):
                self._next_number = int.from_bytes(record[5:11]) + 1
        return records

    def session(self) -> Session:
        """Return what a completed handshake leads to; OpenSSL is not needed after.

        Raises:
            HandshakeFailedError: there are no keys to be had.

        """
        ssl = self._ssl
        suite = SUITES.get(ssl.get_cipher_name() or "")
        master, client, server = ssl.master_key(), ssl.client_random(), ssl.server_random()
        if suite is None or not (master and client and server):  # no suite but these was offered
            raise HandshakeFailedError("OpenSSL tells no keys of the session")
        secrets = SessionSecrets(suite, master, client, server)
        return Session(secrets, self._role, self._next_number)

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate, DER."""
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else certificate.public_bytes(Encoding.DER)

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the suite."""
        return self._ssl.get_cipher_name() or ""

    @property
    def selected_profile(self) -> SrtpProfile | None:
        """The SRTP profile agreed on. OpenSSL completes without one and says so with b""."""
        name = self._ssl.get_selected_srtp_profile()
        return next((profile for profile in SrtpProfile if profile.openssl_name == name), None)

    def discard(self) -> None:
        """Let OpenSSL's memory go; nothing else may be called after."""
        # It holds `_verify` and so this object: without the cycle they go at once.
        del self._ssl

    def export_srtp_material(self, profile: SrtpProfile) -> bytes:
        """Return the keying material of RFC 5764 §4.2."""
        return self._ssl.export_keying_material(EXPORTER_LABEL, profile.keying_size)


def _reason(error: SSL.Error) -> str:
    """Say what OpenSSL's error queue holds: the reason texts, without its file names."""
    if error.args and isinstance(error.args[0], list):
        return "; ".join(str(entry[-1]) for entry in error.args[0]) or "unknown error"
    return str(error) or type(error).__name__
