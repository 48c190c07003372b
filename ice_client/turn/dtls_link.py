"""Messages over DTLS 1.2 (RFC 7350): OpenSSL over memory BIOs, on a connected UDP socket.

A memory BIO keeps no datagram boundaries: it is drained whole after every call, cut into
records, and these are packed into datagrams of the MTU again. Retransmission of the handshake
is OpenSSL's, which gives every record a new number; sent again as they were, the server would
take them for replays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trio
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from ice_client.turn.certificate import check_certificate_name
from ice_client.turn.errors import CertificateError, DatagramTooLargeError, LinkError, TlsError
from ice_client.turn.link import Link, UdpLink
from ice_client.turn.server import TurnServer
from ice_client.turn.stream_link import ALPN
from ice_client.turn.trace import TlsDetails

MTU = 1200
"""Bytes of a datagram of the handshake; few paths take less."""
MOST_PLAINTEXT = 16384
"""Bytes of one record's content (RFC 5246 §6.2.1): DTLS does not split messages."""
_RECORD_HEADER_SIZE = 13
_DRAIN_SIZE = 0x10000
_FIRST_CONTENT_TYPE, _LAST_CONTENT_TYPE = 20, 25


def split_records(data: bytes) -> list[bytes]:
    """Cut records apart (RFC 6347 §4.1); what is cut short or no record ends the list."""
    records = []
    offset = 0
    while len(data) - offset >= _RECORD_HEADER_SIZE:
        if not _FIRST_CONTENT_TYPE <= data[offset] <= _LAST_CONTENT_TYPE:
            break
        length = int.from_bytes(data[offset + 11 : offset + 13], "big")
        end = offset + _RECORD_HEADER_SIZE + length
        if end > len(data):
            break
        records.append(data[offset:end])
        offset = end
    return records


def _datagrams(records: list[bytes]) -> Iterator[bytes]:
    """Pack records into datagrams of at most `MTU`; a longer record goes alone."""
    datagram = b""
    for record in records:
        if datagram and len(datagram) + len(record) > MTU:
            yield datagram
            datagram = b""
        datagram += record
    if datagram:
        yield datagram


class DtlsLink(Link):
    """A DTLS session on a UDP link.

    Args:
        carrier: owned by the link from now on.
        server: its TLS options.

    Raises:
        CertificateError: the file of authorities cannot be read.
        TlsError: the server's name is none.

    """

    reliable = False

    def __init__(self, carrier: UdpLink, server: TurnServer) -> None:
        self.local = carrier.local
        self.remote = carrier.remote
        self._carrier = carrier
        self._server = server
        self._ssl = SSL.Connection(_make_context(server), None)
        self._ssl.set_connect_state()
        self._ssl.set_ciphertext_mtu(MTU)
        # RFC 6066 §3: an IP address is no name to ask for.
        if not _is_literal(server.tls_name):
            self._ssl.set_tlsext_host_name(_encoded(server.tls_name))

    async def handshake(self) -> None:
        """Agree on keys, and check the server's certificate.

        Raises:
            CertificateError: it does not prove the server's name.
            TlsError: the handshake failed otherwise.
            LinkError: the server cannot be reached.

        """
        while not self._shake():
            await self._flush()
            with trio.move_on_after(self._ssl.DTLSv1_get_timeout() or 1.0):
                self._feed(await self._carrier.receive())
                continue
            with contextlib.suppress(SSL.Error):
                self._ssl.DTLSv1_handle_timeout()
            await self._flush()
        await self._flush()
        if self._server.tls.verify:
            certificate = self._ssl.get_peer_certificate(as_cryptography=True)
            if certificate is None:
                raise CertificateError(f"{self._server} has no certificate")
            check_certificate_name(certificate, self._server.tls_name)

    def _shake(self) -> bool:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            reason = _reason(error)
            if "certificate verify failed" in reason:
                raise CertificateError(f"{self._server}: {reason}") from error
            raise TlsError(f"DTLS with {self._server} failed: {reason}") from error
        return True

    @property
    def details(self) -> TlsDetails:
        """What the handshake has agreed on."""
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        return TlsDetails(
            version=self._ssl.get_protocol_version_name(),
            cipher=self._ssl.get_cipher_name() or "",
            alpn=self._ssl.get_alpn_proto_negotiated().decode(errors="replace") or None,
            certificate=certificate.public_bytes(Encoding.DER) if certificate else None,
        )

    async def send(self, packet: bytes) -> None:
        """See `Link`."""
        if len(packet) > MOST_PLAINTEXT:
            raise DatagramTooLargeError(f"{len(packet)} bytes do not fit a DTLS record")
        try:
            self._ssl.send(packet)
        except SSL.Error as error:
            raise LinkError(f"the DTLS session with {self.remote} ended") from error
        await self._flush()

    async def receive(self) -> bytes:
        """See `Link`."""
        while True:
            try:
                return self._ssl.recv(_DRAIN_SIZE)
            except SSL.WantReadError:
                await self._flush()  # an answer to what was no application data
            except SSL.ZeroReturnError as error:
                raise LinkError(f"{self.remote} closed the DTLS session") from error
            except SSL.Error as error:
                text = f"the DTLS session with {self.remote} broke: {_reason(error)}"
                raise LinkError(text) from error
            self._feed(await self._carrier.receive())

    async def aclose(self) -> None:
        """See `Link`; the server is told, as far as one datagram can."""
        with contextlib.suppress(SSL.Error, LinkError):
            self._ssl.shutdown()
            await self._flush()
        await self._carrier.aclose()

    def _feed(self, datagram: bytes) -> None:
        records = b"".join(split_records(datagram))
        if records:
            self._ssl.bio_write(records)

    async def _flush(self) -> None:
        pending = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                pending += self._ssl.bio_read(_DRAIN_SIZE)
        for datagram in _datagrams(split_records(pending)):
            await self._carrier.send(datagram)


def _make_context(server: TurnServer) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    context.set_min_proto_version(0xFEFD)
    context.set_max_proto_version(0xFEFD)  # DTLS 1.2; an upgrade shall change nothing in silence
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_alpn_protos([ALPN.encode()])
    if not server.tls.verify:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    context.set_verify(SSL.VERIFY_PEER)
    try:
        if server.tls.ca_file is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(server.tls.ca_file))
    except SSL.Error as error:
        raise CertificateError(f"{server.tls.ca_file} has no certificates") from error
    return context


def _encoded(name: str) -> bytes:
    try:
        return name.encode("idna")
    except UnicodeError as error:
        raise TlsError(f"{name!r} is no name that TLS could ask for") from error


def _is_literal(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _reason(error: SSL.Error) -> str:
    """Return OpenSSL's words; a SysCallError has none."""
    details = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return details[-1][-1] if details else (str(error) or type(error).__name__)
