"""Table changes of every kind while packets fly: the threads in C live on, and agree in the end.

Run against an engine that AddressSanitizer and UBSan watch, this is its fuzzer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
import trio

from stun import Address, Family
from tests.turnd.datapath.datapath_wire import channel_data, send_indication
from tests.turnd.datapath.datapath_world import (
    CHANNEL,
    Allocation,
    Endpoint,
    World,
    WorldFactory,
    by_channel,
)
from turnd.core.five_tuple import Transport
from turnd.datapath.interface import DatapathSettings

STEPS = int(os.environ.get("STORM_STEPS", "1500"))
OWN = frozenset(Address.parse(host).packed for host in ("127.0.0.1", "::1"))


class Storm:
    """Random calls and packets, the same for the same seed."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._servers = [world.listen(), world.listen("::1"), world.listen("0.0.0.0")]
        self._peers = [world.peer(family) for family in (*Family, *Family)]
        self._live: list[Allocation] = []
        self._both_families: set[int] = set()
        self._moves: list[Callable[[], None]] = [
            self._open, self._open, self._close, self._permit, self._permit, self._forbid,
            self._bind, self._bind, self._unbind, self._add_family, self._move,
            self._reconfigure, self._advance,
            *[self._client_sends] * 20, *[self._peer_sends] * 20, *[self._garbage] * 4,
        ]  # fmt: skip

    def step(self) -> None:
        """Do one thing."""
        self._random.choice(self._moves)()

    def close(self) -> None:
        """Close all allocations."""
        while self._live:
            self._close()

    def _pick(self) -> Allocation | None:
        return self._random.choice(self._live) if self._live else None

    def _open(self) -> None:
        transport = self._random.choice([Transport.UDP, Transport.UDP, Transport.TCP])
        if len(self._live) >= 20:
            return
        if transport is Transport.UDP:
            server = self._random.choice(self._servers)
            host = "::1" if len(server.packed) == 16 else "127.0.0.1"
            client = self._world.udp_client(Address.parse(host, server.port))
            self._live.append(self._world.allocate(client, bandwidth=self._bandwidth()))
        else:
            self._live.append(self._world.allocate(self._world.client(transport, room=100)))

    def _bandwidth(self) -> int:
        return self._random.choice([0, 0, 100, 100_000])

    def _close(self) -> None:
        if self._live:
            allocation = self._live.pop(self._random.randrange(len(self._live)))
            self._world.engine.close_allocation(allocation.number)
            if isinstance(allocation.client, Endpoint):
                allocation.client.sock.close()

    def _target(self) -> Address:
        relays = [allocation.relay for allocation in self._live]
        return self._random.choice([*relays, *[peer.address for peer in self._peers]])

    def _permit(self) -> None:
        if allocation := self._pick():
            lifetime, internal_only = self._random.choice([5, 300]), self._random.random() < 0.1
            self._world.permit(allocation, self._target(), lifetime, internal_only=internal_only)

    def _forbid(self) -> None:
        if allocation := self._pick():
            self._world.engine.remove_permission(allocation.number, self._target().packed)

    def _number(self) -> int:
        return CHANNEL + self._random.randrange(8)

    def _bind(self) -> None:
        if allocation := self._pick():
            self._world.bind_channel(allocation, self._target(), self._number())

    def _unbind(self) -> None:
        if allocation := self._pick():
            self._world.engine.remove_channel(allocation.number, self._number())

    def _add_family(self) -> None:
        allocation = self._pick()
        if allocation is None or allocation.number in self._both_families:
            return
        relayed = self._world.open_relay(allocation.number, allocation.client, Family.IPV6)
        if self._random.random() < 0.5:
            self._world.engine.close_relay(allocation.number, relayed)
        else:
            self._both_families.add(allocation.number)

    def _move(self) -> None:
        if allocation := self._pick():
            self._world.engine.move_allocation(allocation.number, allocation.client.five_tuple)

    def _reconfigure(self) -> None:
        self._world.engine.reconfigure(
            DatapathSettings(
                own_ips=self._random.choice([frozenset(), OWN]),
                denied_endpoints=frozenset({self._target()}),
                total_bandwidth=self._random.choice([0, 1_000_000]),
                preserve_dscp=self._random.random() < 0.5,
            )
        )

    def _advance(self) -> None:
        self._world.clock.advance(self._random.choice([0.1, 1, 10]))

    def _payload(self) -> bytes:
        return bytes(self._random.choice([0, 1, 3, 160, 160, 160, 1200, 20000]))

    def _client_sends(self) -> None:
        allocation = self._pick()
        if allocation is None:
            return
        number, data = self._number(), self._payload()
        for _ in range(self._random.choice([1, 1, 30])):
            if self._random.random() < 0.7:
                self._send(allocation, channel_data(number, data, -len(data) % 4))
            else:
                self._send(allocation, send_indication(self._target(), data))

    @staticmethod
    def _send(allocation: Allocation, data: bytes) -> None:
        try:
            allocation.client.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _peer_sends(self) -> None:
        allocation, peer = self._pick(), self._random.choice(self._peers)
        if allocation is not None and len(peer.address.packed) == 4:
            data = self._payload()
            for _ in range(self._random.choice([1, 1, 30])):
                peer.send(data, allocation.relay)

    def _garbage(self) -> None:
        if allocation := self._pick():
            data = bytearray(self._random.randbytes(self._random.randrange(1, 60)))
            if self._random.random() < 0.5:
                data = bytearray(send_indication(self._target(), bytes(20)))
                for _ in range(self._random.randrange(4)):
                    data[self._random.randrange(len(data))] = self._random.randrange(256)
            self._send(allocation, bytes(data))


@pytest.mark.parametrize("seed", range(4))
async def test_tables_change_while_packets_fly(make_world: WorldFactory, seed: int) -> None:
    world = await make_world(own_ips=OWN)
    storm = Storm(world, seed)
    for step in range(STEPS):
        storm.step()
        if not step % 16:
            await trio.lowlevel.checkpoint()
    storm.close()
    totals = world.engine.totals()
    assert sum(count.packets for count in totals.relayed.values()) >= STEPS / 8
    assert totals.internal
    world.engine.reconfigure(DatapathSettings())
    client, peer = world.client(), world.peer()
    world.bind_channel(world.allocate(client), peer.address)
    by_channel(client, peer.address, b"alive")
    assert await peer.receive() == b"alive"
