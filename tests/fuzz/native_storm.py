"""Packets from several threads, and table changes of every kind among them, on a native engine.

Nothing is compared here: what it is for is a sanitizer that watches (`sanitized.py`). Engines are
started and stopped under the flood; their end must be as clean as their life.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import os
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable

import attrs
import trio

from stun import Address, Family
from tests.fuzz.sanitized import LIBRARY_VARIABLE, load
from tests.fuzz.storm_packets import HOSTS, any_channel, open_socket, packets_of_all_kinds, send
from turnd.core.challenge import Challenge
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, RelayUnavailableError
from turnd.datapath.interface import DatapathSettings, Direction, Drop, OwnAnswers

THREADS = 3
SENDERS = 2
ENGINE_SECONDS = 1.0
PATIENCE = 60.0
"""Seconds more for what was not met yet: a busy machine does little in the time it is given."""
OWN = frozenset(Address.parse(host).packed for host in HOSTS.values())


def _free_address(family: Family) -> Address:
    with contextlib.closing(open_socket(family)) as probe:
        return Address.from_sockaddr(probe.getsockname())


class Sink:
    """A stream client: now and then its queue is full."""

    takes_runs = True

    def __init__(self, generator: random.Random) -> None:
        self._random = generator

    def send(self, data: bytes) -> bool:
        del data
        return self._random.random() < 0.9


class Handler:
    """Answers some of what is handed up, from inside the call."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self.count = 0

    def on_request(self, data: bytes, five_tuple: FiveTuple) -> None:
        self.count += 1
        if self.count % 8 == 0:
            self._storm.engine.send_to_client(data, five_tuple)

    def on_dtls(self, data: bytes, five_tuple: FiveTuple) -> None:
        del data, five_tuple
        self.count += 1


