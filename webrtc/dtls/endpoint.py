"""A DTLS endpoint for one ICE component (RFC 5764, RFC 8827 §6.5): datagrams and a time in and out.

Nothing of the peer is released before its certificate was one of those signalled: neither keys
nor data.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from webrtc.dtls.certificate import Certificate
from webrtc.dtls.connection import DtlsConnection
from webrtc.dtls.errors import DtlsStateError, HandshakeFailedError, PayloadSizeError
from webrtc.dtls.events import (
    Closed,
    Connected,
    DataReceived,
    DtlsState,
    Event,
    Failed,
    FailureReason,
)
from webrtc.dtls.fingerprint import Fingerprint, certificate_matches
from webrtc.dtls.handshake import ClientHandshake, Handshake, ServerHandshake, Surroundings
from webrtc.dtls.hello import COOKIE_SIZE
from webrtc.dtls.profile import SrtpProfile
from webrtc.dtls.records import (
    HEADER_SIZE,
    ContentType,
    RecordNumberer,
    epoch_of,
    pack_datagrams,
    split_records,
)
from webrtc.dtls.session import Session
from webrtc.dtls.settings import MAX_MTU, MIN_MTU, DtlsSettings, DtlsStatistics
from webrtc.dtls.setup import DtlsRole

MAX_QUEUED = 1024
"""Datagrams, and messages, that wait for the owner; more are dropped as a network would."""
_MAX_EARLY = 16
"""Datagrams kept until `start`: a peer's first flight may outrun its answer."""
_LAST_FLIGHT_INTERVAL = 0.02
_SESSION_EPOCH = 1
_SESSION_EPOCH_BYTES = b"\0\1"
_WARNING, _FATAL = 1, 2
_CLOSE_NOTIFY = 0
_APPLICATION_DATA = ContentType.APPLICATION_DATA.value
_DEFAULT_SETTINGS = DtlsSettings()


