"""The handshake from the first flight to the last, in spite of loss and of forgers (RFC 6347 §4.2).

The endpoint hands in the records of each datagram and the time. What is in the clear can be
anybody's, and OpenSSL gives up at the first thing it does not like. Hence:

- messages that our role cannot get, and alerts in the clear, never reach OpenSSL. An alert
  raises doubt: if nothing comes of the handshake within `DOUBT_TIMEOUT`, it has failed;
- a server believes the first ClientHello, and asks for a cookie as soon as there is another
  (`hello.py`), or if OpenSSL rejects the first;
- a client whose handshake dies before it has seen the server's whole first flight begins anew.

What a forger can still do is to get a message in between that fits, at the very moment. It costs
the handshake, never its secrecy.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import attrs

from webrtc.dtls.connection import DtlsConnection
from webrtc.dtls.errors import HandshakeFailedError
from webrtc.dtls.events import Failed, FailureReason
from webrtc.dtls.hello import ClientHello, HelloGate, Verdict
from webrtc.dtls.records import (
    HEADER_SIZE,
    ContentType,
    Fragment,
    HandshakeType,
    epoch_of,
    handshake_fragments,
)
from webrtc.dtls.retransmission import FlightTimer
from webrtc.dtls.settings import DtlsSettings, DtlsStatistics

DOUBT_TIMEOUT = 3.0
"""Seconds in which a handshake must prove an alert in the clear, or a death, wrong."""
_RESTART_DELAY = 0.05
_MAX_RESTART_DELAY = 1.0
_COOKIE_TIMEOUT = 4.0
"""Seconds for the answer to a hello with a cookie; a forged request for one leads nowhere. A
server that did ask (pion's do) has been sent the hello six times by then; it takes no new one."""
_COOKIE_TIMEOUT_IN_DOUBT = 1.0
"""The same, once an attempt has died: forgers are about, and `DOUBT_TIMEOUT` runs."""
_FATAL = 2
_CLOSE_NOTIFY = 0
_FROM_CLIENT = frozenset(
    {
        HandshakeType.CERTIFICATE,
        HandshakeType.CERTIFICATE_VERIFY,
        HandshakeType.CLIENT_KEY_EXCHANGE,
    }
)
_FROM_SERVER = frozenset(
    {
        HandshakeType.SERVER_HELLO,
        HandshakeType.HELLO_VERIFY_REQUEST,
        HandshakeType.CERTIFICATE,
        HandshakeType.SERVER_KEY_EXCHANGE,
        HandshakeType.CERTIFICATE_REQUEST,
        HandshakeType.SERVER_HELLO_DONE,
    }
)
_CHANGE_CIPHER_SPEC = b"\1"
_VERIFY_REQUEST = bytes((HandshakeType.HELLO_VERIFY_REQUEST,))
_CURRENT_EPOCHS = (0, 1)


@attrs.frozen
class Surroundings:
    """What a handshake needs of its endpoint.

    Attributes:
        settings: the endpoint's.
        statistics: the endpoint's; counted into.
        connect: makes an OpenSSL connection in our role.
        transmit: sends records, packed into datagrams.

    """

    settings: DtlsSettings
    statistics: DtlsStatistics
    connect: Callable[[], DtlsConnection]
    transmit: Callable[[Sequence[bytes]], None]


class Handshake(abc.ABC):
    """What both roles have in common.

    Attributes:
        connection: OpenSSL's current attempt.
        complete: whether it has succeeded; the connection goes to the endpoint then.
        failure: why the handshake has failed, if so.
        timer: the last flight sent and when to repeat it.

    """

    expected: frozenset[HandshakeType]

    def __init__(self, surroundings: Surroundings, now: float) -> None:
        settings = surroundings.settings
        self._statistics = surroundings.statistics
        self._connect = surroundings.connect
        self._transmit = surroundings.transmit
        self.connection: DtlsConnection | None = None
        self.complete = False
        self.failure: Failed | None = None
        self.timer = FlightTimer(settings.initial_timeout, settings.max_timeout)
        self._expires_at = now + settings.handshake_timeout
        self._doubt: Failed | None = None
        self._doubt_deadline: float | None = None

    def receive(self, records: Sequence[bytes], now: float) -> None:
        """Take the records of a datagram."""
        passed = []
        for record in records:
            if epoch_of(record) not in _CURRENT_EPOCHS:
                self._statistics.unexpected += 1
            elif epoch_of(record) or self._admit_in_the_clear(record, now):
                passed.append(record)
        if not passed:
            return
        if self.connection is None or self.complete or self.failure:
            self._statistics.unexpected += len(passed)
            return
        self.connection.feed(passed)
        self._advance(now)

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        if self.complete or self.failure:
            return
        if now >= self._expires_at:
            detail = self._doubt.detail if self._doubt else "no answer"
            self._fail(FailureReason.TIMEOUT, detail)
        elif self._doubt and self._doubt_deadline is not None and now >= self._doubt_deadline:
            self._fail(self._doubt.reason, self._doubt.detail)
        elif self.connection is not None:
            self._repeat_if_due(self.connection, now)

    def next_deadline(self) -> float | None:
        """When something is due; None once the handshake is over."""
        if self.complete or self.failure:
            return None
        deadlines = (self._expires_at, self._doubt_deadline, self.timer.next_deadline())
        return min(deadline for deadline in deadlines if deadline is not None)

    def _repeat_if_due(self, connection: DtlsConnection, now: float) -> None:
        if self.timer.openssl_due(now):
            try:
                connection.retransmit()
            except HandshakeFailedError as error:
                self._fail(FailureReason.TIMEOUT, str(error))
                return
            flight = connection.drain()
            if flight:
                self._statistics.flights_resent += 1
                self.timer.begin(flight, now)
                self.timer.postpone(now)
                self._transmit(flight)
                return
        if self.timer.due(now):
            self._resend(now)

    def _resend(self, now: float) -> None:
        self.timer.postpone(now)
        self._statistics.flights_resent += 1
        self._transmit(self.timer.flight)

    def _admit_in_the_clear(self, record: bytes, now: float) -> bool:
        """Tell whether a record that anybody can have sent may go to OpenSSL."""
        content_type = record[0]
        if content_type == ContentType.HANDSHAKE:
            return self._admit(record, now)
        if content_type == ContentType.ALERT:
            self._hear_alert(record, now)
        elif content_type == ContentType.CHANGE_CIPHER_SPEC:
            if record[HEADER_SIZE:] == _CHANGE_CIPHER_SPEC:
                return True
            self._statistics.malformed += 1
        else:
            self._statistics.unexpected += 1
        return False

    def _admit(self, record: bytes, now: float) -> bool:
        """Tell whether a handshake record in the clear may go to OpenSSL."""
        fragments = handshake_fragments(record)
        if not fragments:
            self._statistics.malformed += 1
            return False
        if all(fragment.message_type in self.expected for fragment in fragments):
            return True
        if not self._hear_hello(fragments, now):
            self._statistics.unexpected += 1
        return False

    def _hear_hello(self, fragments: Sequence[Fragment], now: float) -> bool:
        """Take what may be a ClientHello; False if it is none for us."""
        return False

    def _hear_alert(self, record: bytes, now: float) -> None:
        self._statistics.unauthentic_alerts += 1
        level, description = (record[HEADER_SIZE:] + bytes(2))[:2]
        if level == _FATAL or description == _CLOSE_NOTIFY:
            self._raise_doubt(FailureReason.PEER_ALERT, f"alert {description}", now)

    def _raise_doubt(self, reason: FailureReason, detail: str, now: float) -> None:
        if self._doubt is None:
            self._doubt = Failed(reason, detail)
            self._doubt_deadline = now + DOUBT_TIMEOUT

    def _advance(self, now: float) -> None:
        connection = self.connection
        assert connection is not None  # noqa: S101 - callers have looked
        try:
            self.complete = connection.advance()
        except HandshakeFailedError as error:
            self._on_death(connection, str(error), now)
            return
        flight = connection.drain()
        if flight:
            if not self.timer.begin(flight, now):
                self._statistics.flights_resent += 1
                self.timer.postpone(now)
            self._transmit(flight)
        if self.complete:
            self.timer.stop()

    def _on_death(self, connection: DtlsConnection, detail: str, now: float) -> None:
        """OpenSSL has given the attempt up: here for good, with its alert to the peer."""
        self._transmit(connection.drain())
        refused = connection.certificate_refused
        self._fail(FailureReason.FINGERPRINT if refused else FailureReason.PROTOCOL, detail)

    def _fail(self, reason: FailureReason, detail: str) -> None:
        self.failure = Failed(reason, detail)
        self.timer.stop()


class ClientHandshake(Handshake):
    """The client's side: it sends the first flight, and begins anew if that led nowhere."""

    expected = _FROM_SERVER

    def __init__(self, surroundings: Surroundings, now: float) -> None:
        super().__init__(surroundings, now)
        self._restart_delay = _RESTART_DELAY
        self._restart_at: float | None = None
        self._begin(now)

    def on_deadline(self, now: float) -> None:
        """See `Handshake`."""
        if self._restart_at is not None and now >= self._restart_at:
            self._begin(now)
        super().on_deadline(now)

    def next_deadline(self) -> float | None:
        """See `Handshake`."""
        deadline = super().next_deadline()
        if deadline is None or self._restart_at is None:
            return deadline
        return min(deadline, self._restart_at)

    def _begin(self, now: float) -> None:
        self._restart_at = None
        self._statistics.attempts += 1
        self.timer.forget()
        self.connection = self._connect()
        self._advance(now)

    def _advance(self, now: float) -> None:
        super()._advance(now)
        # Only while we repeat a hello with a cookie can a forger have sent us the cookie.
        if self.connection is None or self.complete:
            return
        message = self._flight_start()
        if message is None:
            self._restart_at = None
        elif message.message_sequence and self._restart_at is None:
            in_doubt = self._doubt is not None
            self._restart_at = now + (_COOKIE_TIMEOUT_IN_DOUBT if in_doubt else _COOKIE_TIMEOUT)

    def _on_death(self, connection: DtlsConnection, detail: str, now: float) -> None:
        if connection.certificate_refused or self._flight_start() is None:
            super()._on_death(connection, detail, now)
            return
        # No alert: the server may have done nothing wrong.
        connection.drain()
        self.connection = None
        self.timer.forget()
        self._raise_doubt(FailureReason.PROTOCOL, detail, now)
        self._restart_at = now + self._restart_delay
        self._restart_delay = min(2 * self._restart_delay, _MAX_RESTART_DELAY)

    def _admit(self, record: bytes, now: float) -> bool:
        # Once the server's first flight was whole, the rest of what it says is encrypted: we ask
        # for no session ticket.
        hello = self._flight_start()
        # And one cookie is all that a server asks for.
        is_second_request = (
            hello is not None
            and hello.message_sequence > 0
            and record[HEADER_SIZE : HEADER_SIZE + 1] == _VERIFY_REQUEST
        )
        if hello is None or is_second_request:
            self._statistics.unexpected += 1
            return False
        return super()._admit(record, now)

    def _flight_start(self) -> Fragment | None:
        """Return the ClientHello we are repeating; None if the server's first flight was whole."""
        fragments = handshake_fragments(self.timer.flight[0]) if self.timer.flight else None
        if not fragments or fragments[0].message_type != HandshakeType.CLIENT_HELLO:
            return None
        return fragments[0]


class ServerHandshake(Handshake):
    """The server's side: it waits for a hello, and chooses among them.

    Args:
        surroundings: what it needs of its endpoint.
        cookie: random bytes for the `HelloGate`.
        now: the time.

    """

    expected = _FROM_CLIENT

    def __init__(self, surroundings: Surroundings, cookie: bytes, now: float) -> None:
        super().__init__(surroundings, now)
        self._gate = HelloGate(cookie)
        self._unverified: ClientHello | None = None
        self._repeat_after = surroundings.settings.initial_timeout / 2
        self._last_sent_at = now

    def _hear_hello(self, fragments: Sequence[Fragment], now: float) -> bool:
        if any(fragment.message_type != HandshakeType.CLIENT_HELLO for fragment in fragments):
            return False
        for fragment in fragments:
            if self.complete or self.failure:
                break
            self._judge(fragment, now)
        return True

    def _judge(self, fragment: Fragment, now: float) -> None:
        verdict, hello = self._gate.judge(fragment)
        if hello is None:
            if len(fragment.body) == fragment.size:
                self._statistics.malformed += 1
        elif verdict is Verdict.REPEAT:
            # RFC 6347 §4.2.4: the answer to a repeated flight is ours again, but a burst of
            # copies gets one.
            if self.connection is not None and now >= self._last_sent_at + self._repeat_after:
                self._last_sent_at = now
                self._resend(now)
        elif verdict is Verdict.CHALLENGE:
            self._challenge()
        else:
            self._begin(hello, verdict is Verdict.BEGIN_VERIFIED, now)
        if self._gate.contested and self._unverified is not None:
            # The flight may answer a forger's hello and confuse the peer: only to be sent again
            # to who repeats the hello.
            self.timer.stop()

    def _challenge(self) -> None:
        self._statistics.challenges += 1
        self._transmit([self._gate.challenge()])

    def _begin(self, hello: ClientHello, is_verified: bool, now: float) -> None:
        self._statistics.attempts += 1
        self.timer.forget()
        self._last_sent_at = now
        self._unverified = None if is_verified else hello
        connection = self.connection = self._connect()
        if is_verified:
            try:
                connection.accept_verified_hello(hello.record)
            except HandshakeFailedError as error:
                self._on_death(connection, str(error), now)
                return
        else:
            connection.feed([hello.record])
        self._advance(now)

    def _on_death(self, connection: DtlsConnection, detail: str, now: float) -> None:
        if self._unverified is None or self.timer.flight:
            super()._on_death(connection, detail, now)
            return
        # OpenSSL rejects the very hello: nobody has shown that it was the peer's.
        connection.drain()
        self.connection = None
        self._unverified = None
        self._gate.disown()
        self._challenge()
