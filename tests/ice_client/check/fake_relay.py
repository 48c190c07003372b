"""A fake TURN server whose relay works, over UDP, and can be made to work badly.

It relays Send indications and nothing else (no channels: ChannelBind is refused, so that
clients go on with indications). What a link does to packets is one function.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import attrs
import trio

from stun import Address, Message, MessageClass, Method
from stun import attributes as a
from tests.ice_client.check.fake_server import (
    FakeServer,
    Script,
    allocated,
    bound,
    challenge,
    error,
    is_signed,
    success,
)

Impairment = Callable[[bytes, int], Sequence[float]]
"""The delays, seconds, with which a datagram (its payload, its number) arrives; none: lost."""


def perfect(_data: bytes, _number: int) -> Sequence[float]:
    """Let everything through at once."""
    return (0.0,)


@attrs.define(slots=False)
class FakeRelay:
    """The server's state: a socket for each client address.

    Attributes:
        impairment: what happens to datagrams from allocation to allocation.
        own_peers: whether allocations reach one another.
        answers_peers: whether what is for anybody else is sent at all.

    """

    nursery: trio.Nursery
    sock: trio.socket.SocketType
    impairment: Impairment = perfect
    own_peers: bool = True
    answers_peers: bool = True
    relays: dict[Address, trio.socket.SocketType] = attrs.field(factory=dict)
    count: int = 0

    def script(self, request: Message, client: Address) -> Message | None:
        """Answer as a server does that grants everything."""
        if request.method == Method.BINDING:
            return bound(request, client)
        if not is_signed(request):
            return challenge(request)
        if request.method == Method.CHANNEL_BIND:
            return error(request, 400)
        if request.method == Method.ALLOCATE:
            return allocated(request, client, self._allocate(client))
        return success(request, a.LIFETIME.of(600))

    def _allocate(self, client: Address) -> Address:
        if client not in self.relays:
            raw = socket.socket(type=socket.SOCK_DGRAM)
            raw.bind(("127.0.0.1", 0))
            self.relays[client] = trio.socket.from_stdlib_socket(raw)
            self.nursery.start_soon(self._from_peers, client, self.relays[client])
        return Address.from_sockaddr(self.relays[client].getsockname())

    async def _from_peers(self, client: Address, relay: trio.socket.SocketType) -> None:
        while True:
            data, peer = await relay.recvfrom(65_535)
            transaction_id = secrets.token_bytes(12)
            indication = Message.build(
                Method.DATA,
                MessageClass.INDICATION,
                transaction_id,
                [
                    a.XOR_PEER_ADDRESS.of(Address.from_sockaddr(peer), transaction_id),
                    a.DATA.of(data),
                ],
            )
            await self.sock.sendto(indication.encode(), client.sockaddr)

    async def from_client(self, message: Message, client: Address) -> None:
        """Relay a Send indication."""
        peer, data = message.get(a.XOR_PEER_ADDRESS), message.get(a.DATA)
        relay = self.relays.get(client)
        if peer is None or data is None or relay is None:
            return
        own = peer in {Address.from_sockaddr(each.getsockname()) for each in self.relays.values()}
        if not (self.own_peers if own else self.answers_peers):
            return
        delays: Sequence[float] = (0.0,)
        if own:
            delays = self.impairment(data, self.count)
            self.count += 1
        for delay in delays:
            self.nursery.start_soon(self._send_later, relay, data, peer, delay)

    async def _send_later(
        self, relay: trio.socket.SocketType, data: bytes, peer: Address, delay: float
    ) -> None:
        if delay:
            await trio.sleep(delay)
        await relay.sendto(data, peer.sockaddr)


@attrs.frozen(slots=True)
class RunningRelay:
    """Where it is."""

    port: int
    state: FakeRelay


@contextlib.asynccontextmanager
async def fake_relay(
    impairment: Impairment = perfect, *, own_peers: bool = True, script: Script | None = None
) -> AsyncIterator[RunningRelay]:
    """Run one for the length of the block.

    Args:
        impairment: what happens to datagrams between allocations.
        own_peers: whether allocations reach one another at all.
        script: answers some requests itself; None of it leaves the rest to the relay.

    """
    with trio.socket.socket(type=socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            state = FakeRelay(nursery, sock, impairment, own_peers)

            def answer(request: Message, client: Address) -> Message | None:
                own = script(request, client) if script is not None else None
                return own or state.script(request, client)

            port = sock.getsockname()[1]
            server = FakeServer("127.0.0.1", port, answer)
            nursery.start_soon(_serve, server, state)
            yield RunningRelay(port, state)
            nursery.cancel_scope.cancel()
        for relay in state.relays.values():
            relay.close()


async def _serve(server: FakeServer, state: FakeRelay) -> None:
    while True:
        data, sockaddr = await state.sock.recvfrom(65_535)
        client = Address.from_sockaddr(sockaddr)
        message = Message.decode(data)
        if message.message_class is MessageClass.INDICATION:
            await state.from_client(message, client)
            continue
        answer = server.reply(data, client)
        if answer is not None:
            await state.sock.sendto(answer, sockaddr)
