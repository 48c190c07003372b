"""A message in one line, for people; what could be a secret is hidden.

What it says comes off the wire: text is quoted and escaped, so that nobody can write lines
of his own into a log, and the line's length is bounded.
"""

from __future__ import annotations

from stun import attributes as a
from stun.constants import MessageClass, Method
from stun.errors import DecodeError
from stun.message import Message

MOST_ATTRIBUTES = 24
"""How many attributes are told of; more than any honest message has."""
MOST_CHARACTERS = 120
"""How much of one attribute's value is shown."""

_CLASSES = {
    MessageClass.REQUEST: "request",
    MessageClass.INDICATION: "indication",
    MessageClass.SUCCESS_RESPONSE: "success response",
    MessageClass.ERROR_RESPONSE: "error response",
}
_HIDDEN = {
    a.MESSAGE_INTEGRITY.code,
    a.MESSAGE_INTEGRITY_SHA256.code,
    a.FINGERPRINT.code,
    a.ACCESS_TOKEN.code,
    a.MOBILITY_TICKET.code,
    a.RESERVATION_TOKEN.code,
    a.NONCE.code,
}


def describe(message: Message) -> str:
    """Say what a message is: method, class, and its attributes in order."""
    method = _METHODS.get(message.method, f"method 0x{message.method:03x}")
    shown = [_attribute(message, *each) for each in message.attributes[:MOST_ATTRIBUTES]]
    left_out = len(message.attributes) - len(shown)
    if left_out:
        shown.append(f"{left_out} more")
    title = f"{method} {_CLASSES[message.message_class]}"
    return f"{title}: {', '.join(shown)}" if shown else title


_METHODS: dict[int, str] = {method.value: method.name for method in Method}


def _attribute(message: Message, code: int, value: bytes) -> str:
    kind = a.REGISTRY.get(code)
    if kind is None:
        return f"0x{code:04x} ({len(value)} bytes)"
    if code in _HIDDEN:
        return kind.name
    try:
        decoded = kind.decode(value, message.transaction_id)
    except DecodeError as error:
        return f"{kind.name} malformed ({error})"
    if isinstance(decoded, bytes):
        return f"{kind.name} ({len(decoded)} bytes)"
    # repr() of text leaves nothing in it that is not printable.
    shown = repr(decoded) if isinstance(decoded, str) else str(decoded)
    if len(shown) > MOST_CHARACTERS:
        shown = f"{shown[:MOST_CHARACTERS]}…"
    return f"{kind.name} {shown}"