class Storm:
    """One engine's life.

    Args:
        generator: decides everything that one thread decides.

    """

    def __init__(self, generator: random.Random) -> None:
        # Imported here: `main` has put the sanitized one in its place.
        from turnd.datapath.native.engine import NativeDatapath

        self._random = generator
        self.engine = NativeDatapath(DatapathSettings(own_ips=OWN), THREADS)
        self.handler = Handler(self)
        self.sockets = {family: [open_socket(family) for _ in range(12)] for family in Family}
        self._dead = [open_socket(family) for family in Family]
        for dead in self._dead:
            dead.connect((dead.getsockname()[0], 9))  # takes nothing from anybody else: ICMP
        peers = [sock for sockets in self.sockets.values() for sock in sockets[:3]]
        self.peers = [Address.from_sockaddr(sock.getsockname()) for sock in peers + self._dead]
        self.servers = [self._listen(host) for host in ("127.77.0.1", "::1", "0.0.0.0", "::")]
        self.relays: list[RelayedAddress] = []
        self._numbers = 0
        self._live: dict[int, tuple[FiveTuple, list[RelayedAddress]]] = {}
        self._streams = [self._stream(port) for port in range(50000, 50008)]
        self._sink = Sink(random.Random(generator.random()))
        self.changes: collections.Counter[str] = collections.Counter()
        self.packets = packets_of_all_kinds(self._random, self._target)
        self._moves: list[Callable[[], object]] = [
            self._open, self._open, self._open, self._close, self._add_family, self._close_family,
            self._reserve, self._permit, self._permit, self._permit, self._forbid,
            self._bind, self._bind, self._bind, self._unbind, self._move, self._move,
            self._reconfigure, self._look, self._attach,
            *[self._stream_sends] * 12, *[self._stream_run] * 6,
        ]  # fmt: skip

    # Sockets

    def _listen(self, host: str) -> Address:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        if ":" in host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((host, 0))
        address = Address.from_sockaddr(sock.getsockname())
        self.engine.add_listener(sock)
        host = HOSTS[Family.IPV6 if ":" in host else Family.IPV4]
        return Address.parse(host, address.port)

    def close(self) -> None:
        """Close the clients' and the peers' sockets."""
        for sockets in (*self.sockets.values(), self._dead):
            for sock in sockets:
                sock.close()

    # Table changes, by the one thread that makes them

    def step(self) -> None:
        """Change something."""
        move = self._random.choice(self._moves)
        self.changes[move.__name__] += 1
        move()

    def _pick(self) -> int:
        return self._random.choice([*self._live, 0])

    def _stream(self, port: int) -> FiveTuple:
        transport = (Transport.TCP, Transport.TLS, Transport.DTLS)[port % 3]
        return FiveTuple(transport, Address.parse("192.0.2.1", port), Address.parse("192.0.2.2", 1))

    def _client(self) -> FiveTuple:
        if self._random.random() < 0.3:
            return self._random.choice(self._streams)
        server = self._random.choice(self.servers)
        sockets = self.sockets[server.family]
        client = Address.from_sockaddr(self._random.choice(sockets).getsockname())
        return FiveTuple(Transport.UDP, client, server)

    def _open_relay(self, number: int, client: FiveTuple, family: Family) -> None:
        shared = self._random.random() < 0.4
        there = self.engine.shared_relay(client, Address.parse(HOSTS[family]).packed)
        local = there if shared and there else _free_address(family)
        relayed = RelayedAddress(local, local, shared=shared)
        bandwidth = self._random.choice([0, 0, 0, 1000, 1_000_000])
        try:
            self.engine.open_relay(number, client, relayed, bandwidth)
        except RelayUnavailableError:
            return
        self._live.setdefault(number, (client, []))[1].append(relayed)
        self.relays.append(relayed)

    def _open(self) -> None:
        client = self._client()
        if len(self._live) < 24 and all(client != other for other, _ in self._live.values()):
            self._numbers += 1
            self._open_relay(self._numbers, client, self._random.choice(list(Family)))

    def _close(self) -> None:
        number = self._pick()
        self.engine.close_allocation(number)
        _, relays = self._live.pop(number, (None, []))
        for relayed in relays:
            self.relays.remove(relayed)

    def _add_family(self) -> None:
        number = self._pick()
        client, relays = self._live.get(number, (None, []))
        if client is not None and len(relays) == 1:
            had = relays[0].local.family
            self._open_relay(number, client, Family.IPV6 if had is Family.IPV4 else Family.IPV4)

    def _close_family(self) -> None:
        number = self._pick()
        _, relays = self._live.get(number, (None, []))
        if len(relays) == 2:
            relayed = relays.pop(self._random.randrange(2))
            self.relays.remove(relayed)
            self.engine.close_relay(number, relayed)

    def _reserve(self) -> None:
        local = _free_address(Family.IPV4)
        with contextlib.suppress(RelayUnavailableError):
            self.engine.reserve_relay(local)
        if self._random.random() < 0.9:
            self.engine.release_reservation(local)

    def _target(self) -> Address:
        if self.relays and self._random.random() < 0.4:
            return self._random.choice(self.relays).public
        peer = self._random.choice(self.peers)
        return attrs.evolve(peer, port=0) if self._random.random() < 0.02 else peer

    def _deadline(self) -> float:
        return self.engine.clock() + self._random.choice([-1, 0.01, 5, 5, 5, 5])

    def _permit(self) -> None:
        internal_only = self._random.random() < 0.1
        with contextlib.suppress(KeyError):
            self.engine.set_permission(
                self._pick(), self._target().packed, self._deadline(), internal_only=internal_only
            )

    def _forbid(self) -> None:
        self.engine.remove_permission(self._pick(), self._target().packed)

    def _bind(self) -> None:
        number, peer = self._pick(), self._target()
        with contextlib.suppress(KeyError):
            self.engine.set_permission(number, peer.packed, self._deadline(), internal_only=False)
            self.engine.set_channel(number, any_channel(self._random), peer, self._deadline())

    def _unbind(self) -> None:
        self.engine.remove_channel(self._pick(), any_channel(self._random))

    def _move(self) -> None:
        number, client = self._pick(), self._client()
        if number in self._live and all(client != other for other, _ in self._live.values()):
            self.engine.move_allocation(number, client)
            self._live[number] = client, self._live[number][1]

    def _reconfigure(self) -> None:
        chance = self._random
        self.engine.reconfigure(
            DatapathSettings(
                own_ips=chance.choice([OWN, OWN, frozenset()]),
                denied_endpoints=frozenset({self._target()} if chance.random() < 0.3 else ()),
                total_bandwidth=chance.choice([0, 0, 0, 200_000]),
                preserve_dscp=chance.random() < 0.5,
                answers=self._answers(chance.choice([0, 0, 100])),
            )
        )

    def _answers(self, rate: float) -> OwnAnswers:
        challenge = Challenge(
            before=self._random.randbytes(self._random.choice([40, 120, 320, 400])),
            after=self._random.randbytes(self._random.choice([0, 40, 320])),
            key=self._random.randbytes(self._random.choice([16, 32, 64, 65, 100])),
            features=b"\0\0\1",
            covers=self._random.randbytes(self._random.choice([0, 20, 27, 28, 256])),
        )
        return OwnAnswers(
            ports=frozenset(server.port for server in self.servers),
            rate=rate,
            burst=20,
            bindings=self._random.random() < 0.7,
            challenge=challenge if self._random.random() < 0.7 else None,
        )

    def _look(self) -> None:
        self.engine.totals()
        self.engine.traffic(self._pick())
        self.engine.is_relayed_address(self._target())

    def _attach(self) -> None:
        stream = self._random.choice(self._streams)
        if self._random.random() < 0.8:
            self.engine.attach(stream, self._sink)
        else:
            self.engine.detach(stream)

    # Packets

    def _exactly(self, data: bytes) -> memoryview:
        """Copy to memory of that very size, so that a byte read beyond it is somebody else's."""
        return memoryview((ctypes.c_ubyte * len(data)).from_buffer_copy(data)).cast("B")

    def _stream_sends(self) -> None:
        data = self._random.choice(self.packets)
        self.engine.receive_from_client(data, self._random.choice(self._streams))

    def _stream_run(self) -> None:
        some = [self._random.choice(self.packets) for _ in range(self._random.randrange(1, 5))]
        data = b"".join(each + bytes(-len(each) % 4) for each in some)
        data = data[: self._random.randrange(len(data) + 1)] or data
        if data:
            self.engine.receive_run(self._exactly(data), self._random.choice(self._streams))

    def renew(self) -> None:
        """Make other packets, for the addresses of now."""
        self.packets = packets_of_all_kinds(self._random, self._target)

    def send(self, generator: random.Random, over: threading.Event) -> None:
        """Send to listeners and relays until it is over: a thread of its own."""
        while not over.is_set():
            family = generator.choice(list(Family))
            sock = generator.choice(self.sockets[family])
            relays = [relayed.local for relayed in list(self.relays)]
            targets = [to for to in (*relays, *self.servers, *self.servers) if to.family is family]
            to, packets = generator.choice(targets).sockaddr, self.packets
            for _ in range(generator.choice([1, 1, 40])):
                send(generator, sock, generator.choice(packets), to)
            if generator.random() < 0.5:
                with contextlib.suppress(OSError):
                    while True:
                        sock.recv(1)


