"""The plain STUN client: one Binding request over any link (RFC 8489 §2, §12)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from ice_client.turn.authentication import Authenticator
from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import LinkError, MalformedResponseError
from ice_client.turn.exchanges import DEFAULT_TIMING, Exchanges, Outcome, Request
from ice_client.turn.link import Link
from ice_client.turn.open_link import CONNECT_TIMEOUT, open_link
from ice_client.turn.open_session import find_addresses
from ice_client.turn.outputs import Exchange, Output, Transmit
from ice_client.turn.server import TurnServer
from ice_client.turn.session import random_bytes
from ice_client.turn.trace import Observer, observe_nothing
from stun import Address, DecodeError, Family, Message, MessageClass, Method, RawAttribute
from stun import attributes as a
from stun.transaction import Timing


@attrs.frozen(slots=True, kw_only=True)
class BindingResult:
    """What a Binding request was answered with.

    Attributes:
        mapped_address: this client as the server sees it.
        local_address: this client as itself sees it.
        server_address: whom was asked.
        round_trip_time: seconds; None after a retransmission, as it could belong to either.
        response: the whole answer: OTHER-ADDRESS, RESPONSE-ORIGIN, SOFTWARE, ….

    """

    mapped_address: Address
    local_address: Address
    server_address: Address
    round_trip_time: float | None
    response: Message


async def binding(
    server: TurnServer,
    *,
    attributes: Sequence[RawAttribute] = (),
    bind: Address | None = None,
    family: Family | None = None,
    timing: Timing = DEFAULT_TIMING,
    connect_timeout: float = CONNECT_TIMEOUT,
    observer: Observer = observe_nothing,
) -> BindingResult:
    """Ask a server for this client's server-reflexive address.

    The first of a name's addresses is asked; `family` chooses.

    Args:
        server: where; its credentials are used if it asks for them.
        attributes: for the request, CHANGE-REQUEST or PADDING for instance. The link's socket
            is connected: answers from elsewhere do not arrive.
        bind: local address; port 0 for any.
        family: of the server's address.
        timing: of retransmissions.
        connect_timeout: seconds that connecting, TLS or DTLS included, may take.
        observer: is told of each stage and exchange.

    Raises:
        TurnClientError: no answer, or an error; the class says which.

    """
    remote = (await find_addresses(server, family, observer))[0]
    async with open_link(
        server, remote, bind=bind, observer=observer, connect_timeout=connect_timeout
    ) as link:
        return await binding_on(
            link,
            Authenticator(server.credentials),
            attributes=attributes,
            timing=timing,
            observer=observer,
        )


async def binding_on(
    link: Link,
    authenticator: Authenticator,
    *,
    attributes: Sequence[RawAttribute] = (),
    timing: Timing = DEFAULT_TIMING,
    observer: Observer = observe_nothing,
) -> BindingResult:
    """Send a Binding request over a link that nobody else reads.

    Raises:
        TurnClientError: no answer, or an error; the class says which.

    """
    round_trip_time: float | None = None

    def observe(exchange: Exchange) -> None:
        nonlocal round_trip_time
        round_trip_time = exchange.round_trip_time
        observer(exchange)

    request = Request(Method.BINDING, lambda _: attributes)
    response = await _ask(link, authenticator, request, timing, observe)
    try:
        # RFC 8489 §14.1: servers of RFC 3489 know only the plain form.
        mapped = response.get(a.XOR_MAPPED_ADDRESS) or response.get(a.MAPPED_ADDRESS)
    except DecodeError as error:
        raise MalformedResponseError(f"Binding's answer: {error}") from error
    if mapped is None:
        raise MalformedResponseError("Binding's answer has no XOR-MAPPED-ADDRESS")
    return BindingResult(
        mapped_address=mapped,
        local_address=link.local,
        server_address=link.remote,
        round_trip_time=round_trip_time,
        response=response,
    )


async def _ask(
    link: Link,
    authenticator: Authenticator,
    request: Request,
    timing: Timing,
    observe: Callable[[Exchange], None],
) -> Message:
    outputs: deque[Output] = deque()
    deadlines = Deadlines()
    exchanges = Exchanges(
        authenticator,
        deadlines,
        outputs,
        random_bytes=random_bytes,
        reliable=link.reliable,
        timing=timing,
    )
    exchanges.start(request, trio.current_time())
    outcome: Outcome | None = None
    while True:
        while outputs:
            output = outputs.popleft()
            if isinstance(output, Transmit):
                await link.send(output.data)
            elif isinstance(output, Exchange):
                observe(output)
        if outcome is not None:
            break
        packet = None
        with trio.move_on_at(deadlines.next() or 0.0):
            packet = await link.receive()
        outcome = _advance(exchanges, deadlines, packet, trio.current_time())
    if outcome.response is None:
        raise outcome.error or LinkError("no answer")
    return outcome.response


def _advance(
    exchanges: Exchanges, deadlines: Deadlines, packet: bytes | None, now: float
) -> Outcome | None:
    """Hand in a packet, or the passing of time."""
    if packet is None:
        key = deadlines.pop_due(now)
        match key:
            case ("request", bytes(transaction_id)):
                return exchanges.on_deadline(transaction_id, now)
        return None
    try:
        message = Message.decode(packet)
    except DecodeError:
        return None
    if message.message_class in {MessageClass.REQUEST, MessageClass.INDICATION}:
        return None
    return exchanges.receive(message, now)
