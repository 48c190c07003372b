"""Multicast DNS on trio, for ICE's `UUID.local` candidates; see `ice_client.mdns_core`.

One endpoint serves any number of agents: they share its sockets and its questions.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Iterable

import attrs
import trio

from ice_client.interfaces import LocalAddress
from ice_client.mdns_core import (
    MAX_MESSAGE,
    MDNS_PORT,
    MdnsCore,
    MdnsError,
    MdnsTransmit,
    NameResolved,
)
from stun import Address, Family

RESOLVE_TIMEOUT = 10.0
"""Seconds. Three questions and their answers; a name that nobody knows is not asked for longer."""
HOPS = 255
"""§11."""

_GROUPS = {
    Family.IPV4: Address.parse("224.0.0.251", MDNS_PORT),
    Family.IPV6: Address.parse("ff02::fb", MDNS_PORT),
}
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29  # Linux; `socket` does not name them

_log = logging.getLogger(__name__)


def random_name() -> str:
    """Return a fresh name for a candidate: a UUID of version 4, from the system's CSPRNG."""
    return f"{uuid.uuid4()}.local"


def is_mdns_name(host: str) -> bool:
    """Whether a candidate's connection-address is a name to be asked for on the link."""
    return host.lower().rstrip(".").endswith(".local")


@attrs.define(slots=True, eq=False)
class _Question:
    waiting: int = 0
    answered: trio.Event = attrs.field(factory=trio.Event)
    addresses: tuple[Address, ...] = ()


class Mdns:
    """Resolves and publishes names. Made by `open_mdns`."""

    def __init__(self, sockets: dict[tuple[int, Family], trio.socket.SocketType]) -> None:
        self._core = MdnsCore()
        self._sockets = sockets
        self._questions: dict[str, _Question] = {}
        self._changed = trio.Event()

    async def resolve(self, name: str, timeout: float = RESOLVE_TIMEOUT) -> tuple[Address, ...]:
        """Ask the link for a name's addresses (port 0); none if nobody answers within `timeout`.

        Raises:
            MdnsError: the name is not under `.local`, or too many are being asked for.

        """
        key = name.lower().rstrip(".")
        question = self._questions.get(key)
        if question is None:
            self._core.query(key, trio.current_time())
            question = self._questions[key] = _Question()
        question.waiting += 1
        try:
            await self._flush()
            with trio.move_on_after(timeout):
                await question.answered.wait()
        finally:
            question.waiting -= 1
            if not question.waiting and self._questions.get(key) is question:
                del self._questions[key]
                self._core.stop_query(key)
        return question.addresses

    async def publish(self, name: str, address: Address) -> None:
        """Announce a name and answer for it until `withdraw` or the end.

        Raises:
            MdnsError: the name is not under `.local`, or too many are published.

        """
        self._core.publish(name, address, trio.current_time())
        await self._flush()

    async def withdraw(self, name: str) -> None:
        """Take a name back, and tell the link."""
        self._core.withdraw(name)
        await self._flush()

    async def withdraw_all(self) -> None:
        """Take every name back; `open_mdns` does at its end."""
        self._core.withdraw_all()
        await self._flush()

    async def serve(self) -> None:
        """Receive and keep time until cancelled; `open_mdns` runs it."""
        async with trio.open_nursery() as nursery:
            for (index, _), sock in self._sockets.items():
                nursery.start_soon(self._receive, sock, index)
            nursery.start_soon(self._keep_time)

    async def _receive(self, sock: trio.socket.SocketType, index: int) -> None:
        while True:
            try:
                data, sockaddr = await sock.recvfrom(MAX_MESSAGE)
            except OSError as error:  # the interface went away; the others go on
                _log.debug("mDNS on interface %d: %s", index, error)
                await trio.sleep(1.0)
                continue
            source = attrs.evolve(Address.from_sockaddr(sockaddr), scope=index)
            self._core.receive(data, source, trio.current_time())
            await self._flush()

    async def _keep_time(self) -> None:
        while True:
            self._changed = trio.Event()
            deadline = self._core.next_deadline()
            with trio.move_on_at(math.inf if deadline is None else deadline):
                await self._changed.wait()
            self._core.on_deadline(trio.current_time())
            await self._flush()

    async def _flush(self) -> None:
        self._changed.set()
        for output in self._core.take_outputs():
            match output:
                case NameResolved(name, addresses):
                    question = self._questions.pop(name, None)
                    if question is not None:
                        question.addresses = addresses
                        question.answered.set()
                case MdnsTransmit(data, destination):
                    await self._send(data, destination)

    async def _send(self, data: bytes, destination: Address | None) -> None:
        for (index, family), sock in self._sockets.items():
            target = _GROUPS[family]
            if destination is not None:
                if destination.family is not family or destination.scope != index:
                    continue
                target = destination
            # Sent at once or not at all: a question is asked again, an answer asked for again.
            with contextlib.suppress(OSError, trio.WouldBlock):
                await sock.sendto(data, attrs.evolve(target, scope=index).sockaddr)


@contextlib.asynccontextmanager
async def open_mdns(addresses: Iterable[LocalAddress]) -> AsyncIterator[Mdns]:
    """Speak mDNS on the interfaces of `addresses` for the length of the block.

    Names that are still published at the end are taken back.

    Raises:
        MdnsError: port 5353 could be had on none of the interfaces.

    """
    with contextlib.ExitStack() as stack:
        sockets: dict[tuple[int, Family], trio.socket.SocketType] = {}
        for each in addresses:
            key = (each.index, each.address.family)
            if key not in sockets:
                try:
                    sockets[key] = stack.enter_context(_multicast_socket(each))
                except OSError as error:
                    _log.debug("no mDNS on %s: %s", each.interface, error)
        if not sockets:
            raise MdnsError("multicast DNS can be spoken on no interface")
        mdns = Mdns(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mdns.serve)
            try:
                yield mdns
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                    await mdns.withdraw_all()


def _multicast_socket(on: LocalAddress) -> trio.socket.SocketType:
    family = socket.AF_INET if on.address.family is Family.IPV4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        # Avahi, a browser and other agents have the port as well (§15.1); each hears everything.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET:
            _join_ipv4(sock, on)
        else:
            _join_ipv6(sock, on)
    except OSError:
        sock.close()
        raise
    return trio.socket.from_stdlib_socket(sock)


def _join_ipv4(sock: socket.socket, on: LocalAddress) -> None:
    group = _GROUPS[Family.IPV4].packed
    interface = struct.pack("=4s4si", group, on.address.packed, on.index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
    # Else each socket would hear what came in on the interfaces that the others joined on.
    sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    sock.bind(("", MDNS_PORT))


def _join_ipv6(sock: socket.socket, on: LocalAddress) -> None:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    membership = struct.pack("=16si", _GROUPS[Family.IPV6].packed, on.index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, on.index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    sock.bind(("::", MDNS_PORT))
