"""NAT behaviour discovery (RFC 5780): mapping, filtering, hairpin, port, rewriting, lifetime.

All of it over one socket that is not connected: answers have to be able to come from the
server's other address and port. The server takes part by a second address; without it, only
port preservation, rewriting and hairpinning can be told.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence

import attrs
import trio

from ice_client.check.network_results import Filtering, Mapping, NatResult
from stun import Address, DecodeError, Family, Message, MessageClass, Method, StunError
from stun import attributes as a
from stun.values import ChangeRequest

RTO = 0.25
TRIES = 4
"""Requests until an answer counts as not coming; the last is waited for four times as long."""
LIFETIMES = (15.0, 30.0, 60.0, 120.0, 240.0)
"""Seconds of silence to try a mapping with, one after another, on request."""
_LARGEST = 2048


@attrs.define(slots=True)
class _Discovery:
    sock: trio.socket.SocketType
    server: Address

    async def bind(
        self, destination: Address | None = None, change: ChangeRequest | None = None
    ) -> Message | None:
        """Return the answer to a Binding request; None if none came."""
        transaction_id = secrets.token_bytes(12)
        attributes = [] if change is None else [a.CHANGE_REQUEST.of(change)]
        message = Message.build(Method.BINDING, MessageClass.REQUEST, transaction_id, attributes)
        data = message.encode(fingerprint=True)
        for number in range(TRIES):
            try:
                await self.sock.sendto(data, (destination or self.server).sockaddr)
            except OSError:
                return None
            wait = RTO * (4 if number == TRIES - 1 else 1)
            answer = await self.receive(transaction_id, wait)
            if answer is not None:
                return answer
        return None

    async def receive(self, transaction_id: bytes, wait: float) -> Message | None:
        """Return the message with that transaction id."""
        with trio.move_on_after(wait):
            while True:
                try:
                    data, _ = await self.sock.recvfrom(_LARGEST)
                    message = Message.decode(data)
                except (OSError, DecodeError):
                    continue
                if message.transaction_id == transaction_id:
                    return message
        return None

    async def mapped_at(self, destination: Address) -> Address | None:
        """Return this socket as `destination` sees it."""
        return _xor_mapped(await self.bind(destination))


async def probe_nat(server: Address, *, lifetimes: Sequence[float] = ()) -> NatResult:
    """Discover the behaviour of the NATs between here and a STUN server.

    Args:
        server: which answers Binding over UDP.
        lifetimes: seconds of silence to try a mapping with, such as `LIFETIMES`.

    """
    family = socket.AF_INET if server.family is Family.IPV4 else socket.AF_INET6
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        local = await _bind_towards(sock, server)
        if local is None:
            return NatResult(str(server), detail="no route")
        discovery = _Discovery(sock, server)
        first = await discovery.bind()
        result = NatResult(str(server), str(local))
        mapped = _xor_mapped(first)
        if first is None or mapped is None:
            return attrs.evolve(result, detail="no answer")
        alg, detail = _rewriting(first, mapped)
        result = attrs.evolve(
            result,
            mapped_address=str(mapped),
            # Seen as it is: there is no NAT, whatever else the server can tell.
            mapping=Mapping.NONE if mapped == local else None,
            port_preserved=mapped.port == local.port,
            alg=alg,
            detail=detail,
        )
        other = _other_address(first, server.family)
        result = attrs.evolve(result, offered=other is not None)
        filtering = _Filtering(discovery)
        async with trio.open_nursery() as nursery:
            # Beside the others, as it has sockets of its own and waits for what does not come.
            if other is not None:
                nursery.start_soon(filtering.discover)
                mapping = await _mapping(discovery, local, mapped, other)
                result = attrs.evolve(result, mapping=mapping)
            result = attrs.evolve(result, hairpin=await _hairpins(discovery, local, mapped))
        result = attrs.evolve(result, filtering=filtering.found)
    return await _lifetime(server, result, lifetimes) if lifetimes else result


async def _bind_towards(sock: trio.socket.SocketType, server: Address) -> Address | None:
    """Bind the socket to the address this machine uses towards the server."""
    try:
        with trio.socket.socket(sock.family, socket.SOCK_DGRAM) as guide:
            # Connecting a datagram socket asks the routing table and sends nothing.
            await guide.connect(server.sockaddr)
            source = Address.from_sockaddr(guide.getsockname())
        await sock.bind(source.with_port(0).sockaddr)
    except OSError:
        return None
    return Address.from_sockaddr(sock.getsockname())


def _xor_mapped(message: Message | None) -> Address | None:
    try:
        return None if message is None else message.get(a.XOR_MAPPED_ADDRESS)
    except DecodeError:
        return None


def _rewriting(message: Message, mapped: Address) -> tuple[bool | None, str]:
    """Compare MAPPED-ADDRESS, which a gateway may find and rewrite, with what it can not read."""
    try:
        plain = message.get(a.MAPPED_ADDRESS)
    except DecodeError:
        plain = None
    if plain is None:
        return None, ""
    if plain == mapped:
        return False, ""
    return True, f"MAPPED-ADDRESS says {plain}"


def _other_address(message: Message, family: Family) -> Address | None:
    try:
        address = message.get(a.OTHER_ADDRESS)
    except DecodeError:
        return None
    # One of the other family is of no use to this socket.
    return address if address is not None and address.family is family else None


async def _mapping(
    discovery: _Discovery, local: Address, first: Address, other: Address
) -> Mapping | None:
    """Run the tests of RFC 5780 §4.3."""
    if first == local:
        return Mapping.NONE
    second = await discovery.mapped_at(other.with_port(discovery.server.port))
    if second is None:
        return None
    if second == first:
        return Mapping.ENDPOINT_INDEPENDENT
    third = await discovery.mapped_at(other)
    if third is None:
        return None
    return Mapping.ADDRESS_DEPENDENT if third == second else Mapping.ADDRESS_AND_PORT_DEPENDENT


class _Filtering:
    """The tests of RFC 5780 §4.4.

    With sockets of their own, as the mapping tests have let the other address in; side by side,
    as neither sends anywhere but to the server's first address, and so opens nothing to the other.
    """

    def __init__(self, discovery: _Discovery) -> None:
        self._discovery = discovery
        self._passes: dict[bool, bool] = {}

    async def discover(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, True)
            nursery.start_soon(self._ask, False)

    async def _ask(self, change_ip: bool) -> None:
        with trio.socket.socket(self._discovery.sock.family, socket.SOCK_DGRAM) as sock:
            await _bind_towards(sock, self._discovery.server)
            fresh = _Discovery(sock, self._discovery.server)
            answer = await fresh.bind(change=ChangeRequest(change_ip=change_ip, change_port=True))
            self._passes[change_ip] = answer is not None

    @property
    def found(self) -> Filtering | None:
        """What they say; None if they were not made."""
        if not self._passes:
            return None
        if self._passes[True]:
            return Filtering.ENDPOINT_INDEPENDENT
        passes_port = self._passes[False]
        return Filtering.ADDRESS_DEPENDENT if passes_port else Filtering.ADDRESS_AND_PORT_DEPENDENT


async def _hairpins(discovery: _Discovery, local: Address, mapped: Address) -> bool | None:
    """Whether what a second socket sends to the mapped address comes in (RFC 5780 §4.3)."""
    if mapped == local:
        return None  # no NAT, nothing to hairpin
    with trio.socket.socket(discovery.sock.family, socket.SOCK_DGRAM) as sock:
        await _bind_towards(sock, discovery.server)
        sender = _Discovery(sock, discovery.server)
        outside = await sender.mapped_at(discovery.server)
        if outside is not None:
            # A NAT that filters must have seen a packet go where one is to come from.
            with trio.move_on_after(RTO):
                await _send(discovery.sock, secrets.token_bytes(4), outside)
        transaction_id = secrets.token_bytes(12)
        message = Message.build(Method.BINDING, MessageClass.INDICATION, transaction_id)
        for _ in range(TRIES):
            await _send(sock, message.encode(), mapped)
            if await discovery.receive(transaction_id, RTO) is not None:
                return True
    return False


async def _send(sock: trio.socket.SocketType, data: bytes, to: Address) -> None:
    try:
        await sock.sendto(data, to.sockaddr)
    except (OSError, StunError):
        await trio.lowlevel.checkpoint()


async def _lifetime(server: Address, result: NatResult, lifetimes: Sequence[float]) -> NatResult:
    """Leave a mapping alone for longer and longer, and see whether the same is still there.

    RFC 5780 §4.6 has the server answer to another port (RESPONSE-PORT) for that; here the same
    socket asks again, which works with every server but sees only that a *new* mapping was made.
    """
    family = socket.AF_INET if server.family is Family.IPV4 else socket.AF_INET6
    lasted = 0.0
    for silence in lifetimes:
        with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
            if await _bind_towards(sock, server) is None:
                break
            discovery = _Discovery(sock, server)
            before = await discovery.mapped_at(server)
            await trio.sleep(silence)
            after = await discovery.mapped_at(server)
        if before is None or after is None:
            break
        if before != after:
            return attrs.evolve(result, lifetime=lasted or None, lifetime_end=silence)
        lasted = silence
    return attrs.evolve(result, lifetime=lasted or None)
