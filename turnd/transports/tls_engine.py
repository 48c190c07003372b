"""TLS for one client without I/O: ciphertext in and out, plaintext out and in.

`trio.SSLStream` would do all of it for a task that may wait; the relay road may not.
A datagram from a peer must be encrypted, sent or dropped in the same breath, so the
engine is OpenSSL over memory BIOs, and `ByteStream` owns the socket for TLS and plain
alike. Bytes read before TLS was detected go in as any others do.
"""

from __future__ import annotations

import contextlib
import ssl


class TlsError(Exception):
    """The handshake failed or the peer broke the protocol; the text says what OpenSSL saw."""


class TlsEngine:
    """The server's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self, data: bytes) -> bool:
        """Take ciphertext; True once the handshake is complete.

        Whatever the outcome, `ciphertext` then has what must go to the client, an alert
        among it.

        Raises:
            TlsError: the handshake failed.

        """
        self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsError(error.reason or str(error)) from error
        return True

    def receive_eof(self) -> None:
        """Say that the client's end of the socket is at its end."""
        self._incoming.write_eof()

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """Take ciphertext; return the plaintext in it and whether the client's data has ended.

        `ciphertext` may have something for the client afterwards (a key update's answer).

        Raises:
            TlsError: a record is not what the keys say, or the stream was cut (no close_notify).

        """
        self._incoming.write(data)
        parts: list[bytes] = []
        ended = False
        try:
            while True:
                part = self._ssl.read(65536)
                if not part:
                    ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLEOFError:
            # A FIN without close_notify. STUN frames and the applications over RFC 6062
            # tell for themselves whether something is missing, and clients do this often.
            ended = True
        except ssl.SSLError as error:
            raise TlsError(error.reason or str(error)) from error
        return b"".join(parts), ended

    def encrypt(self, data: bytes) -> bytes:
        """Return what to send for `data`, preceded by anything that still had to go out.

        Raises:
            TlsError: the session can't send any more.

        """
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            raise TlsError(error.reason or str(error)) from error
        return self._outgoing.read()

    def ciphertext(self) -> bytes:
        """Return what OpenSSL wants sent by itself: handshake messages, alerts."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """End our direction: return the close_notify. Reading may go on (RFC 8446 §6.1)."""
        # SSLWantReadError is the plain case: sent, and the client's is still to come. Any
        # other means that there is no session to end; then there is nothing to send.
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()
        return self._outgoing.read()

    @property
    def version(self) -> str:
        """The negotiated version, such as ``"TLSv1.3"``."""
        return self._ssl.version() or ""

    @property
    def alpn(self) -> str:
        """The negotiated application protocol, or an empty string."""
        return self._ssl.selected_alpn_protocol() or ""