class Tally:
    """What all engines together have done: a storm that met nothing has shown nothing."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.changes: collections.Counter[str] = collections.Counter()

    def add(self, storm: Storm) -> None:
        totals = storm.engine.totals()
        for (direction, transport, family), count in totals.relayed.items():
            way = f"{direction.value} {transport.value} {family.name}"
            self.counts[way] += count.packets
        for reason, packets in totals.drops.items():
            self.counts[reason.value] += packets
        self.counts["inside"] += totals.internal
        self.counts["bindings"] += totals.bindings
        self.counts["challenges"] += totals.challenges
        self.counts["passed on"] += totals.passed_on
        self.counts["handed up"] += storm.handler.count
        self.counts["engines"] += 1
        self.changes += storm.changes

    def missing(self) -> list[str]:
        """What a storm of some seconds can't have failed to meet."""
        ways = [f"{d.value} udp {family.name}" for d in Direction for family in Family]
        drops = (
            Drop.MALFORMED, Drop.NO_ALLOCATION, Drop.NO_CHANNEL, Drop.NO_PERMISSION,
            Drop.BANDWIDTH, Drop.TOO_LARGE, Drop.CLIENT_GONE, Drop.PEER_TAKEN,
        )  # fmt: skip
        wanted = [*ways, *(drop.value for drop in drops)]
        wanted += ["inside", "bindings", "challenges", "passed on", "handed up"]
        return [name for name in wanted if not self.counts[name]]

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"{self.changes.total()} table changes and stream packets; {counts}"


async def live(generator: random.Random, seconds: float, tally: Tally) -> None:
    """Run one engine for a while, and stop it while packets fly."""
    storm = Storm(generator)
    over = threading.Event()
    senders = [
        threading.Thread(target=storm.send, args=(random.Random(generator.random()), over))
        for _ in range(SENDERS)
    ]
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(storm.engine.run, storm.handler)
            for sender in senders:
                sender.start()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for _ in range(generator.choice([1, 20])):
                    storm.step()
                if generator.random() < 0.02:
                    storm.renew()
                await trio.sleep(generator.choice([0, 0, 0.002]))
            tally.add(storm)
            nursery.cancel_scope.cancel()
    finally:
        over.set()
        for sender in senders:
            sender.join()
        storm.close()


def never_run(generator: random.Random) -> None:
    """Fill an engine's tables, and throw it away."""
    storm = Storm(generator)
    for _ in range(200):
        storm.step()
    storm.close()


def main() -> int:
    """Storm; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    if LIBRARY_VARIABLE in os.environ:
        load()
    sys.setswitchinterval(0.0005)
    print(f"seed {seed}", flush=True)  # noqa: T201
    generator, tally = random.Random(seed), Tally()
    start = time.monotonic()
    until, patience = start + arguments.seconds, start + arguments.seconds + PATIENCE
    while (now := time.monotonic()) < until or (tally.missing() and now < patience):
        turn = min(until - now, ENGINE_SECONDS) if now < until else ENGINE_SECONDS
        trio.run(live, generator, turn, tally)
        never_run(generator)
    print(tally)  # noqa: T201
    for name in tally.missing():
        print(f"the storm never met: {name}")  # noqa: T201
    return 1 if tally.missing() else 0


if __name__ == "__main__":
    sys.exit(main())
