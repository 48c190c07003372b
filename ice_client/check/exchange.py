"""One STUN request over a link, without what a TURN client would do about the answer.

Probes want to see the very response: the challenge, the error, the attributes.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterable

import trio

from ice_client.check.results import Cause
from ice_client.errors import printable
from ice_client.turn import (
    IntegrityViolationError,
    LinkError,
    ResponseError,
    TlsError,
    TransactionTimeoutError,
)
from ice_client.turn.link import Link
from stun import DecodeError, Message, MessageClass, Method, RawAttribute, StunError
from stun import attributes as a
from stun.transaction import ClientTransaction, Timing, TransactionState

TIMING = Timing(rto=0.3, rc=4, rm=6, ti=4.0)
"""Gives up after 3.9 s over UDP and 4 s over TCP: an answer that takes longer helps no call."""


class NotStunError(LinkError):
    """Something answered, and it was no STUN."""


async def ask(
    link: Link,
    method: Method,
    attributes: Iterable[RawAttribute] = (),
    timing: Timing = TIMING,
) -> Message:
    """Send a request and return the response, an error response too.

    Raises:
        TransactionTimeoutError: nobody answered.
        LinkError: the link broke; `NotStunError` if what came was no STUN.

    """
    transaction_id = secrets.token_bytes(12)
    message = Message.build(method, MessageClass.REQUEST, transaction_id, attributes)
    transaction = ClientTransaction(
        message.encode(fingerprint=True), transaction_id, reliable=link.reliable, timing=timing
    )
    strange = False
    await link.send(transaction.start(trio.current_time()))
    while (deadline := transaction.next_deadline()) is not None:
        with trio.move_on_at(deadline):
            data = await link.receive()
            try:
                transaction.receive(Message.decode(data), trio.current_time())
            except DecodeError:
                strange = True
            continue
        again = transaction.on_deadline(trio.current_time())
        if again is not None:
            await link.send(again)
    if transaction.state is TransactionState.ANSWERED and transaction.response is not None:
        return transaction.response
    if strange:
        raise NotStunError("what came was not STUN")
    raise TransactionTimeoutError(method)


def mapped_address(response: Message) -> str | None:
    """Return XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of an old server; None if neither is good."""
    for attribute in (a.XOR_MAPPED_ADDRESS, a.MAPPED_ADDRESS):
        try:
            address = response.get(attribute)
        except DecodeError:
            continue
        if address is not None:
            return str(address)
    return None


def text_of(response: Message, attribute: object) -> str | None:
    """Return SOFTWARE or REALM of a response, fit for a terminal; None if missing or malformed."""
    try:
        value = response.get(attribute)  # type: ignore[arg-type]
    except DecodeError:
        return None
    return printable(value) if isinstance(value, str) else None


_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM}


def cause_of(error: BaseException) -> tuple[Cause, int | None]:
    """Return what kind of failure an error is, and its STUN code."""
    if isinstance(error, ResponseError):
        return Cause.ERROR_RESPONSE, error.code
    if isinstance(error, IntegrityViolationError) and error.discarded is not None:
        return Cause.ERROR_RESPONSE, error.discarded.code
    if isinstance(error, TransactionTimeoutError | trio.TooSlowError | TimeoutError):
        return Cause.TIMEOUT, None
    if isinstance(error, NotStunError | StunError):
        return Cause.NOT_STUN, None
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(system, ConnectionRefusedError):
        return Cause.REFUSED, None
    if isinstance(system, TimeoutError):
        return Cause.TIMEOUT, None
    if isinstance(system, OSError) and system.errno in _UNREACHABLE:
        return Cause.UNREACHABLE, None
    if isinstance(error, TlsError):
        return Cause.TLS, None
    if isinstance(system, StunError):
        return Cause.NOT_STUN, None
    return (Cause.CLOSED if isinstance(error, LinkError) else Cause.OTHER), None
