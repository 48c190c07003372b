"""Binding requests that the peer sends: the STUN server side (RFC 8445 §7.3).

Authenticates, settles role conflicts, answers; what the request means for pairs is the
generation's to say. Nothing that is not authentic is answered: an error to a forged source
would serve nobody but who forged it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ice_client.core.candidate import Base
from ice_client.core.check_client import NOMINATION
from ice_client.core.context import Context
from ice_client.core.generation import Generation
from ice_client.core.peer_request import PeerRequest
from stun import (
    Address,
    DecodeError,
    Error,
    ErrorCode,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    attributes,
)

_UNDERSTOOD = frozenset(
    attribute.code
    for attribute in (
        attributes.USERNAME,
        attributes.MESSAGE_INTEGRITY,
        attributes.MESSAGE_INTEGRITY_SHA256,
        attributes.PRIORITY,
        attributes.USE_CANDIDATE,
    )
)
_MAX_PRIORITY = 0x7FFFFFFF


class CheckServer:
    """Answers checks.

    Args:
        context: the agent's.

    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def receive(
        self,
        message: Message,
        base: Base,
        source: Address,
        generations: Sequence[Generation],
        now: float,
    ) -> None:
        """Take a Binding request.

        Args:
            message: the request.
            base: where it came.
            source: from whom.
            generations: the current one first.
            now: monotonic seconds.

        """
        try:
            username = message.get(attributes.USERNAME) or ""
        except DecodeError:
            username = ""
        ours, _, theirs = username.partition(":")
        generation = next(
            (one for one in generations if one.local_credentials.username_fragment == ours), None
        )
        if generation is None or not message.verify(
            IntegrityAlgorithm.SHA1, generation.local_credentials.key
        ):
            self._context.counters.unauthenticated += 1
            return
        if (base, source) in generation.selection.revoked:
            self._context.counters.revoked += 1
            return
        if generation.is_foreign(theirs, base, source):
            # Chromium, whose restart we have not heard of or have not told it our part of, tries
            # its new candidates with our old ones. Were it answered, it would select such a pair,
            # and then ignore our new candidate of the same address: the restart would never end.
            self._context.counters.foreign += 1
            return
        answer = _Answer(self._context, message, base, source, generation.local_credentials.key)
        unknown = tuple(
            code for code, _ in message.attributes if code < 0x8000 and code not in _UNDERSTOOD
        )
        if unknown:
            answer.error(
                ErrorCode.UNKNOWN_ATTRIBUTE, attributes.UNKNOWN_ATTRIBUTES.of(unknown[:32])
            )
            return
        try:
            request = _read(message, base, source, theirs)
            is_current = generation is generations[0]
            conflict = is_current and self._is_conflict(message, generation)
        except DecodeError:
            answer.error(ErrorCode.BAD_REQUEST)
            return
        if conflict:
            answer.error(ErrorCode.ROLE_CONFLICT)
            return
        answer.success()
        generation.on_request(request, now)

    def _is_conflict(self, message: Message, generation: Generation) -> bool:
        """Settle a role conflict; return whether the peer has to switch (RFC 8445 §7.3.1.1)."""
        context = self._context
        # A lite agent cannot nominate, so a full one has no role but controlling (§6.1.1).
        if context.settings.lite:
            return message.has(attributes.ICE_CONTROLLED)
        same = attributes.ICE_CONTROLLING if context.is_controlling else attributes.ICE_CONTROLLED
        theirs = message.get(same)
        if theirs is None:
            return False
        wins = context.tie_breaker >= theirs
        if wins == context.is_controlling:
            return True
        context.switch_role()
        generation.change_role()
        return False


class _Answer:
    """The answer to one request, signed as the request was (RFC 8489 §9.1.3)."""

    def __init__(
        self, context: Context, request: Message, base: Base, source: Address, key: bytes
    ) -> None:
        self._context = context
        self._request = request
        self._base = base
        self._source = source
        self._key = key

    def success(self) -> None:
        """Send a success response."""
        mapped = attributes.XOR_MAPPED_ADDRESS.of(self._source, self._request.transaction_id)
        self._send(MessageClass.SUCCESS_RESPONSE, [mapped])

    def error(self, code: ErrorCode, *more: RawAttribute) -> None:
        """Send an error response."""
        error = attributes.ERROR_CODE.of(Error(code, code.reason))
        self._send(MessageClass.ERROR_RESPONSE, [error, *more])

    def _send(self, message_class: MessageClass, listed: list[RawAttribute]) -> None:
        response = Message.build(
            Method.BINDING, message_class, self._request.transaction_id, listed
        )
        data = response.encode(sign=[(IntegrityAlgorithm.SHA1, self._key)], fingerprint=True)
        self._context.transmit(data, self._base, self._source)


def _read(message: Message, base: Base, source: Address, username_fragment: str) -> PeerRequest:
    priority = message.get(attributes.PRIORITY)
    if priority is None:
        raise DecodeError("a check without PRIORITY (RFC 8445 §7.1.1)")
    return PeerRequest(
        base,
        source,
        min(max(priority, 1), _MAX_PRIORITY),
        message.has(attributes.USE_CANDIDATE),
        message.get(NOMINATION) or 0,
        username_fragment,
    )
