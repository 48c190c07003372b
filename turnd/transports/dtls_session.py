"""One DTLS 1.2 session of OpenSSL over memory BIOs, for a client that has shown its cookie.

OpenSSL's memory BIO keeps no datagram boundaries: it is drained whole after every call,
cut into records, and these are packed into datagrams of the MTU again.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable

from OpenSSL import SSL

from turnd.transports.dtls_hello import split_records

MAX_PLAINTEXT = 16384
"""Bytes of one record's content (RFC 6347 §4.1 by way of RFC 5246 §6.2.1)."""
_MAX_DATAGRAM = MAX_PLAINTEXT + 2048
"""A longer datagram would not come back out of the BIO in one piece."""
_DRAIN_SIZE = 65536


class DtlsError(Exception):
    """The session can't go on; the text says what OpenSSL saw."""


class SessionState(enum.Enum):
    """How far a session is."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"


class DtlsSession:
    """The server's end of a session.

    Args:
        context: a DTLS server context whose cookie callbacks accept everything.
        client_hello: the record with the whole ClientHello, valid cookie included.
        mtu: bytes a datagram of the handshake may have.
        transmit: sends one datagram; False when it could not.

    Raises:
        DtlsError: OpenSSL does not accept the ClientHello; an alert may have been sent.

    """

    def __init__(
        self,
        context: SSL.Context,
        client_hello: bytes,
        mtu: int,
        transmit: Callable[[bytes], bool],
    ) -> None:
        self._mtu = mtu
        self._transmit = transmit
        self._state = SessionState.HANDSHAKE
        self._ssl = SSL.Connection(context, None)
        self._ssl.set_accept_state()
        self._ssl.set_ciphertext_mtu(mtu)
        self._ssl.bio_write(client_hello)
        try:
            # Tells OpenSSL that the cookie exchange is done: it goes on with message_seq 1
            # and the hello's record sequence number, as if it had sent our answer itself.
            self._ssl.DTLSv1_listen()
        except SSL.Error as error:
            raise DtlsError(f"ClientHello: {_reason(error)}") from error
        self._handshake()

    @property
    def state(self) -> SessionState:
        """How far the session is."""
        return self._state

    @property
    def description(self) -> dict[str, str]:
        """Cipher and application protocol, for the log."""
        return {
            "cipher": self._ssl.get_cipher_name() or "",
            "alpn": self._ssl.get_alpn_proto_negotiated().decode("ascii", "replace"),
        }

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram; return the messages in it. Per packet.

        Records that are not authentic are dropped by OpenSSL without a word (RFC 6347 §4.1.2.7).

        Raises:
            DtlsError: the handshake failed, or a fatal alert came.

        """
        if self._state is SessionState.CLOSED or len(datagram) > _MAX_DATAGRAM:
            return []
        self._ssl.bio_write(datagram)
        if self._state is SessionState.HANDSHAKE:
            self._handshake()
        return self._read() if self._state is SessionState.OPEN else []

    def send(self, message: bytes) -> bool:
        """Send one message in one record, now; False when it could not be. Per packet."""
        if self._state is not SessionState.OPEN or len(message) > MAX_PLAINTEXT:
            return False
        try:
            self._ssl.send(message)
        except SSL.Error:
            return False
        return self._flush()

    def timeout(self) -> float | None:
        """Return the seconds until the last flight is to be sent again; None if it is answered."""
        if self._state is not SessionState.HANDSHAKE:
            return None
        return self._ssl.DTLSv1_get_timeout()

    def on_timeout(self) -> None:
        """Send the last flight again if its time has come.

        Raises:
            DtlsError: it was sent too often already.

        """
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._state = SessionState.CLOSED
            raise DtlsError(_reason(error)) from error
        self._flush()

    def close(self) -> None:
        """Send close_notify if there is a session to close."""
        if self._state is SessionState.OPEN:
            with contextlib.suppress(SSL.Error):  # then the client times out instead
                self._ssl.shutdown()
            self._flush()
        self._state = SessionState.CLOSED

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
            self._state = SessionState.OPEN
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._state = SessionState.CLOSED
            raise DtlsError(_reason(error)) from error
        finally:
            self._flush()

    def _read(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while True:
                messages.append(self._ssl.recv(MAX_PLAINTEXT))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.close()  # the client's close_notify has ours for an answer
        except SSL.Error as error:
            self._state = SessionState.CLOSED
            raise DtlsError(_reason(error)) from error
        finally:
            # A repeated Finished makes OpenSSL repeat our last flight (RFC 6347 §4.2.4).
            self._flush()
        return messages

    def _flush(self) -> bool:
        """Send what OpenSSL has written; False if any of it could not be sent."""
        written: list[bytes] = []
        try:
            while True:
                written.append(self._ssl.bio_read(_DRAIN_SIZE))
        except SSL.WantReadError:
            pass
        if not written:
            return True
        datagram = b""
        sent = True
        for record in split_records(b"".join(written)):
            if datagram and len(datagram) + len(record) > self._mtu:
                sent = self._transmit(datagram) and sent
                datagram = b""
            datagram += record
        return self._transmit(datagram) and sent


def _reason(error: SSL.Error) -> str:
    """Say what OpenSSL's error queue holds: the reason texts, without its file names."""
    if error.args and isinstance(error.args[0], list):
        return "; ".join(str(entry[-1]) for entry in error.args[0]) or "unknown error"
    return str(error) or type(error).__name__
