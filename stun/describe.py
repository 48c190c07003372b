"""A message in one line, for people; what could be a secret is hidden."""

from __future__ import annotations

from stun import attributes as a
from stun.constants import MessageClass, Method
from stun.errors import DecodeError
from stun.message import Message

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
_SIZED = {a.DATA.code, a.PADDING.code}


def describe(message: Message) -> str:
    """Say what a message is: method, class, and its attributes in order."""
    method = message.method
    name = method.name if isinstance(method, Method) else f"method 0x{method:03x}"
    shown = ", ".join(_attribute(message, code, value) for code, value in message.attributes)
    title = f"{name} {_CLASSES[message.message_class]}"
    return f"{title}: {shown}" if shown else title


def _attribute(message: Message, code: int, value: bytes) -> str:
    kind = a.REGISTRY.get(code)
    if kind is None:
        return f"0x{code:04x} ({len(value)} bytes)"
    if code in _HIDDEN:
        return kind.name
    if code in _SIZED:
        return f"{kind.name} ({len(value)} bytes)"
    try:
        decoded = kind.decode(value, message.transaction_id)
    except DecodeError as error:
        return f"{kind.name} malformed ({error})"
    return f"{kind.name} {decoded}"
