"""Counters of the client transports: plain integers here, exported as metrics elsewhere."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping

import attrs

from turnd.core.five_tuple import Transport


class HandshakeOutcome(enum.Enum):
    """How a TLS or DTLS handshake ended; the values are the metrics' label values."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed-out"


class CloseReason(enum.Enum):
    """Why a client's connection or session ended; the values are the metrics' label values."""

    CLIENT = "client"
    """The client closed it."""
    RESET = "reset"
    """The network or the client broke it off."""
    SERVER = "server"
    """The core asked for it."""
    IDLE = "idle"
    """It held no allocation and sent nothing."""
    HANDSHAKE_FAILED = "handshake-failed"
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    MALFORMED = "malformed"
    """Bytes that are no STUN message and no ChannelData: a stream can't be resynchronised."""
    PROXY_PROTOCOL = "proxy-protocol"
    """A PROXY header that is missing, malformed, or not this source's to send."""
    REPLACED = "replaced"
    """A new connection or session of the same 5-tuple took its place."""
    RELAY_CLOSED = "relay-closed"
    """A client data connection whose peer connection ended (RFC 6062)."""
    ERROR = "error"
    """A defect of ours: logged with its traceback."""
    SHUTDOWN = "shutdown"


class Refusal(enum.Enum):
    """Why a connection or session never began; the values are the metrics' label values."""

    TOTAL_LIMIT = "total-limit"
    ADDRESS_LIMIT = "address-limit"
    DESCRIPTORS = "descriptors"
    """The process has no file descriptor left; accepting pauses."""


class DtlsDrop(enum.Enum):
    """Why a DTLS datagram was dropped unanswered; the values are the metrics' label values."""

    MALFORMED = "malformed"
    NO_SESSION = "no-session"
    INVALID_COOKIE = "invalid-cookie"
    NO_FIRST_FRAGMENT = "no-first-fragment"
    """A later part of a ClientHello whose first part has not brought a valid cookie."""


@attrs.frozen(slots=True)
class StreamTotals:
    """Everything since the start, and what is open now; for DTLS as well as for streams.

    Attributes:
        opened: connections (sessions, for DTLS) that were served, by transport.
        open: those that are still there, by transport.
        closed: by transport and reason.
        handshakes: by transport and outcome.
        refused: by transport and reason.
        cookies_sent: HelloVerifyRequests, each one forgotten as it left.
        dtls_drops: datagrams by reason.

    """

    opened: Mapping[Transport, int]
    open: Mapping[Transport, int]
    closed: Mapping[tuple[Transport, CloseReason], int]
    handshakes: Mapping[tuple[Transport, HandshakeOutcome], int]
    refused: Mapping[tuple[Transport, Refusal], int]
    cookies_sent: int = 0
    dtls_drops: Mapping[DtlsDrop, int] = attrs.field(factory=dict)


class TransportCounters:
    """The integers behind `StreamTotals`. One of them may serve streams and DTLS alike."""

    def __init__(self) -> None:
        self._opened: Counter[Transport] = Counter()
        self._open: Counter[Transport] = Counter()
        self._closed: Counter[tuple[Transport, CloseReason]] = Counter()
        self._handshakes: Counter[tuple[Transport, HandshakeOutcome]] = Counter()
        self._refused: Counter[tuple[Transport, Refusal]] = Counter()
        self._drops: Counter[DtlsDrop] = Counter()
        self._cookies_sent = 0

    def opened(self, transport: Transport) -> None:
        """Count a connection that is now served; `closed` must follow once."""
        self._opened[transport] += 1
        self._open[transport] += 1

    def closed(self, transport: Transport, reason: CloseReason) -> None:
        """Count the end of a connection that `opened` counted."""
        self._open[transport] -= 1
        self._closed[transport, reason] += 1

    def rejected(self, transport: Transport, reason: CloseReason) -> None:
        """Count a connection that ended before it was served."""
        self._closed[transport, reason] += 1

    def handshake(self, transport: Transport, outcome: HandshakeOutcome) -> None:
        """Count a handshake."""
        self._handshakes[transport, outcome] += 1

    def refused(self, transport: Transport, reason: Refusal) -> None:
        """Count a connection that was turned away."""
        self._refused[transport, reason] += 1

    def cookie_sent(self) -> None:
        """Count a HelloVerifyRequest."""
        self._cookies_sent += 1

    def dropped(self, reason: DtlsDrop) -> None:
        """Count a DTLS datagram that went nowhere."""
        self._drops[reason] += 1

    def snapshot(self) -> StreamTotals:
        """Return the counters as they stand."""
        return StreamTotals(
            opened=dict(self._opened),
            open=dict(self._open),
            closed=dict(self._closed),
            handshakes=dict(self._handshakes),
            refused=dict(self._refused),
            cookies_sent=self._cookies_sent,
            dtls_drops=dict(self._drops),
        )
