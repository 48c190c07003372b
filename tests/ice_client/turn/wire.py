"""The client core on virtual time, and the server's half of the conversation by hand."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ice_client.turn.authentication import Authenticator
from ice_client.turn.client import TurnClient
from ice_client.turn.credentials import Credentials, LongTermCredentials
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import Exchange, Output, Transmit
from stun import Address, ErrorCode, IntegrityAlgorithm, Message, MessageClass, RawAttribute
from stun import attributes as a
from stun.credentials import long_term_key_md5
from stun.values import Error

REALM = "example.org"
USER = "alice"
PASSWORD = "secret"
NONCE = b"a nonce"
KEY = long_term_key_md5(USER, REALM, PASSWORD)
RELAYED = Address.parse("192.0.2.1", 50000)
MAPPED = Address.parse("198.51.100.7", 40000)
PEER = Address.parse("203.0.113.5", 6000)
LIFETIME = 600
BINDING_INDICATION = b"\0\x11"
CREDENTIALS = LongTermCredentials(USER, PASSWORD)

Signing = tuple[IntegrityAlgorithm, bytes]
MD5_SIGNING: Signing = (IntegrityAlgorithm.SHA1, KEY)


class Counter:
    """Transaction ids one can tell apart."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")


@attrs.define
class Wire:
    """A client, a clock, and what went over the wire."""

    client: TurnClient
    now: float = 1000.0
    sent: list[bytes] = attrs.field(factory=list)
    keepalives: list[float] = attrs.field(factory=list)
    events: list[Output] = attrs.field(factory=list)
    exchanges: list[Exchange] = attrs.field(factory=list)

    def pump(self) -> None:
        """Take the core's outputs."""
        while (output := self.client.next_output()) is not None:
            if isinstance(output, Transmit) and output.data[:2] == BINDING_INDICATION:
                self.keepalives.append(self.now)
            elif isinstance(output, Transmit):
                self.sent.append(output.data)
            elif isinstance(output, Exchange):
                self.exchanges.append(output)
            else:
                self.events.append(output)

    def request(self) -> Message:
        """Return the one request that was sent since it was asked last."""
        (message,) = self.requests()
        return message

    def requests(self) -> list[Message]:
        """Return the messages sent since it was asked last."""
        self.pump()
        sent, self.sent = self.sent, []
        return [Message.decode(data) for data in sent]

    def take_events(self) -> list[Output]:
        """Return the events since it was asked last."""
        self.pump()
        events, self.events = self.events, []
        return events

    def advance(self, seconds: float) -> None:
        """Let time pass, from deadline to deadline."""
        end = self.now + seconds
        while (deadline := self.client.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.client.on_deadline(self.now)
            self.pump()
        self.now = end

    def receive(self, message: Message, signing: Signing | None = None) -> None:
        """Hand the client a message."""
        data = message.encode(sign=[signing] if signing else [])
        self.client.receive(data, self.now)
        self.pump()

    def succeed(
        self,
        request: Message,
        attributes: Sequence[RawAttribute] = (),
        signing: Signing | None = MD5_SIGNING,
    ) -> None:
        """Answer a request with success."""
        self.receive(answer(request, MessageClass.SUCCESS_RESPONSE, attributes), signing)

    def refuse(
        self,
        request: Message,
        code: int,
        attributes: Sequence[RawAttribute] = (),
        signing: Signing | None = MD5_SIGNING,
    ) -> None:
        """Answer a request with an error."""
        error = a.ERROR_CODE.of(Error(code, ErrorCode(code).reason))
        self.receive(answer(request, MessageClass.ERROR_RESPONSE, [error, *attributes]), signing)

    def challenge(
        self,
        request: Message,
        code: int = 401,
        nonce: bytes = NONCE,
        attributes: Sequence[RawAttribute] = (),
        realm: str = REALM,
    ) -> None:
        """Answer a request with a challenge."""
        self.refuse(request, code, [a.REALM.of(realm), a.NONCE.of(nonce), *attributes], None)


def answer(
    request: Message, message_class: MessageClass, attributes: Sequence[RawAttribute]
) -> Message:
    """Make the answer to a request."""
    return Message.build(request.method, message_class, request.transaction_id, attributes)


def granted(request: Message, *more: RawAttribute, lifetime: int = LIFETIME) -> list[RawAttribute]:
    """Return the attributes of a successful Allocate."""
    return [
        a.XOR_RELAYED_ADDRESS.of(RELAYED, request.transaction_id),
        a.XOR_MAPPED_ADDRESS.of(MAPPED, request.transaction_id),
        a.LIFETIME.of(lifetime),
        *more,
    ]


def make_wire(
    credentials: Credentials | None = CREDENTIALS,
    *,
    options: AllocateOptions | None = None,
    reliable: bool = False,
    automatic_channels: bool = True,
) -> Wire:
    """Make a client on virtual time."""
    return Wire(
        TurnClient(
            Authenticator(credentials),
            options or AllocateOptions(),
            random_bytes=Counter(),
            reliable=reliable,
            automatic_channels=automatic_channels,
        )
    )


def allocated(
    *,
    options: AllocateOptions | None = None,
    reliable: bool = False,
    lifetime: int = LIFETIME,
    more: Sequence[RawAttribute] = (),
    automatic_channels: bool = True,
) -> Wire:
    """Return a client that has its allocation."""
    wire = make_wire(options=options, reliable=reliable, automatic_channels=automatic_channels)
    wire.client.allocate(wire.now)
    wire.challenge(wire.request())
    request = wire.request()
    wire.succeed(request, granted(request, *more, lifetime=lifetime))
    wire.take_events()
    return wire
