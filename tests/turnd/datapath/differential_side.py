"""One engine in the differential test: carries out steps, and tells what came of them by name."""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import attrs
import trio

from stun import Address, Family
from stun.framer import StreamFramer
from tests.turnd.datapath.datapath_wire import (
    attribute,
    xor_address,
)
from tests.turnd.datapath.datapath_world import LOOPBACK, ManualClock, open_udp
from tests.turnd.datapath.differential_cast import Cast
from tests.turnd.datapath.differential_script import (
    DEAD,
    PEERS,
    Attribute,
    Packet,
    Step,
)
from turnd.core.five_tuple import Transport
from turnd.core.tables import RelayedAddress, RelayUnavailableError
from turnd.datapath.interface import Datapath, Direction

PUBLIC_HOST = "127.0.0.9"
OWN = {
    "all": frozenset(Address.parse(host).packed for host in ("127.0.0.1", "::1", PUBLIC_HOST)),
    "public": frozenset({Address.parse(PUBLIC_HOST).packed}),
    "none": frozenset[bytes](),
}
LARGEST = 65507
NOTHING = "nothing to do"
PATIENCE = 3.0
_UDP_SEGMENT = 103  # linux/udp.h


class SettleError(AssertionError):
    """An engine did not do with a packet what can be done with one."""


@attrs.define
class Live:
    """An allocation that is there."""

    client: str
    relays: dict[Family, RelayedAddress] = attrs.field(factory=dict)
    channels: dict[int, Address] = attrs.field(factory=dict)


