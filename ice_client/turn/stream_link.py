"""Messages over TCP and TLS (RFC 8489 §6.2.2, RFC 8656 §3.1, RFC 7443)."""

from __future__ import annotations

import ssl

import trio

from ice_client.turn.errors import CertificateError, LinkError, TlsError
from ice_client.turn.link import Link, reason_of
from ice_client.turn.server import TurnServer
from ice_client.turn.trace import TlsDetails
from stun import Address, DecodeError
from stun.framer import StreamFramer

ALPN = "stun.turn"
"""RFC 7443's name of TURN."""
_SEND_QUEUE = 64
"""Messages that may wait to be written; then `send` waits."""
_CHUNK = 0x10000
_GOODBYE_TIMEOUT = 0.5
"""Seconds for TLS's close_notify to be written."""

ByteStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class StreamLink(Link):
    """Frames on a byte stream.

    A task of its own writes, so that a cancelled `send` never leaves half a frame behind.

    Args:
        stream: owned by the link from now on.
        local: this end.
        remote: the server's end.

    """

    reliable = True

    def __init__(self, stream: ByteStream, local: Address, remote: Address) -> None:
        self.local = local
        self.remote = remote
        self._stream = stream
        self._framer = StreamFramer()
        self._queue_in, self._queue_out = trio.open_memory_channel[bytes](_SEND_QUEUE)

    async def write(self) -> None:
        """Write what is sent, until the stream breaks; the task that owns the link runs it."""
        with self._queue_out:
            async for packet in self._queue_out:
                try:
                    await self._stream.send_all(packet)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # the reader finds out why

    async def send(self, packet: bytes) -> None:
        """See `Link`."""
        try:
            await self._queue_in.send(packet)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkError(f"the connection to {self.remote} is broken") from error

    async def receive(self) -> bytes:
        """See `Link`."""
        while True:
            try:
                frame = self._framer.next_frame()
                if frame is not None:
                    return frame
                data = await self._stream.receive_some(_CHUNK)
            except DecodeError as error:
                raise LinkError(f"{self.remote} does not speak STUN: {error}") from error
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LinkError(f"the connection to {self.remote} broke: {_why(error)}") from error
            if not data:
                raise LinkError(f"{self.remote} closed the connection")
            self._framer.feed(bytes(data))

    async def aclose(self) -> None:
        """See `Link`."""
        self._queue_in.close()
        await close_stream(self._stream)


async def close_stream(stream: ByteStream) -> None:
    """Close a stream without waiting long for the other end, even when cancelled."""
    with trio.move_on_after(_GOODBYE_TIMEOUT, shield=True):
        try:
            await stream.aclose()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
        return
    await trio.aclose_forcefully(stream)


def make_tls_context(server: TurnServer) -> ssl.SSLContext:
    """Return the context for a server's options.

    Raises:
        CertificateError: the file of authorities cannot be read.

    """
    ca_file = server.tls.ca_file
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise CertificateError(f"{ca_file}: {reason_of(error)}") from error
    context.set_alpn_protocols([ALPN])
    if not server.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def start_tls(
    stream: trio.SocketStream, server: TurnServer
) -> trio.SSLStream[trio.SocketStream]:
    """Do the TLS handshake.

    Raises:
        CertificateError: the certificate does not prove the server's name.
        TlsError: the handshake failed otherwise.

    """
    context = make_tls_context(server)
    try:
        secure = trio.SSLStream(
            stream, context, server_hostname=server.tls_name, https_compatible=True
        )
    except (ValueError, UnicodeError) as error:
        raise TlsError(f"{server.tls_name!r} is no name that TLS could ask for") from error
    try:
        await secure.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CertificateError(f"{server}: {cause.verify_message}") from error
        raise TlsError(f"TLS with {server} failed: {_why(error)}") from error
    except ssl.CertificateError as error:
        raise CertificateError(f"{server}: {error}") from error
    return secure


def tls_details(stream: trio.SSLStream[trio.SocketStream]) -> TlsDetails:
    """Return what a handshake has agreed on."""
    cipher = stream.cipher()
    return TlsDetails(
        version=stream.version() or "",
        cipher=cipher[0] if cipher else "",
        alpn=stream.selected_alpn_protocol(),
        certificate=stream.getpeercert(binary_form=True),
    )


def _why(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return cause.reason or str(cause)
    return reason_of(cause or error)
