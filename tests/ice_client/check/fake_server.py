"""A STUN/TURN server that does what a test says: for mistakes no real server can be led into.

UDP and TCP (or TLS) on one port of a loopback address. A script sees each request and returns
the reply, None for silence; the default script is a server in good health without relaying.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable

import attrs
import trio

from stun import Address, DecodeError, IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from stun.attribute import RawAttribute
from stun.credentials import long_term_key_md5
from stun.framer import StreamFramer
from stun.values import Error
from tests.interop.server_under_test import free_port

REALM, USER, PASSWORD = "fake.example", "user", "pass"
NONCE = b"nonce"
KEY = long_term_key_md5(USER, REALM, PASSWORD)

Script = Callable[[Message, Address], Message | None]


def success(request: Message, *attributes: RawAttribute) -> Message:
    """Return a success response."""
    return Message.build(
        request.method, MessageClass.SUCCESS_RESPONSE, request.transaction_id, attributes
    )


def error(request: Message, code: int, *attributes: RawAttribute) -> Message:
    """Return an error response."""
    return Message.build(
        request.method,
        MessageClass.ERROR_RESPONSE,
        request.transaction_id,
        [a.ERROR_CODE.of(Error(code, f"scripted {code}")), *attributes],
    )


def challenge(request: Message, code: int = 401) -> Message:
    """Return a 401 with realm and nonce."""
    return error(request, code, a.REALM.of(REALM), a.NONCE.of(NONCE))


def bound(request: Message, client: Address) -> Message:
    """Return a Binding success."""
    mapped = a.XOR_MAPPED_ADDRESS.of(client, request.transaction_id)
    return success(request, mapped, a.SOFTWARE.of("scripted"))


def allocated(request: Message, client: Address, relayed: Address) -> Message:
    """Return an Allocate success."""
    return success(
        request,
        a.XOR_RELAYED_ADDRESS.of(relayed, request.transaction_id),
        a.XOR_MAPPED_ADDRESS.of(client, request.transaction_id),
        a.LIFETIME.of(600),
    )


def is_signed(request: Message) -> bool:
    """Whether a request carries credentials."""
    return request.has(a.MESSAGE_INTEGRITY)


def relaying(
    relayed: Address | None = None,
    answers: dict[Method, int] | None = None,
) -> Script:
    """Return a script of a server that authenticates and grants everything, and relays nothing.

    Args:
        relayed: the address it gives; None for one on the client's own address that nobody has.
        answers: error codes by method, for requests with credentials.

    """

    def script(request: Message, client: Address) -> Message | None:
        if request.method == Method.BINDING:
            return bound(request, client)
        if not is_signed(request):
            return challenge(request)
        code = (answers or {}).get(Method(request.method))
        if code is not None:
            return error(request, code)
        if request.method == Method.ALLOCATE:
            return allocated(request, client, relayed or client.with_port(9))
        return success(request, a.LIFETIME.of(600))

    return script


@attrs.define(slots=False)
class FakeServer:
    """A running one.

    Attributes:
        host: a loopback address.
        port: UDP and TCP.
        script: can be changed while it runs.
        requests: what has come.

    """

    host: str
    port: int
    script: Script
    requests: list[Message] = attrs.field(factory=list)

    def reply(self, data: bytes, client: Address) -> bytes | None:
        """Return what the script answers, signed if the request was."""
        try:
            request = Message.decode(data)
        except DecodeError:
            return None
        if request.message_class is not MessageClass.REQUEST:
            return None
        self.requests.append(request)
        answer = self.script(request, client)
        if answer is None:
            return None
        # RFC 8489 §9.2.4: challenges are not signed, everything else to a signed request is.
        code = answer.get(a.ERROR_CODE)
        plain = code is not None and code.code in {400, 401, 438}
        sign = [(IntegrityAlgorithm.SHA1, KEY)] if is_signed(request) and not plain else []
        return answer.encode(sign=sign)


@contextlib.asynccontextmanager
async def fake_server(
    script: Script,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    transports: Iterable[str] = ("udp", "tcp"),
) -> AsyncIterator[FakeServer]:
    """Run one for the length of the block.

    Args:
        script: what it answers.
        host: a loopback address.
        tls: speak TLS on the TCP port.
        transports: which of `udp`, `tcp` to listen on.

    """
    server = FakeServer(host, free_port([host]), script)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    async with trio.open_nursery() as nursery:
        with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
            if "udp" in transports:
                await sock.bind((host, server.port))
                nursery.start_soon(_serve_udp, server, sock)
            if "tcp" in transports:
                listeners = await trio.open_tcp_listeners(server.port, host=host)
                nursery.start_soon(_serve_tcp, server, listeners, tls)
            yield server
            nursery.cancel_scope.cancel()


async def _serve_udp(server: FakeServer, sock: trio.socket.SocketType) -> None:
    while True:
        data, sockaddr = await sock.recvfrom(2048)
        answer = server.reply(data, Address.from_sockaddr(sockaddr))
        if answer is not None:
            with contextlib.suppress(OSError):
                await sock.sendto(answer, sockaddr)


async def _serve_tcp(
    server: FakeServer, listeners: list[trio.SocketListener], tls: ssl.SSLContext | None
) -> None:
    async def serve(raw: trio.SocketStream) -> None:
        client = Address.from_sockaddr(raw.socket.getpeername())
        stream: trio.abc.Stream = raw
        if tls is not None:
            stream = trio.SSLStream(raw, tls, server_side=True)
        framer = StreamFramer()
        async with raw:
            with contextlib.suppress(trio.BrokenResourceError, DecodeError, ssl.SSLError):
                while data := await stream.receive_some(4096):
                    for frame in framer.receive(bytes(data)):
                        answer = server.reply(frame, client)
                        if answer is not None:
                            await stream.send_all(answer)

    await trio.serve_listeners(serve, listeners)