class DtlsEndpoint:
    """One end of a DTLS association.

    After every call, take the datagrams and events, and ask for the next deadline.

    Args:
        certificate: ours.
        settings: timeouts, MTU and SRTP profiles.
        token_bytes: gives random bytes that nobody can guess.

    """

    def __init__(
        self,
        certificate: Certificate,
        settings: DtlsSettings = _DEFAULT_SETTINGS,
        *,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.statistics = DtlsStatistics()
        self._certificate = certificate
        self._settings = settings
        self._token_bytes = token_bytes
        self._mtu = settings.mtu
        self._state = DtlsState.NEW
        self._role: DtlsRole | None = None
        self._fingerprints: tuple[Fingerprint, ...] = ()
        self._handshake: Handshake | None = None
        self._session: Session | None = None
        self._max_payload = 0
        self._last_flight: Sequence[bytes] = ()
        self._last_flight_sent_at = 0.0
        self._numberer = RecordNumberer()
        self._early: list[bytes] = []
        self._datagrams: list[bytes] = []
        self._events: list[Event] = []

    @property
    def state(self) -> DtlsState:
        """How far the endpoint is."""
        return self._state

    @property
    def role(self) -> DtlsRole | None:
        """Ours, once started."""
        return self._role

    @property
    def certificate(self) -> Certificate:
        """Ours."""
        return self._certificate

    @property
    def max_payload(self) -> int:
        """Bytes of the longest message that `send` takes; 0 before the endpoint is connected."""
        return self._max_payload

    def start(self, now: float, role: DtlsRole, fingerprints: Sequence[Fingerprint]) -> None:
        """Begin the handshake; datagrams that came before are taken now.

        Args:
            now: monotonic seconds.
            role: ours, by the setup attributes (`negotiated_role`).
            fingerprints: the peer's, of the remote description.

        Raises:
            DtlsStateError: it was started or closed, or none of the fingerprints is of a hash
                function that is trusted.

        """
        if self._state is not DtlsState.NEW:
            raise DtlsStateError(f"an endpoint that is {self._state.value} does not start")
        if not any(fingerprint.is_supported for fingerprint in fingerprints):
            raise DtlsStateError("no fingerprint of the peer is of a hash function trusted here")
        self._role = role
        self._fingerprints = tuple(fingerprints)
        self._state = DtlsState.CONNECTING
        surroundings = Surroundings(
            self._settings, self.statistics, self._make_connection, self._transmit
        )
        if role is DtlsRole.CLIENT:
            self._handshake = ClientHandshake(surroundings, now)
        else:
            cookie = self._token_bytes(COOKIE_SIZE)
            self._handshake = ServerHandshake(surroundings, cookie, now)
        early, self._early = self._early, []
        for datagram in early:
            self._take(datagram, now)

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram of the peer; bad ones are counted. Per packet."""
        self.statistics.datagrams_received += 1
        if self._state is DtlsState.NEW:
            if len(self._early) < _MAX_EARLY and len(data) <= MAX_MTU:
                self._early.append(data)
            else:
                self.statistics.unexpected += 1
            return
        self._take(data, now)

    def receive_message(self, data: bytes) -> bytes | None:
        """Take a datagram that holds nothing but one message, which most do. Per packet.

        Returns:
            The message, which is no event then; nothing (b"") if the record was bad, and counted;
            None for any other datagram, which `receive` takes.

        """
        session = self._session
        if session is None or len(data) < HEADER_SIZE or data[0] != _APPLICATION_DATA:
            return None
        if data[3:5] != _SESSION_EPOCH_BYTES or int.from_bytes(data[11:13]) != len(data) - 13:
            return None
        statistics = self.statistics
        statistics.datagrams_received += 1
        if not session.is_fresh(data):
            statistics.replayed += 1
            return b""
        message = session.open(data)
        if message is None:
            statistics.unauthentic += 1
            return b""
        statistics.messages_received += 1
        return message

    def _take(self, data: bytes, now: float) -> None:
        records, rest = split_records(data)
        if rest:
            self.statistics.malformed += 1
        if not records:
            return
        if self._session is not None:
            for record in records:
                self._receive_in_session(record, now)
        elif self._handshake is not None:
            self._handshake.receive(records, now)
            self._after_handshake_step(now)
        else:
            self.statistics.unexpected += len(records)

    def on_deadline(self, now: float) -> None:
        """Do what is due: send a flight again, or give up."""
        if self._handshake is not None:
            self._handshake.on_deadline(now)
            self._after_handshake_step(now)

    def next_deadline(self) -> float | None:
        """When `on_deadline` is to be called; None if there is nothing to wait for."""
        return self._handshake.next_deadline() if self._handshake is not None else None

    def take_datagrams(self) -> list[bytes]:
        """Return what is to be sent to the peer; none is longer than the MTU. Per packet."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def take_events(self) -> list[Event]:
        """Return what has happened. Per packet."""
        events, self._events = self._events, []
        return events

    def send(self, data: bytes) -> None:
        """Send one message in one datagram. Per packet.

        Raises:
            DtlsStateError: the endpoint is not connected.
            PayloadSizeError: the message is empty, or longer than `max_payload`.

        """
        if self._session is None:
            raise DtlsStateError(f"an endpoint that is {self._state.value} does not send")
        if not 0 < len(data) <= self._max_payload:
            raise PayloadSizeError(f"{len(data)} bytes; a message has 1 to {self._max_payload}")
        try:
            record = self._session.seal(_APPLICATION_DATA, data)
        except HandshakeFailedError as error:
            self._fail(Failed(FailureReason.PROTOCOL, str(error)))
            raise DtlsStateError(str(error)) from error
        self.statistics.messages_sent += 1
        self._queue(record)

    def set_mtu(self, mtu: int) -> None:
        """Change the longest datagram sent, when the path is known better.

        Raises:
            PayloadSizeError: no MTU for DTLS.

        """
        if not MIN_MTU <= mtu <= MAX_MTU:
            raise PayloadSizeError(f"an MTU has {MIN_MTU} to {MAX_MTU} bytes, not {mtu}")
        self._mtu = mtu
        if self._session is not None:
            self._max_payload = mtu - self._session.overhead
        elif self._handshake is not None and self._handshake.connection is not None:
            self._handshake.connection.set_mtu(mtu)

    def close(self) -> None:
        """Close the association; the peer is told if there is one. Idempotent."""
        if self._state in (DtlsState.CLOSED, DtlsState.FAILED):
            return
        if self._state is DtlsState.CONNECTED:
            self._say_goodbye()
        self._end(DtlsState.CLOSED, Closed(by_peer=False))

    def abandon(self, detail: str) -> None:
        """Fail without a word to the peer: something here is wrong. Idempotent."""
        if self._state not in (DtlsState.CLOSED, DtlsState.FAILED):
            self._fail(Failed(FailureReason.INTERNAL, detail))

    def _make_connection(self) -> DtlsConnection:
        assert self._role is not None  # noqa: S101 - `start` has set it
        return DtlsConnection(
            self._certificate, self._role, self._profiles, self._mtu, self._is_known
        )

    @property
    def _profiles(self) -> tuple[SrtpProfile, ...]:
        if self._role is DtlsRole.CLIENT:
            return self._settings.offered_profiles
        return self._settings.accepted_profiles

    def _is_known(self, certificate_der: bytes) -> bool:
        return certificate_matches(certificate_der, self._fingerprints)

    def _after_handshake_step(self, now: float) -> None:
        handshake = self._handshake
        if handshake is None:
            return
        if handshake.failure is not None:
            self._fail(handshake.failure)
        elif handshake.complete and handshake.connection is not None:
            self._handshake = None
            self._establish(handshake.connection, handshake.timer.flight, now)
            handshake.connection.discard()

    def _establish(self, connection: DtlsConnection, flight: Sequence[bytes], now: float) -> None:
        try:
            self._session = session = connection.session()
        except HandshakeFailedError as error:
            self._fail(Failed(FailureReason.PROTOCOL, str(error)))
            return
        certificate = connection.peer_certificate
        # OpenSSL has asked already; a session must not hang on one callback alone.
        if certificate is None or not self._is_known(certificate):
            self._reject(FailureReason.FINGERPRINT, "the certificate is not the one signalled")
            return
        profile = connection.selected_profile
        if profile not in self._profiles and (profile or self._settings.srtp_required):
            self._reject(FailureReason.SRTP_PROFILE, "no SRTP profile in common")
            return
        keys = None
        if profile is not None and self._role is not None:
            keys = profile.split(connection.export_srtp_material(profile), self._role)
        if self._role is DtlsRole.SERVER:
            self._last_flight, self._last_flight_sent_at = flight, now
        self._max_payload = self._mtu - session.overhead
        self._state = DtlsState.CONNECTED
        self._events.append(Connected(keys, certificate, connection.cipher))
        # A reordered datagram may have brought messages before the end of the handshake.
        for record in connection.early:
            self._receive_in_session(record, now)

    def _reject(self, reason: FailureReason, detail: str) -> None:
        self._say_goodbye()
        self._fail(Failed(reason, detail))

    def _receive_in_session(self, record: bytes, now: float) -> None:
        session = self._session
        if session is None:
            return  # the record before this one was the last
        is_handshake = record[0] == ContentType.HANDSHAKE
        if epoch_of(record) != _SESSION_EPOCH:
            self.statistics.unexpected += 1
        elif not session.is_fresh(record):
            self.statistics.replayed += 1
        else:
            content = session.open(record)
            if content is None:
                self.statistics.unauthentic += 1
            elif record[0] == ContentType.APPLICATION_DATA:
                self._take_message(content)
            elif record[0] == ContentType.ALERT:
                self._hear_alert(content)
        if is_handshake:
            self._repeat_last_flight(session, now)

    def _take_message(self, message: bytes) -> None:
        if not message:
            return
        self.statistics.messages_received += 1
        if len(self._events) < MAX_QUEUED:
            self._events.append(DataReceived(message))
        else:
            self.statistics.messages_dropped += 1

    def _hear_alert(self, content: bytes) -> None:
        level, description = (content + bytes((_WARNING, _WARNING)))[:2]
        if description == _CLOSE_NOTIFY:
            self._say_goodbye()
            self._end(DtlsState.CLOSED, Closed(by_peer=True))
        elif level == _FATAL:
            self._fail(Failed(FailureReason.PEER_ALERT, f"alert {description}"))

    def _repeat_last_flight(self, session: Session, now: float) -> None:
        """Answer a client that still repeats its last flight: it lacks ours (RFC 6347 §4.2.4)."""
        if self._role is not DtlsRole.SERVER:
            return
        if now < self._last_flight_sent_at + _LAST_FLIGHT_INTERVAL:
            return
        self._last_flight_sent_at = now
        self.statistics.flights_resent += 1
        self._transmit(
            [session.renew(record) if epoch_of(record) else record for record in self._last_flight]
        )

    def _say_goodbye(self) -> None:
        if self._session is not None:
            goodbye = bytes((_WARNING, _CLOSE_NOTIFY))
            self._transmit([self._session.seal(ContentType.ALERT, goodbye)])

    def _fail(self, failure: Failed) -> None:
        self._end(DtlsState.FAILED, failure)

    def _end(self, state: DtlsState, event: Event) -> None:
        self._state = state
        self._handshake = None
        self._session = None
        self._max_payload = 0
        self._last_flight = ()
        self._early.clear()
        self._events.append(event)

    def _transmit(self, records: Sequence[bytes]) -> None:
        for datagram in pack_datagrams(self._numberer.renumber(records), self._mtu):
            self._queue(datagram)

    def _queue(self, datagram: bytes) -> None:
        if len(self._datagrams) >= MAX_QUEUED:
            self.statistics.datagrams_dropped += 1
            return
        self.statistics.datagrams_sent += 1
        self._datagrams.append(datagram)
