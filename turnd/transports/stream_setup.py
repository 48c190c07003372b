"""What happens on an accepted connection before its first message: PROXY header, TLS.

On one port plain and TLS clients are told apart by their first byte, which RFC 7983's
ranges keep apart: a TLS handshake record begins with 22, a STUN message with 0-3,
ChannelData with 64-79 (64-127 for clients of RFC 5766).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import attrs
import trio

from stun import Address, DecodeError
from turnd.core.five_tuple import Transport
from turnd.transports.byte_stream import ByteStream
from turnd.transports.proxy_protocol import may_be_proxy_header, parse_proxy_header
from turnd.transports.settings import Listener, ListenerKind, StreamSettings
from turnd.transports.tls_engine import TlsError
from turnd.transports.totals import CloseReason, HandshakeOutcome, TransportCounters

TLS_HANDSHAKE_RECORD = 22
"""The content type that a TLS stream begins with (RFC 8446 §5.1)."""


class TlsContexts(Protocol):
    """Where the TLS context in force comes from; asked anew for every handshake."""

    @property
    def tls_context(self) -> ssl.SSLContext:
        """The context of new handshakes."""


class SetupError(Exception):
    """The connection never got to its first message.

    Attributes:
        reason: why, for the counters.
        transport: what it was by then.

    """

    def __init__(self, message: str, reason: CloseReason, transport: Transport) -> None:
        super().__init__(message)
        self.reason = reason
        self.transport = transport


@attrs.frozen(slots=True)
class Endpoints:
    """Both ends of a connection, as the socket or a trusted proxy's header has them."""

    client: Address
    server: Address


async def read_proxy_header(
    stream: ByteStream, real: Endpoints, settings: StreamSettings
) -> Endpoints:
    """Read the PROXY header that a trusted proxy's connection begins with.

    Raises:
        SetupError: there is none, it is malformed, or it took too long.
        OSError: the connection broke.

    """
    data = b""
    with _within(settings.handshake_timeout, CloseReason.HANDSHAKE_TIMEOUT, Transport.TCP):
        while True:
            more = await stream.receive()
            if not more:
                raise SetupError(
                    "the proxy closed the connection", CloseReason.CLIENT, Transport.TCP
                )
            data += more
            try:
                header = parse_proxy_header(data)
            except DecodeError as error:
                raise SetupError(str(error), CloseReason.PROXY_PROTOCOL, Transport.TCP) from error
            if header is not None:
                break
    stream.unread(data[header.size :])
    if header.source is None or header.destination is None:
        return real
    return Endpoints(header.source, header.destination)


async def detect_and_secure(
    stream: ByteStream,
    listener: Listener,
    settings: StreamSettings,
    contexts: TlsContexts,
    counters: TransportCounters,
) -> Transport:
    """Find out whether the client speaks TLS and, if it does, complete the handshake.

    Raises:
        SetupError: nothing came in time, or the handshake failed.
        OSError: the connection broke.

    """
    declared = Transport.TLS if listener.kind is ListenerKind.TLS else Transport.TCP
    transport = declared
    if settings.detect_tls or declared is Transport.TCP:
        first = await _first_bytes(stream, declared, settings)
        if settings.detect_tls:
            is_tls = first[0] == TLS_HANDSHAKE_RECORD
            transport = Transport.TLS if is_tls else Transport.TCP
    if transport is Transport.TLS:
        await _handshake(stream, settings, contexts, counters)
    return transport


async def _first_bytes(stream: ByteStream, declared: Transport, settings: StreamSettings) -> bytes:
    if declared is Transport.TLS:
        timeout, reason = settings.handshake_timeout, CloseReason.HANDSHAKE_TIMEOUT
    else:
        timeout, reason = settings.idle_timeout, CloseReason.IDLE
    with _within(timeout, reason, declared):
        first = await stream.receive()
    if not first:
        raise SetupError("closed without a byte", CloseReason.CLIENT, declared)
    if may_be_proxy_header(first):
        # "P" is in ChannelData's range, but no stream can begin with a channel's data.
        raise SetupError(
            "a PROXY header from a source that is not trusted", CloseReason.PROXY_PROTOCOL, declared
        )
    stream.unread(first)
    return first


async def _handshake(
    stream: ByteStream,
    settings: StreamSettings,
    contexts: TlsContexts,
    counters: TransportCounters,
) -> None:
    outcome = HandshakeOutcome.FAILED
    reason = CloseReason.HANDSHAKE_TIMEOUT
    try:
        with _within(settings.handshake_timeout, reason, Transport.TLS):
            await stream.start_tls(contexts.tls_context)
        outcome = HandshakeOutcome.COMPLETED
    except SetupError:
        outcome = HandshakeOutcome.TIMED_OUT
        raise
    except TlsError as error:
        raise SetupError(str(error), CloseReason.HANDSHAKE_FAILED, Transport.TLS) from error
    except OSError as error:
        raise SetupError(str(error), CloseReason.RESET, Transport.TLS) from error
    finally:
        counters.handshake(Transport.TLS, outcome)


@contextmanager
def _within(seconds: float, reason: CloseReason, transport: Transport) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise SetupError(f"not done within {seconds:g} seconds", reason, transport)
