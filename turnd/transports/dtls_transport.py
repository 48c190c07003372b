"""TURN over DTLS (RFC 7350): sessions by 5-tuple, nothing kept before the cookie.

The datapath owns the sockets. It hands datagrams in DTLS's range to `receive` and sends
what comes back; this keeps two tables, handshakes and open sessions, and one timer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

import structlog
import trio
from OpenSSL import SSL

from stun import DecodeError
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.transports.address_limit import AddressLimit
from turnd.transports.dtls_cookie import CookieMaker
from turnd.transports.dtls_hello import (
    HelloAssembly,
    HelloFragment,
    is_client_hello,
    make_hello_verify_request,
    parse_hello_fragments,
    parse_hello_start,
)
from turnd.transports.dtls_session import DtlsError, DtlsSession, SessionState
from turnd.transports.packet_road import PacketRoad
from turnd.transports.settings import DtlsSettings
from turnd.transports.timer import Timer
from turnd.transports.totals import (
    CloseReason,
    DtlsDrop,
    HandshakeOutcome,
    Refusal,
    StreamTotals,
    TransportCounters,
)

log = structlog.get_logger("turnd")

_SHORTEST_WAIT = 0.01
"""Seconds; OpenSSL's clock and trio's may disagree by a little."""


class DtlsContexts(Protocol):
    """Where the DTLS context in force comes from; asked anew for every handshake."""

    @property
    def dtls_context(self) -> SSL.Context:
        """The context of new handshakes."""


class _Handshake:
    """A client that has shown a valid cookie and is on its way to a session."""

    def __init__(
        self, five_tuple: FiveTuple, random: bytes, assembly: HelloAssembly, expires_at: float
    ) -> None:
        self.five_tuple = five_tuple
        self.random = random
        self.assembly = assembly
        self.expires_at = expires_at
        self.session: DtlsSession | None = None


class _Client:
    """A client with an open session; the `ClientSink` that the datapath sends to."""

    def __init__(
        self, five_tuple: FiveTuple, random: bytes, session: DtlsSession, now: float
    ) -> None:
        self.five_tuple = five_tuple
        self.random = random
        self.session = session
        self.last_heard_at = now

    @property
    def takes_runs(self) -> bool:
        """A record holds one message."""
        return False

    def send(self, data: bytes) -> bool:
        """Send one message now; False when the socket is full or the session over."""
        return self.session.send(data)


class DtlsTransport:
    """The server's DTLS side.

    Args:
        settings: bounds and timeouts.
        datapath: sends records, takes messages.
        certificates: where the context of a new handshake comes from.
        on_client_gone: told when an open session is over.
        has_allocation: whether a client holds an allocation and may therefore be silent.
        counters: shared with the stream transports if given.
        random_bytes: a cryptographic source of randomness.

    """

    def __init__(
        self,
        settings: DtlsSettings,
        datapath: PacketRoad,
        certificates: DtlsContexts,
        *,
        on_client_gone: Callable[[FiveTuple], None],
        has_allocation: Callable[[FiveTuple], bool],
        counters: TransportCounters | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._datapath = datapath
        self._certificates = certificates
        self._on_client_gone = on_client_gone
        self._has_allocation = has_allocation
        self._counters = counters or TransportCounters()
        self._random_bytes = random_bytes
        self._cookies: CookieMaker | None = None
        self._limit = AddressLimit(settings.max_sessions_per_address)
        self._handshakes: dict[FiveTuple, _Handshake] = {}
        self._clients: dict[FiveTuple, _Client] = {}
        self._timer: Timer[_Handshake | _Client] = Timer()

    @property
    def session_count(self) -> int:
        """Sessions that are open or in their handshake: everything that is kept."""
        return len(self._handshakes) + len(self._clients)

    def totals(self) -> StreamTotals:
        """Read the counters."""
        return self._counters.snapshot()

    def reconfigure(self, settings: DtlsSettings) -> None:
        """Put other bounds and timeouts in force; sessions that are open stay."""
        self._settings = settings
        self._limit.maximum = settings.max_sessions_per_address

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the timers until cancelled; then close every session."""
        try:
            task_status.started()
            await self._timer.run(self._deadline_passed)
        finally:
            for handshake in list(self._handshakes.values()):
                self._abandon(handshake, CloseReason.SHUTDOWN)
            for client in list(self._clients.values()):
                self._end(client, CloseReason.SHUTDOWN)

    def receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a datagram in DTLS's range; `five_tuple.transport` is DTLS. Raises nothing."""
        try:
            if is_client_hello(data):
                self._receive_hello(data, five_tuple)
            else:
                self._receive_records(data, five_tuple)
        except DecodeError:
            self._counters.dropped(DtlsDrop.MALFORMED)
        except Exception:
            log.exception("dtls-session-failed", client=str(five_tuple))
            self._forget(five_tuple, CloseReason.ERROR)

    def close_client(self, five_tuple: FiveTuple) -> None:
        """End a client's session with a close_notify; unknown clients are ignored."""
        client = self._clients.get(five_tuple)
        if client is not None:
            self._end(client, CloseReason.SERVER)

    def _receive_hello(self, data: bytes, five_tuple: FiveTuple) -> None:
        for fragment in parse_hello_fragments(data):
            if fragment.offset:
                self._continue_hello(fragment, five_tuple)
            else:
                self._begin_hello(fragment, five_tuple)

    def _begin_hello(self, fragment: HelloFragment, five_tuple: FiveTuple) -> None:
        start = parse_hello_start(fragment.body)
        now = trio.current_time()
        if self._cookies is None:
            self._cookies = CookieMaker(now, self._random_bytes)
        if fragment.sequence == 0:
            cookie = self._cookies.make(five_tuple, start.random, now)
            self._counters.cookie_sent()
            self._transmit(make_hello_verify_request(fragment, cookie), five_tuple)
            return
        # OpenSSL takes over at message_seq 1. A cookie that is too old by now is not
        # answered with another, which would make it 2: the client begins anew.
        valid = self._cookies.check(start.cookie, five_tuple, start.random, now)
        if fragment.sequence != 1 or not valid:
            self._counters.dropped(DtlsDrop.INVALID_COOKIE)
            return
        if not self._is_repetition(five_tuple, start.random):
            self._open_handshake(fragment, five_tuple, start.random, now)

    def _is_repetition(self, five_tuple: FiveTuple, random: bytes) -> bool:
        """Whether that hello was answered: the flight is late or lost, and a timer repeats it."""
        known = (self._handshakes.get(five_tuple), self._clients.get(five_tuple))
        return any(entry is not None and entry.random == random for entry in known)

    def _open_handshake(
        self, fragment: HelloFragment, five_tuple: FiveTuple, random: bytes, now: float
    ) -> None:
        previous = self._handshakes.get(five_tuple)
        if previous is not None:
            self._abandon(previous, CloseReason.REPLACED)
        if self.session_count >= self._settings.max_sessions:
            self._counters.refused(Transport.DTLS, Refusal.TOTAL_LIMIT)
            return
        if not self._limit.acquire(five_tuple.client):
            self._counters.refused(Transport.DTLS, Refusal.ADDRESS_LIMIT)
            return
        expires_at = now + self._settings.handshake_timeout
        handshake = _Handshake(five_tuple, random, HelloAssembly(fragment), expires_at)
        self._handshakes[five_tuple] = handshake
        self._timer.set(handshake, expires_at)
        self._start_session(handshake)

    def _continue_hello(self, fragment: HelloFragment, five_tuple: FiveTuple) -> None:
        handshake = self._handshakes.get(five_tuple)
        if handshake is None:
            self._counters.dropped(DtlsDrop.NO_FIRST_FRAGMENT)
        elif handshake.session is None:
            handshake.assembly.add(fragment)
            self._start_session(handshake)

    def _start_session(self, handshake: _Handshake) -> None:
        """Begin the handshake proper if the ClientHello is whole."""
        record = handshake.assembly.record()
        if record is None:
            return
        five_tuple = handshake.five_tuple

        def transmit(datagram: bytes) -> bool:
            return self._transmit(datagram, five_tuple)

        try:
            handshake.session = DtlsSession(
                self._certificates.dtls_context, record, self._settings.mtu, transmit
            )
        except DtlsError as error:
            self._handshake_failed(handshake, error)
            return
        self._set_timer(handshake, handshake.session)

    def _receive_records(self, data: bytes, five_tuple: FiveTuple) -> None:
        handshake = self._handshakes.get(five_tuple)
        client = self._clients.get(five_tuple)
        if handshake is not None and handshake.session is not None:
            self._advance(handshake, handshake.session, data)
        elif client is None:
            self._counters.dropped(DtlsDrop.NO_SESSION)
        # RFC 6347 §4.2.8: the old session stays until the new one's handshake is done. To
        # whichever of them a datagram does not belong, it is not authentic and dropped.
        if client is not None and self._clients.get(five_tuple) is client:
            self._receive_messages(client, data)

    def _advance(self, handshake: _Handshake, session: DtlsSession, data: bytes) -> None:
        try:
            messages = session.receive(data)
        except DtlsError as error:
            self._handshake_failed(handshake, error)
            return
        if session.state is SessionState.HANDSHAKE:
            self._set_timer(handshake, session)
            return
        client = self._open(handshake, session)
        self._deliver(client, messages)

    def _open(self, handshake: _Handshake, session: DtlsSession) -> _Client:
        five_tuple = handshake.five_tuple
        old = self._clients.get(five_tuple)
        if old is not None:
            self._end(old, CloseReason.REPLACED)
        del self._handshakes[five_tuple]  # its place under the limits goes to the client
        self._timer.discard(handshake)
        now = trio.current_time()
        client = _Client(five_tuple, handshake.random, session, now)
        self._clients[five_tuple] = client
        self._timer.set(client, now + self._settings.idle_timeout)
        self._counters.handshake(Transport.DTLS, HandshakeOutcome.COMPLETED)
        self._counters.opened(Transport.DTLS)
        self._datapath.attach(five_tuple, client)
        log.debug("dtls-session-opened", client=str(five_tuple), **session.description)
        return client

    def _receive_messages(self, client: _Client, data: bytes) -> None:
        try:
            messages = client.session.receive(data)
        except DtlsError as error:
            log.debug("dtls-session-broken", client=str(client.five_tuple), detail=str(error))
            self._end(client, CloseReason.RESET)
            return
        self._deliver(client, messages)

    def _deliver(self, client: _Client, messages: list[bytes]) -> None:
        if messages:
            client.last_heard_at = trio.current_time()
        for message in messages:
            self._datapath.receive_from_client(message, client.five_tuple)
        if client.session.state is SessionState.CLOSED:
            self._end(client, CloseReason.CLIENT)

    def _transmit(self, datagram: bytes, five_tuple: FiveTuple) -> bool:
        udp = FiveTuple(Transport.UDP, five_tuple.client, five_tuple.server)
        return self._datapath.send_to_client(datagram, udp)

    def _set_timer(self, handshake: _Handshake, session: DtlsSession) -> None:
        timeout = session.timeout()
        deadline = handshake.expires_at
        if timeout is not None:
            retransmit_at = trio.current_time() + max(timeout, _SHORTEST_WAIT)
            deadline = min(deadline, retransmit_at)
        self._timer.set(handshake, deadline)

    def _deadline_passed(self, entry: _Handshake | _Client) -> None:
        try:
            if isinstance(entry, _Handshake):
                self._handshake_due(entry)
            else:
                self._client_due(entry)
        except Exception:
            log.exception("dtls-session-failed", client=str(entry.five_tuple))
            self._forget(entry.five_tuple, CloseReason.ERROR)

    def _handshake_due(self, handshake: _Handshake) -> None:
        if trio.current_time() >= handshake.expires_at or handshake.session is None:
            self._counters.handshake(Transport.DTLS, HandshakeOutcome.TIMED_OUT)
            self._abandon(handshake, CloseReason.HANDSHAKE_TIMEOUT)
            return
        try:
            handshake.session.on_timeout()
        except DtlsError as error:
            self._handshake_failed(handshake, error)
            return
        self._set_timer(handshake, handshake.session)

    def _client_due(self, client: _Client) -> None:
        now = trio.current_time()
        idle_at = client.last_heard_at + self._settings.idle_timeout
        if idle_at > now:
            self._timer.set(client, idle_at)
        elif self._has_allocation(client.five_tuple):
            self._timer.set(client, now + self._settings.idle_timeout)
        else:
            self._end(client, CloseReason.IDLE)

    def _handshake_failed(self, handshake: _Handshake, error: DtlsError) -> None:
        log.debug("dtls-handshake-failed", client=str(handshake.five_tuple), detail=str(error))
        self._counters.handshake(Transport.DTLS, HandshakeOutcome.FAILED)
        self._abandon(handshake, CloseReason.HANDSHAKE_FAILED)

    def _abandon(self, handshake: _Handshake, reason: CloseReason) -> None:
        """Drop a handshake that did not become a session."""
        if self._handshakes.get(handshake.five_tuple) is not handshake:
            return
        del self._handshakes[handshake.five_tuple]
        self._timer.discard(handshake)
        self._limit.release(handshake.five_tuple.client)
        self._counters.rejected(Transport.DTLS, reason)

    def _end(self, client: _Client, reason: CloseReason) -> None:
        """Close an open session, once."""
        five_tuple = client.five_tuple
        if self._clients.get(five_tuple) is not client:
            return
        del self._clients[five_tuple]
        self._timer.discard(client)
        self._limit.release(five_tuple.client)
        self._counters.closed(Transport.DTLS, reason)
        log.debug("dtls-session-closed", client=str(five_tuple), reason=reason.value)
        try:
            client.session.close()
            self._datapath.detach(five_tuple)
            self._on_client_gone(five_tuple)
        except Exception:
            log.exception("client-gone-failed", client=str(five_tuple))

    def _forget(self, five_tuple: FiveTuple, reason: CloseReason) -> None:
        handshake = self._handshakes.get(five_tuple)
        if handshake is not None:
            self._abandon(handshake, reason)
        client = self._clients.get(five_tuple)
        if client is not None:
            self._end(client, reason)
