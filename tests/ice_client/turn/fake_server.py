"""A server over UDP that says what a test wants it to say, without credentials."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import attrs
import trio

from stun import Address, Message, MessageClass, RawAttribute
from stun import attributes as a
from stun.values import Error

Reply = tuple[MessageClass, Sequence[RawAttribute]] | None
Decide = Callable[[Message, Address], Reply]


def error(code: int, *attributes: RawAttribute) -> Reply:
    """Return an error response."""
    return MessageClass.ERROR_RESPONSE, [a.ERROR_CODE.of(Error(code)), *attributes]


@attrs.define
class FakeServer:
    """Answers each request as `decide` says; None is silence."""

    decide: Decide
    requests: list[tuple[Message, Address]] = attrs.field(factory=list)

    async def serve(
        self,
        host: str = "127.0.0.1",
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
            await sock.bind((host, 0))
            task_status.started(Address.from_sockaddr(sock.getsockname()))
            while True:
                data, source = await sock.recvfrom(65536)
                request = Message.decode(data)
                address = Address.from_sockaddr(source)
                self.requests.append((request, address))
                reply = self.decide(request, address)
                if reply is not None:
                    message = Message.build(
                        request.method, reply[0], request.transaction_id, reply[1]
                    )
                    await sock.sendto(message.encode(), source)