class Side(Cast):
    """An engine's worlds, with calls for every step of a script; see `Cast`."""

    def __init__(self, name: str, engine: Datapath, clock: ManualClock) -> None:
        super().__init__(name, engine, clock)
        self._live: dict[int, Live] = {}
        self._own = OWN["none"]

    def _owner(self, client: str) -> Live | None:
        return next((live for live in self._live.values() if live.client == client), None)

    # Steps

    async def do(self, step: Step) -> object:
        """Carry one step out, and wait for its end; return what the calls returned."""
        outcome: object = getattr(self, f"_{step.what}")(*step.arguments)
        return await outcome if hasattr(outcome, "__await__") else outcome

    def _open(
        self, number: int, client: str, family: Family, public: bool, rate: int, reserved: bool
    ) -> object:
        live = self._live.get(number)
        if family in live.relays if live else self._owner(client):
            return NOTHING
        live = live or Live(client)
        while True:
            local = self.world.free_address(LOOPBACK[family])
            if local in self._used:  # a channel of long ago may still name it
                continue
            other = Address.parse(PUBLIC_HOST, local.port)
            relayed = RelayedAddress(local, other if public and family is Family.IPV4 else local)
            try:
                if reserved:
                    self._engine.reserve_relay(local)
                self._engine.open_relay(number, self._clients[live.client], relayed, rate)
                break
            except RelayUnavailableError as error:
                if not error.in_use:  # another process took the port in between
                    raise
        self._live[number] = live
        live.relays[family] = relayed
        name = f"relay{number}.{4 if family is Family.IPV4 else 6}"
        self._name(f"{name}l", relayed.local)
        if relayed.public != relayed.local:
            self._name(f"{name}p", relayed.public)
        return "opened"

    def _gone(self, relayed: RelayedAddress) -> None:
        for address in {relayed.local, relayed.public}:
            del self._addresses[self._names.pop(address)]

    def _close(self, number: int) -> object:
        live = self._live.pop(number, Live(""))
        for relayed in live.relays.values():
            self._gone(relayed)
        return self._engine.close_allocation(number)

    def _close_relay(self, number: int, family: Family) -> object:
        live = self._live.get(number)
        relayed = live.relays.pop(family, None) if live else None
        if relayed is None:
            return NOTHING
        self._gone(relayed)
        self._engine.close_relay(number, relayed)
        return "closed"

    def _move(self, number: int, client: str) -> object:
        live = self._live.get(number)
        if live is None or self._owner(client):  # RFC 8016 §3.2.2: the core sees to it
            return NOTHING
        live.client = client
        self._engine.move_allocation(number, self._clients[client])
        return "moved"

    def _reserve_and_release(self) -> object:
        local = self.world.free_address("127.0.0.1")
        try:
            self._engine.reserve_relay(local)
        except RelayUnavailableError:
            return None
        self._engine.release_reservation(local)
        with open_udp("127.0.0.1", local.port):
            return None

    def _permit(self, number: int, target: str, lifetime: float, internal_only: bool) -> object:
        if target not in self._addresses:
            return NOTHING
        packed, deadline = self._addresses[target].packed, self.world.clock.now + lifetime
        try:
            self._engine.set_permission(number, packed, deadline, internal_only=internal_only)
        except KeyError:
            return KeyError
        return None

    def _forbid(self, number: int, target: str) -> object:
        if target in self._addresses:
            self._engine.remove_permission(number, self._addresses[target].packed)
        return None

    def _bind(self, number: int, channel: int, target: str, lifetime: float) -> object:
        permitted = self._permit(number, target, lifetime, False)
        if permitted is not None:
            return permitted
        peer = self._addresses[target]
        self._engine.set_channel(number, channel, peer, self.world.clock.now + lifetime)
        channels = self._live[number].channels
        for other in [other for other, bound in channels.items() if bound == peer]:
            del channels[other]
        channels[channel] = peer
        return None

    def _unbind(self, number: int, channel: int) -> object:
        self._engine.remove_channel(number, channel)
        if number in self._live:
            self._live[number].channels.pop(channel, None)
        return None

    def _advance(self, seconds: float) -> object:
        self.world.clock.advance(seconds)
        return None

    def _configure(self, own: str, denies: bool, rate: int, dscp: bool) -> object:
        self._own = OWN[own]
        denied = frozenset({self._addresses["denied"]} if denies else ())
        self.world.reconfigure(
            own_ips=self._own, denied_endpoints=denied, total_bandwidth=rate, preserve_dscp=dscp
        )
        return None

    def _reply(self, client: str, data: bytes) -> object:
        data = b"\x01\x01" + data  # no framing would be found in what begins otherwise
        data = (
            data[:2]
            + (len(data) - 2 + -(len(data) - 2) % 4).to_bytes(2, "big")
            + bytes(16)
            + data[2:]
        )
        return self._engine.send_to_client(data + bytes(-len(data) % 4), self._clients[client])

    # Packets

    def _wire(self, packet: Packet) -> bytes | None:
        """What goes over the wire; None if it names what is not there."""
        if packet.kind == "raw":
            return packet.data
        if packet.kind == "channel":
            head = packet.channel.to_bytes(2, "big")
            length = (len(packet.data) + packet.lie & 0xFFFF).to_bytes(2, "big")
            return head + length + packet.data + bytes(packet.padding)
        body = b""
        for each in packet.attributes:
            if each.kind == "peer" and each.peer not in self._addresses:
                return None
            body += self._attribute(each, packet.transaction_id)
        length = max(len(body) + packet.lie, 0).to_bytes(2, "big")
        return b"\x00\x16" + length + packet.cookie + packet.transaction_id + body

    def _attribute(self, each: Attribute, transaction_id: bytes) -> bytes:
        if each.kind == "peer":
            return attribute(0x0012, xor_address(self._addresses[each.peer], transaction_id))
        return attribute(each.code, each.value)

    def _peer_of(self, client: str, packet: Packet) -> Address | None:
        """Where a packet may go, if anywhere."""
        if packet.kind == "channel":
            owner = self._owner(client)
            return owner.channels.get(packet.channel) if owner else None
        for each in packet.attributes:
            if each.kind == "peer":
                return self._addresses.get(each.peer)
            if each.code == 0x0012:
                return None
        return None

    def _may_go(self, peer: Address | None) -> bool:
        """False for a relay that is gone, or can't be reached by that name."""
        if peer is None:
            return True
        return peer in self._names and (peer.host != PUBLIC_HOST or peer.packed in self._own)

    async def _client(
        self, client: str, packets: tuple[Packet, ...], tos: tuple[int, ...], segmented: bool
    ) -> object:
        peer = self._peer_of(client, packets[0])
        wires = [self._wire(packet) for packet in packets]
        run = [wire for wire in wires if wire is not None and len(wire) <= LARGEST]
        if not run or not self._may_go(peer):
            return NOTHING
        dead = self._names.get(peer) in DEAD if peer else False
        if dead:
            del run[1:]
            self.world.clock.advance(1.0)  # for ICMP errors are limited per second
        five_tuple = self._clients[client]
        async with self._settling(len(run), peer, client if dead else None):
            if five_tuple.transport is Transport.UDP:
                self._emit(self._sockets[client], run, five_tuple.server, tos, segmented)
            else:
                for data in run:
                    self._engine.receive_from_client(data, five_tuple)
        return None

    async def _stream(self, client: str, packets: tuple[Packet, ...]) -> object:
        peer = self._peer_of(client, packets[0])
        wires = [self._wire(packet) for packet in packets]
        whole = [wire for wire in wires if wire is not None]
        if not whole or not self._may_go(peer):
            return NOTHING
        dead = self._names.get(peer) in DEAD if peer else False
        if dead:
            whole = whole[:1]
            self.world.clock.advance(1.0)
        framer = StreamFramer(LARGEST + 4)
        framer.feed(b"".join(whole))
        async with self._settling(len(whole), peer, client if dead else None):
            framer.skip(lambda data: self._engine.receive_run(data, self._clients[client]))
            while (frame := framer.next_frame()) is not None:
                self._engine.receive_from_client(frame, self._clients[client])
        return None

    async def _peer(
        self,
        peer: str,
        number: int,
        packets: tuple[bytes, ...],
        tos: tuple[int, ...],
        segmented: bool,
    ) -> object:
        v4 = ":" not in PEERS[peer]
        live = self._live.get(number)
        relayed = live.relays.get(Family.IPV4 if v4 else Family.IPV6) if live else None
        if relayed is None:
            return NOTHING
        async with self._settling(len(packets), None, None):
            self._emit(self._sockets[peer], packets, relayed.local, tos, segmented)
        return None

    @staticmethod
    def _emit(
        sock: socket.socket, run: Sequence[bytes], to: Address, tos: Sequence[int], segmented: bool
    ) -> None:
        """Send datagrams; those of one size that may, as one segmented send."""
        size = len(run[0])
        if (
            segmented
            and len(run) > 1
            and 0 < size <= 1400
            and {len(each) for each in run} == {size}
        ):
            segment = (socket.IPPROTO_UDP, _UDP_SEGMENT, size.to_bytes(2, sys.byteorder))
            sock.sendmsg(run, [*_tos_control(sock, tos[0]), segment], 0, to.sockaddr)
            return
        for data, each in zip(run, itertools.cycle(tos), strict=False):
            sock.sendmsg([data], _tos_control(sock, each), 0, to.sockaddr)

    @contextlib.asynccontextmanager
    async def _settling(
        self, packets: int, peer: Address | None, errors_to: str | None
    ) -> AsyncIterator[None]:
        """Wait until all has happened that these packets can lead to.

        Each is dropped, handed up or relayed; what is relayed to a live relay is a packet there
        too, and what is sent to nobody comes back as an ICMP error, for the client or dropped.
        """
        hops = peer is not None and self._names.get(peer, "").startswith("relay")
        outcomes, to_peer = self._outcomes()
        heard = self._heard(errors_to)
        yield
        tries = 0
        deadline = trio.current_time() + PATIENCE
        while True:
            now_outcomes, now_to_peer = self._outcomes()
            more = (now_to_peer - to_peer) * (hops or errors_to is not None)
            happened = now_outcomes - outcomes
            if errors_to is not None:
                happened += self._heard(errors_to) - heard
            if happened == packets + more:
                return
            if trio.current_time() > deadline:
                message = f"{self.name}: {packets} packets, {more} further; {happened} outcomes"
                raise SettleError(f"{message}; {self.world.drops()}")
            tries += 1
            await trio.sleep(0 if tries < 20 else 0.0005)

    def _outcomes(self) -> tuple[int, int]:
        totals = self._engine.totals()
        relayed = totals.relayed.items()
        to_peer = sum(count.packets for key, count in relayed if key[0] is Direction.TO_PEER)
        to_client = sum(count.packets for key, count in relayed if key[0] is Direction.TO_CLIENT)
        handler = self.world.handler
        handed_up = len(handler.requests) + len(handler.dtls)
        return sum(totals.drops.values()) + handed_up + to_peer + to_client, to_peer

    def _heard(self, client: str | None) -> int:
        self._drain()
        return sum(len(heard) for (name, _), heard in self._arrivals.items() if name == client)

    def observe(self) -> dict[str, object]:
        """See `Cast.observe`; each allocation's traffic too."""
        traffic = {number: self._engine.traffic(number) for number in self._live}
        return {**super().observe(), "traffic": traffic}


def _tos_control(sock: socket.socket, tos: int) -> list[tuple[int, int, bytes]]:
    if not tos:
        return []
    if sock.family is socket.AF_INET:
        return [(socket.IPPROTO_IP, socket.IP_TOS, tos.to_bytes(4, sys.byteorder))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos.to_bytes(4, sys.byteorder))]
