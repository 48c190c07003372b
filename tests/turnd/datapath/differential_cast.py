"""Clients and peers around one engine, in names that every engine shares, and what they receive."""

from __future__ import annotations

import collections
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator

from stun import Address
from tests.turnd.datapath.datapath_wire import DATA_INDICATION, XOR_PEER_ADDRESS, read_indication
from tests.turnd.datapath.datapath_world import ManualClock, World, open_udp
from tests.turnd.datapath.differential_script import DEAD, PEERS, STREAM_CLIENTS, UDP_CLIENTS
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import Datapath

LISTENERS = {"listen4": "127.0.0.1", "listen6": "::1", "any4": "0.0.0.0"}
_TRANSPORTS = {"tcp": Transport.TCP, "tls": Transport.TLS, "dtl": Transport.DTLS}


class Sink:
    """A stream client: keeps what it is given, while it takes anything."""

    def __init__(self, received: Callable[[bytes], None], *, takes_runs: bool) -> None:
        self.takes_runs = takes_runs
        self.is_full = False
        self._received = received

    def send(self, data: bytes) -> bool:
        if not self.is_full:
            self._received(data)
        return not self.is_full


class Cast:
    """An engine with clients and peers of its own.

    Args:
        name: the engine's.
        engine: fresh.
        clock: its clock.

    """

    def __init__(self, name: str, engine: Datapath, clock: ManualClock) -> None:
        self.name = name
        self.world = World(engine, clock)
        self._engine = engine
        self._names: dict[Address, str] = {}
        self._addresses: dict[str, Address] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._clients: dict[str, FiveTuple] = {}
        self._sinks: dict[str, Sink] = {}
        self._used: set[Address] = set()
        self._arrivals: collections.defaultdict[tuple[str, str], list[object]]
        self._arrivals = collections.defaultdict(list)
        self._told = (0, 0)
        self._meet()

    def close(self) -> None:
        """Close the clients' and the peers' sockets."""
        for sock in self._sockets.values():
            sock.close()

    # Who is there

    def _meet(self) -> None:
        servers = {name: self.world.listen(host) for name, host in LISTENERS.items()}
        servers["any4"] = Address.parse("127.0.0.1", servers["any4"].port)
        for name, server in servers.items():
            self._name(name, server)
        for name, listener in UDP_CLIENTS.items():
            client = self._open_socket(name, servers[listener].host)
            self._clients[name] = FiveTuple(Transport.UDP, client, servers[listener])
        for name, host in PEERS.items():
            address = self._open_socket(name, host)
            if name in DEAD:
                self._sockets[name].connect((address.host, 9))  # it hears nobody else
        for index, name in enumerate(STREAM_CLIENTS):
            host = "2001:db8::1" if name.endswith("6") else "192.0.2.1"
            client, server = Address.parse(host, 50000 + index), Address.parse(host, 5349)
            self._name(name, client)
            self._clients[name] = FiveTuple(_TRANSPORTS[name[:3]], client, server)
            self._attach(name, "open")
            self._name(f"{name}-server", server)

    def _name(self, name: str, address: Address) -> None:
        self._names[address] = name
        self._addresses[name] = address
        self._used.add(address)

    def _open_socket(self, name: str, host: str) -> Address:
        self._sockets[name] = sock = open_udp(host)
        if ":" in host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        address = Address.from_sockaddr(sock.getsockname())
        self._name(name, address)
        return address

    def _attach(self, client: str, manner: str) -> object:
        if manner == "gone":
            self._engine.detach(self._clients[client])
            return None
        sink = Sink(lambda data: self._took(client, data), takes_runs=client in {"tcp1", "tls0"})
        sink.is_full = manner == "full"
        self._sinks[client] = sink
        self._engine.attach(self._clients[client], sink)
        return None

    # What came of it

    def _drain(self) -> None:
        for name, sock in self._sockets.items():
            if name in DEAD:
                continue
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, controls, _, sender = sock.recvmsg(65535, 128)
                    tos = int.from_bytes(controls[0][2], sys.byteorder) if controls else 0
                    source = self._name_of(Address.from_sockaddr(sender))
                    if name in UDP_CLIENTS:
                        flow, content = self._read(data)
                        self._arrivals[name, flow].append((source, tos, content))
                    else:
                        self._arrivals[name, source].append((tos, data))

    def _took(self, client: str, data: bytes) -> None:
        for each in _frames(data) if self._clients[client].transport.is_stream else [data]:
            flow, content = self._read(each)
            self._arrivals[client, flow].append(content)

    def _name_of(self, address: Address) -> str:
        return self._names.get(address, "somebody")

    def _read(self, data: bytes) -> tuple[str, object]:
        """What a client is sent: which flow it is of, and what is the same on each side."""
        if 0x40 <= data[0] < 0x80:
            return data[:2].hex(), data
        if int.from_bytes(data[:2], "big") != DATA_INDICATION:
            return "reply", data
        indication = read_indication(data)
        peer = self._name_of(indication.peer)
        return peer, tuple(
            (code, peer if code == XOR_PEER_ADDRESS else value)
            for code, value in indication.attributes
        )

    def observe(self) -> dict[str, object]:
        """Tell what there is to see now, of arrivals and requests what came since `forget`."""
        self._drain()
        totals = self._engine.totals()
        handler = self.world.handler
        handed_up = {"requests": handler.requests, "dtls": handler.dtls}
        return {
            "arrivals": dict(self._arrivals),
            **{
                kind: [(data, *self._who(five_tuple)) for data, five_tuple in there[told:]]
                for (kind, there), told in zip(handed_up.items(), self._told, strict=True)
            },
            "drops": self.world.drops(),
            "relayed": {key: count for key, count in totals.relayed.items() if count.packets},
            "inside": totals.internal,
            "bindings": totals.bindings,
            "is relayed": {
                name: self._engine.is_relayed_address(address)
                for name, address in self._addresses.items()
            },
        }

    def _who(self, five_tuple: FiveTuple) -> tuple[str, str, str]:
        client, server = self._name_of(five_tuple.client), self._name_of(five_tuple.server)
        return five_tuple.transport.value, client, server

    def forget(self) -> None:
        """Let what came until now be over."""
        self._arrivals.clear()
        handler = self.world.handler
        self._told = (len(handler.requests), len(handler.dtls))


def _frames(data: bytes) -> Iterator[bytes]:
    while data:
        size = int.from_bytes(data[2:4], "big")
        size = 20 + size if data[0] < 0x40 else 4 + size + -size % 4
        yield data[:size]
        data = data[size:]
