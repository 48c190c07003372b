"""What becomes of one message: the order of business for a request.

RFC 8489 §6.3 and §9.2.4, then the method's own; what fails on the way says so by
`RejectionError`, or is malformed, and is answered here.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from stun import DecodeError, ErrorCode, Message, MessageClass, Method, RawAttribute, StunError
from stun import attributes as a
from turnd.core.allocate import handle_allocate
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.authentication import Authenticator, Held, MustLoad
from turnd.core.binding import handle_binding
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import (
    LoadCredential,
    Output,
    RequestAnswered,
    RequestDropped,
    Transmit,
)
from turnd.core.permission import (
    PeerDeniedError,
    handle_channel_bind,
    handle_create_permission,
)
from turnd.core.rate_limit import PrefixRateLimit
from turnd.core.refresh import handle_refresh
from turnd.core.request import RejectionError, Request
from turnd.core.settings import Settings
from turnd.core.state import State
from turnd.core.tcp_allocation import handle_connect, handle_connection_bind

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


@attrs.frozen(slots=True)
class Dispatcher:
    """Takes messages from clients; one for each configuration.

    Attributes:
        settings: in force.
        state: what the server knows.
        authenticator: checks requests against credentials.
        rate_limit: bounds answers to strangers.
        wall_clock: Unix time in seconds.

    """

    _settings: Settings
    _state: State
    _authenticator: Authenticator
    _rate_limit: PrefixRateLimit
    _wall_clock: Callable[[], float]

    def receive(self, data: bytes, five_tuple: FiveTuple, now: float) -> list[Output]:
        """Take a message from a client; see `TurnServer.receive`."""
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
            return self.reject(request, rejection)
        except DecodeError as error:
            return self.reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))

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
            return self.reject(request, rejection)
        except DecodeError as error:
            if not self._may_answer(request):
                return [RequestDropped(five_tuple, "rate-limited")]
            return self.reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))
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
            self._wall_clock(),
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
            return self.reject(request, rejection)
        except DecodeError as error:
            return self.reject(request, RejectionError(ErrorCode.BAD_REQUEST, str(error)))
        return self.succeed(request, answer) if answer else []

    def succeed(self, request: Request, answer: Answer) -> list[Output]:
        """Answer a request with success."""
        response = request.success(answer.attributes)
        if answer.remember and not request.five_tuple.transport.is_stream:
            self._state.replies.add(request.five_tuple, request.data, response, request.now)
        return [
            Transmit(response, request.five_tuple),
            _answered(request, 0),
            *answer.events,
        ]

    def reject(self, request: Request, rejection: RejectionError) -> list[Output]:
        """Answer a request with an error."""
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
        if five_tuple.transport is not Transport.UDP or self._state.allocation_of(five_tuple):
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
