"""The TURN server as one object without I/O: a request and a time in, outputs out.

The order of business for a request is RFC 8489 §6.3 and §9.2.4, then the method's
own. Packets do not come here: the engine relays them by the tables.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from stun import (
    Address,
    DecodeError,
    ErrorCode,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    StunError,
)
from stun import attributes as a
from stun.credentials import SecurityFeature
from turnd.core.allocate import handle_allocate
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.authentication import Authenticator, Held, MustLoad
from turnd.core.binding import handle_binding
from turnd.core.challenge import Challenge
from turnd.core.credentials import CredentialSource
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.nonce import NonceMaker
from turnd.core.outputs import (
    CloseClient,
    LoadCredential,
    Output,
    RequestAnswered,
    RequestDropped,
    StepFailed,
    Transmit,
)
from turnd.core.permission import (
    PeerDeniedError,
    handle_channel_bind,
    handle_create_permission,
)
from turnd.core.port_pool import RandomBelow
from turnd.core.rate_limit import PrefixRateLimit
from turnd.core.refresh import handle_refresh
from turnd.core.request import RejectionError, Request
from turnd.core.settings import Settings
from turnd.core.state import DeadlineKey, RandomBytes, State
from turnd.core.tables import Tables, TcpRelay
from turnd.core.tcp_allocation import (
    connection_closed,
    connection_due,
    handle_connect,
    handle_connection_bind,
    peer_arrived,
    peer_connected,
    peer_unreachable,
)

Handler = Callable[[State, Request], Answer | None]

_HANDLERS: dict[int, Handler] = {
    Method.ALLOCATE: handle_allocate,
    Method.REFRESH: handle_refresh,
    Method.CREATE_PERMISSION: handle_create_permission,
    Method.CHANNEL_BIND: handle_channel_bind,
    Method.CONNECT: handle_connect,
    Method.CONNECTION_BIND: handle_connection_bind,
}
_METHODS = frozenset({*_HANDLERS, Method.BINDING})
_CACHED = frozenset({Method.ALLOCATE, Method.REFRESH})


@attrs.frozen(slots=True, kw_only=True)
class Environment:
    """What a core may not have of its own: time of day and randomness.

    Attributes:
        wall_clock: Unix time in seconds.
        random_bytes: as `secrets.token_bytes`.
        random_below: as `secrets.randbelow`.
        nonce_key: at least 16 secret bytes; the same on every server of a cluster.

    """

    wall_clock: Callable[[], float]
    random_bytes: RandomBytes
    random_below: RandomBelow
    nonce_key: bytes = attrs.field(repr=False)


class TurnServer:
    """A STUN and TURN server.

    Args:
        settings: see `Settings`.
        source: where credentials are.
        tables: the engine that relays.
        tcp_relay: peer connections of TCP allocations.
        environment: clock and randomness.
        now: monotonic seconds.

    """

    def __init__(
        self,
        settings: Settings,
        source: CredentialSource,
        tables: Tables,
        tcp_relay: TcpRelay,
        environment: Environment,
        now: float,
    ) -> None:
        self._environment = environment
        self._source = source
        self._state = State(
            settings, tables, tcp_relay, environment.random_bytes, environment.random_below
        )
        self._configure(settings, now)

    def reconfigure(self, settings: Settings, source: CredentialSource, now: float) -> None:
        """Put other settings and credentials in force; allocations live on."""
        self._source = source
        self._state.settings = settings
        self._state.addresses.reconfigure(settings)
        self._configure(settings, now)

    def _configure(self, settings: Settings, now: float) -> None:
        self._settings = settings
        features = SecurityFeature.NONE
        if settings.password_algorithms:
            features = SecurityFeature.PASSWORD_ALGORITHMS
            if settings.username_anonymity:
                features |= SecurityFeature.USERNAME_ANONYMITY
        environment = self._environment
        _, algorithms = a.PASSWORD_ALGORITHMS.of(tuple(settings.password_algorithms))
        nonces = NonceMaker(
            environment.nonce_key, settings.lifetimes.nonce, features, covers=algorithms
        )
        self._authenticator = Authenticator(settings, self._source, nonces)
        self._rate_limit = PrefixRateLimit(
            settings.unauthenticated_rate,
            settings.unauthenticated_burst,
            environment.nonce_key,
            now,
        )

    @property
    def allocation_count(self) -> int:
        """How many allocations there are."""
        return len(self._state.allocations)

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        """Whether that client holds an allocation."""
        return self._state.allocation_of(five_tuple) is not None

    def challenge(self) -> Challenge | None:
        """Return what a stranger's Allocate over UDP is answered with; None if it is not asked."""
        if not self._settings.authenticate:
            return None
        return self._authenticator.template()

    def receive(self, data: bytes, five_tuple: FiveTuple, now: float) -> list[Output]:
        """Take a message from a client.

        Args:
            data: one whole STUN message, as it came.
            five_tuple: where it came from.
            now: monotonic seconds.

        """
        try:
            message = Message.decode(data)
        except DecodeError:
            return [RequestDropped(five_tuple, "malformed")]
        if message.message_class is not MessageClass.REQUEST:
            return self._no_request(message, five_tuple)
        if message.method == Method.BINDING and not self._settings.authenticate_binding:
            return self._bind(Request(message, data, five_tuple, now))
        if message.is_classic or message.method not in _METHODS:
            return [RequestDropped(five_tuple, "unknown-method")]
        return self._authenticated(message, data, five_tuple, now)

    def client_gone(self, five_tuple: FiveTuple, now: float) -> list[Output]:
        """Take note that a client's stream or DTLS session ended.

        Its allocation ends with it (RFC 8656 §3.1), unless a mobility ticket lets the
        client come back (RFC 8016 §3.1).
        """
        allocation = self._state.allocation_of(five_tuple)
        if allocation is None:
            return []
        if allocation.ticket:
            allocation.client_gone = True
            return []
        return self._state.close(allocation, "client-gone", now)

    def fail(self, five_tuple: FiveTuple, now: float) -> list[Output]:
        """End a client's session after an error of our own: its allocation and its stream."""
        allocation = self._state.allocation_of(five_tuple)
        outputs = self._state.close(allocation, "failed", now) if allocation else []
        if five_tuple.transport is not Transport.UDP:
            outputs.append(CloseClient(five_tuple))
        return outputs

    def close_all(self, now: float) -> list[Output]:
        """End every allocation, as the server stops."""
        return [
            output
            for allocation in self._state.allocations
            for output in self._state.close(allocation, "shutdown", now)
        ]

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` is due at the latest, monotonic seconds; None for never."""
        return self._state.deadlines.next()

    def on_deadline(self, now: float) -> list[Output]:
        """End what has run out."""
        outputs: list[Output] = []
        for key in self._state.deadlines.pop_due(now):
            try:
                outputs += self._end(key, now)
            except Exception as error:  # must not keep the others alive for ever
                outputs.append(StepFailed(error))
        return outputs

    def _end(self, key: DeadlineKey, now: float) -> list[Output]:
        if key[0] == "relay":
            return self._state.end_family(key[1], key[2], now)
        if key[0] == "reservation":
            self._state.end_reservation(key[1])
            return []
        return connection_due(self._state, key[1])

    def peer_connected(self, connection_id: int, now: float) -> list[Output]:
        """Take note that a Connect's connection stands (RFC 6062 §5.2)."""
        done = peer_connected(self._state, connection_id, now)
        return self._succeed(*done) if done else []

    def peer_unreachable(self, connection_id: int) -> list[Output]:
        """Take note that a Connect's connection failed or timed out."""
        failed = peer_unreachable(self._state, connection_id)
        return self._reject(*failed) if failed else []

    def peer_arrived(
        self, allocation: int, peer: Address, now: float
    ) -> tuple[int | None, list[Output]]:
        """Take a peer's connection to a relayed transport address (RFC 6062 §5.3).

        Returns:
            its CONNECTION-ID, or None when it must be closed; and what to do.

        """
        return peer_arrived(self._state, allocation, peer, now)

    def connection_closed(self, connection_id: int) -> None:
        """Take note that a peer connection is gone."""
        connection_closed(self._state, connection_id)

    def _no_request(self, message: Message, five_tuple: FiveTuple) -> list[Output]:
        if message.message_class is MessageClass.INDICATION and message.method == Method.BINDING:
            return []  # a keep-alive (RFC 8489 §6.3.2)
        return [RequestDropped(five_tuple, "unexpected-class")]

    def _bind(self, request: Request) -> list[Output]:
        if request.message.is_classic and not self._settings.classic:
            return [RequestDropped(request.five_tuple, "malformed")]
        if not self._may_answer(request):
            return [RequestDropped(request.five_tuple, "rate-limited")]
        try:
            _check_known(request)
            return self._answer_binding(request)
        except RejectionError as rejection:
            return self._reject(request, rejection)
        except DecodeError as error:
            return self._reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))

    def _answer_binding(self, request: Request) -> list[Output]:
        answer = handle_binding(request, self._settings)
        return [
            Transmit(
                request.success(answer.attributes),
                request.five_tuple,
                answer.source,
                answer.destination,
            ),
            _answered(request, 0),
        ]

    def _authenticated(
        self, message: Message, data: bytes, five_tuple: FiveTuple, now: float
    ) -> list[Output]:
        if message.method in _CACHED and len(self._state.replies):
            reply = self._state.replies.find(five_tuple, data, now)
            if reply is not None:
                return [Transmit(reply, five_tuple)]
        request = Request(message, data, five_tuple, now, self._settings.realm)
        try:
            held = self._held(request)
            identified = self._identify(request, held)
        except RejectionError as rejection:
            if not self._may_answer(request):
                return [RequestDropped(five_tuple, "rate-limited")]
            return self._reject(request, rejection)
        except DecodeError as error:
            if not self._may_answer(request):
                return [RequestDropped(five_tuple, "rate-limited")]
            return self._reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))
        if isinstance(identified, MustLoad):
            return [
                LoadCredential(
                    data, five_tuple, identified.realm, identified.username, identified.userhash
                )
            ]
        return self._dispatch(identified, held)

    def _identify(self, request: Request, held: Held | None) -> Request | MustLoad:
        if not self._settings.authenticate:
            return request
        identity = self._authenticator.authenticate(
            request.message,
            request.five_tuple,
            held,
            self._environment.wall_clock(),
        )
        if isinstance(identity, MustLoad):
            return identity
        return Request(
            request.message,
            request.data,
            request.five_tuple,
            request.now,
            identity.realm,
            identity.credential,
            identity.signature,
            self._settings.software,
        )

    def _held(self, request: Request) -> Held | None:
        """Find the allocation a request is about: its credential stays good for it."""
        state, message = self._state, request.message
        allocation = state.allocation_of(request.five_tuple)
        if allocation is None and message.method == Method.REFRESH:
            ticket = message.get(a.MOBILITY_TICKET)
            allocation = state.allocations.of_ticket(ticket) if ticket else None
        elif allocation is None and message.method == Method.CONNECTION_BIND:
            allocation = self._allocation_of_connection(message.get(a.CONNECTION_ID))
        if allocation is None:
            return None
        return Held(allocation.five_tuple, allocation.realm, allocation.credential)

    def _allocation_of_connection(self, connection_id: int | None) -> Allocation | None:
        connection = self._state.connections.get(connection_id) if connection_id else None
        return self._state.allocations.get(connection.allocation) if connection else None

    def _dispatch(self, request: Request, held: Held | None) -> list[Output]:
        try:
            _check_owner(request, held)
            _check_known(request)
            if request.message.method == Method.BINDING:
                return self._answer_binding(request)
            answer = _HANDLERS[request.message.method](self._state, request)
        except RejectionError as rejection:
            return self._reject(request, rejection)
        except DecodeError as error:
            return self._reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))
        return self._succeed(request, answer) if answer else []

    def _succeed(self, request: Request, answer: Answer) -> list[Output]:
        response = request.success(answer.attributes)
        if answer.remember and not request.five_tuple.transport.is_stream:
            self._state.replies.add(request.five_tuple, request.data, response, request.now)
        return [
            Transmit(response, request.five_tuple),
            _answered(request, 0),
            *answer.events,
        ]

    def _reject(self, request: Request, rejection: RejectionError) -> list[Output]:
        outputs: list[Output] = [
            Transmit(request.error(rejection), request.five_tuple),
            _answered(request, rejection.code, rejection.detail),
        ]
        if isinstance(rejection, PeerDeniedError):
            outputs.append(rejection.event)
        return outputs

    def _may_answer(self, request: Request) -> bool:
        """Whether an unauthenticated client gets an answer: not to be used to flood a victim."""
        five_tuple = request.five_tuple
        # A stream's or a DTLS session's source address is proven.
        if five_tuple.transport is not Transport.UDP or self.has_allocation(five_tuple):
            return True
        return self._rate_limit.allows(five_tuple.client.packed, request.now)


def _check_owner(request: Request, held: Held | None) -> None:
    """Reject what is about another user's allocation (RFC 8656 §5).

    Not Allocate, which finds the 5-tuple taken (437). And not as part of authentication, which
    the request has passed: the client believes the answer by its signature (RFC 8489 §9.2.5).
    """
    if held is None or request.credential is None or request.message.method == Method.ALLOCATE:
        return
    if (request.realm, request.credential.owner) != (held.realm, held.credential.owner):
        raise RejectionError(ErrorCode.WRONG_CREDENTIALS, "the allocation is another user's")


def _check_known(request: Request) -> None:
    """Reject comprehension-required attributes that nobody here knows (RFC 8489 §6.3.1)."""
    unknown = tuple(
        dict.fromkeys(
            code
            for code, _ in request.message.attributes
            if code < 0x8000 and code not in a.REGISTRY
        )
    )
    if unknown:
        unknown = unknown[:_MAX_UNKNOWN]
        attribute: RawAttribute = a.UNKNOWN_ATTRIBUTES.of(unknown)
        names = ", ".join(f"0x{code:04x}" for code in unknown)
        raise RejectionError(ErrorCode.UNKNOWN_ATTRIBUTE, names, [attribute])


_MAX_UNKNOWN = 16
"""An error, and the log, name that many unknown attributes: neither must be larger than the
request that caused it."""


def _claimed_name(request: Request) -> str:
    """Return whom a request that is not authenticated names; operators look for it in logs."""
    try:
        name = request.message.get(a.USERNAME)
        # No stranger writes lines of our log, nor has us prepare long names for it.
        return name if name and name.isprintable() else ""
    except StunError:
        return ""


def _answered(request: Request, code: int, detail: str = "") -> RequestAnswered:
    username = request.credential.username if request.credential else _claimed_name(request)
    return RequestAnswered(
        request.five_tuple, request.message.method, code, request.realm, detail, username
    )
