"""A server core with recorded tables, and a client that talks to it by hand."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import attrs

from stun import (
    Address,
    Error,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
)
from stun import attributes as a
from stun.credentials import long_term_key_md5, long_term_key_sha256, userhash
from stun.values import SHA256
from turnd.core.credentials import Credential, NotYet
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import Output, Transmit
from turnd.core.peer_policy import PeerPolicy
from turnd.core.server import Environment, TurnServer
from turnd.core.settings import Limits, RelayIp, Settings
from turnd.core.tables import RelayedAddress, RelayUnavailableError, Traffic

REALM = "example.org"
OTHER_REALM = "other.example"
SERVER = Address.parse("192.0.2.15", 3478)
CLIENT = Address.parse("198.51.100.20", 40000)
PEER = Address.parse("8.8.8.8", 9000)
PEER6 = Address.parse("2606:4700::1", 9000)
RELAY_IP = Address.parse("192.0.2.15").packed
RELAY_IP6 = Address.parse("2a01:4f8::15").packed
UDP, TCP = 17, 6


class FakeTables:
    """Rows as the core installs them."""

    def __init__(self) -> None:
        self.relays: dict[Address, int] = {}
        self.clients: dict[int, FiveTuple] = {}
        self.reserved: set[Address] = set()
        self.permissions: dict[tuple[int, bytes], tuple[float, bool]] = {}
        self.channels: dict[tuple[int, int], tuple[Address, float]] = {}
        self.bandwidth: dict[int, int] = {}
        self.in_use: set[int] = set()  # ports another program has
        self.broken = False
        self.shares_relays = False
        self.shared: dict[bytes, Address] = {}
        self.moved = Traffic(1, 2, 3, 4)

    def _bind(self, local: Address) -> None:
        if self.broken:
            raise RelayUnavailableError("no descriptors left", in_use=False)
        if local.port in self.in_use:
            raise RelayUnavailableError("in use", in_use=True)

    def reserve_relay(self, local: Address) -> None:
        self._bind(local)
        assert local not in self.reserved
        self.reserved.add(local)

    def release_reservation(self, local: Address) -> None:
        self.reserved.discard(local)

    def shared_relay(self, five_tuple: FiveTuple, local_ip: bytes) -> Address | None:
        assert self.shares_relays
        return self.shared.get(local_ip)

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        if relayed.shared:
            self.shared.setdefault(relayed.local.packed, relayed.local)
            assert relayed.local == self.shared[relayed.local.packed]
            self.clients[allocation] = five_tuple
            return
        if relayed.local in self.reserved:
            self.reserved.remove(relayed.local)
        else:
            self._bind(relayed.local)
        assert relayed.local not in self.relays
        self.relays[relayed.local] = allocation
        self.relays[relayed.public] = allocation
        self.clients[allocation] = five_tuple
        self.bandwidth[allocation] = bandwidth

    def close_relay(self, allocation: int, relayed: RelayedAddress) -> None:
        for address in {relayed.local, relayed.public}:
            assert self.relays.pop(address) == allocation

    def close_allocation(self, allocation: int) -> Traffic:
        assert allocation in self.clients, "closed once, and only what was opened"
        del self.clients[allocation]
        self.relays = {key: value for key, value in self.relays.items() if value != allocation}
        self.permissions = {k: v for k, v in self.permissions.items() if k[0] != allocation}
        self.channels = {k: v for k, v in self.channels.items() if k[0] != allocation}
        return self.moved

    def move_allocation(self, allocation: int, five_tuple: FiveTuple) -> None:
        self.clients[allocation] = five_tuple

    def set_permission(
        self, allocation: int, peer_ip: bytes, deadline: float, *, internal_only: bool
    ) -> None:
        assert allocation in self.clients
        self.permissions[allocation, peer_ip] = (deadline, internal_only)

    def remove_permission(self, allocation: int, peer_ip: bytes) -> None:
        self.permissions.pop((allocation, peer_ip), None)

    def set_channel(self, allocation: int, number: int, peer: Address, deadline: float) -> None:
        assert allocation in self.clients
        self.channels[allocation, number] = (peer, deadline)

    def remove_channel(self, allocation: int, number: int) -> None:
        self.channels.pop((allocation, number), None)

    def is_relayed_address(self, address: Address) -> bool:
        return address in self.relays

    def traffic(self, allocation: int) -> Traffic:
        return self.moved


class FakeTcpRelay:
    """What the core asks of the TCP relay, in order."""

    def __init__(self) -> None:
        self.relays: dict[int, RelayedAddress] = {}
        self.calls: list[tuple[Any, ...]] = []

    def open_relay(
        self, allocation: int, five_tuple: FiveTuple, relayed: RelayedAddress, bandwidth: int
    ) -> None:
        self.relays[allocation] = relayed

    def close_allocation(self, allocation: int) -> Traffic:
        del self.relays[allocation]
        return Traffic(5, 6, 7, 8)

    def connect(
        self, allocation: int, connection_id: int, relayed: RelayedAddress, peer: Address
    ) -> None:
        self.calls.append(("connect", allocation, connection_id, peer))

    def bind(self, connection_id: int, five_tuple: FiveTuple) -> None:
        self.calls.append(("bind", connection_id, five_tuple))

    def close_connection(self, connection_id: int) -> None:
        self.calls.append(("close", connection_id))


class Source:
    """Credentials in a dictionary."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], Credential] = {}
        self.tokens: dict[tuple[str, bytes], Credential] = {}
        self.pending: set[str] = set()
        self.looked_up = 0
        for realm in (REALM, OTHER_REALM):
            for name in ("alice", "bob"):
                self.add(realm, name, name + "'s password")

    def add(self, realm: str, name: str, password: str) -> None:
        self.users[realm, name] = credential(realm, name, password)

    def find(self, realm: str, username: str, wall_time: float) -> Credential | NotYet | None:
        self.looked_up += 1
        if username in self.pending:
            return NotYet.PENDING
        found = self.users.get((realm, username))
        expired = found and found.expires_at is not None and found.expires_at <= wall_time
        return None if expired else found

    def find_by_userhash(
        self, realm: str, digest: bytes, wall_time: float
    ) -> Credential | NotYet | None:
        for in_realm, name in self.users:
            if in_realm == realm and userhash(name, realm) == digest:
                return self.find(realm, name, wall_time)
        return None

    def open_token(self, kid: str, token: bytes, wall_time: float) -> Credential | None:
        return self.tokens.get((kid, token))

    async def load(self, realm: str, username: str | None, digest: bytes | None) -> None:
        self.pending.discard(username or "")


def credential(realm: str, name: str, password: str, **changes: Any) -> Credential:
    made = Credential(
        name,
        name,
        long_term_key_md5(name, realm, password),
        long_term_key_sha256(name, realm, password),
    )
    return attrs.evolve(made, **changes)


def settings(**changes: Any) -> Settings:
    base = Settings(
        realm=REALM,
        realms={REALM: Limits(), OTHER_REALM: Limits()},
        origins={"https://other.example": OTHER_REALM},
        policy=PeerPolicy(relay_ips=frozenset({RELAY_IP, RELAY_IP6})),
        relay_ips=(RelayIp(RELAY_IP, RELAY_IP), RelayIp(RELAY_IP6, RELAY_IP6)),
    )
    return attrs.evolve(base, **changes)


class World:
    """A core under test, with its time."""

    def __init__(self, **changes: Any) -> None:
        self.tables = FakeTables()
        self.tcp_relay = FakeTcpRelay()
        self.source = Source()
        self.now = 1000.0
        self.wall = 1_700_000_000.0
        generator = random.Random(1)
        self.server = TurnServer(
            settings(**changes),
            self.source,
            self.tables,
            self.tcp_relay,
            Environment(
                wall_clock=lambda: self.wall,
                random_bytes=generator.randbytes,
                random_below=generator.randrange,
                nonce_key=b"k" * 32,
            ),
            self.now,
        )

    def reconfigure(self, **changes: Any) -> None:
        self.server.reconfigure(settings(**changes), self.source, self.now)

    def advance(self, seconds: float) -> list[Output]:
        self.now += seconds
        self.wall += seconds
        return self.server.on_deadline(self.now)

    def client(
        self,
        port: int = 40000,
        *,
        transport: Transport = Transport.UDP,
        user: str = "alice",
        realm: str = REALM,
        host: str = CLIENT.host,
        password: str | None = None,
    ) -> Client:
        five_tuple = FiveTuple(transport, Address.parse(host, port), SERVER)
        return Client(self, five_tuple, user, realm, password=password)


@attrs.frozen
class Reply:
    """One response and everything else that happened with it."""

    message: Message
    outputs: list[Output]

    @property
    def code(self) -> int:
        """0 for a success response, else the error code."""
        if self.message.message_class is MessageClass.SUCCESS_RESPONSE:
            return 0
        error = self.message.get(a.ERROR_CODE)
        assert isinstance(error, Error)
        return error.code

    def events(self, kind: type[Any]) -> list[Any]:
        return [output for output in self.outputs if isinstance(output, kind)]


@attrs.define
class Client:
    """A client of the core; learns a nonce by being challenged, as clients do."""

    world: World
    five_tuple: FiveTuple
    user: str
    realm: str = REALM
    nonce: bytes = b""
    password: str | None = None
    sha256: bool = False
    count: int = 0

    def key(self) -> bytes:
        password = self.password if self.password is not None else f"{self.user}'s password"
        make = long_term_key_sha256 if self.sha256 else long_term_key_md5
        return make(self.user, self.realm, password)

    def transaction_id(self) -> bytes:
        self.count += 1
        seed = f"{self.five_tuple}{self.count}".encode()
        return hashlib.sha256(seed).digest()[:12]

    def encode(
        self,
        method: int,
        attributes: Iterable[RawAttribute] = (),
        *,
        peers: Iterable[Address] = (),
        signed: bool = True,
    ) -> bytes:
        transaction_id = self.transaction_id()
        listed = list(attributes)
        listed += [a.XOR_PEER_ADDRESS.of(peer, transaction_id) for peer in peers]
        sign = []
        if signed:
            listed += [a.USERNAME.of(self.user), a.REALM.of(self.realm), a.NONCE.of(self.nonce)]
            if self.sha256:
                offered = self.world.server._state.settings.password_algorithms
                listed.append(a.PASSWORD_ALGORITHMS.of(offered))
                listed.append(a.PASSWORD_ALGORITHM.of(SHA256))
            algorithm = IntegrityAlgorithm.SHA256 if self.sha256 else IntegrityAlgorithm.SHA1
            sign = [(algorithm, self.key())]
        message = Message.build(method, MessageClass.REQUEST, transaction_id, listed)
        return message.encode(sign=sign)

    def send(self, data: bytes) -> Reply:
        outputs = self.world.server.receive(data, self.five_tuple, self.world.now)
        sent = [output for output in outputs if isinstance(output, Transmit)]
        assert len(sent) == 1, outputs
        assert sent[0].five_tuple == self.five_tuple
        return Reply(Message.decode(sent[0].data), outputs)

    def request(
        self,
        method: int,
        *attributes: RawAttribute,
        peers: Iterable[Address] = (),
        signed: bool = True,
    ) -> Reply:
        if signed and not self.nonce:
            self.learn_nonce()
        return self.send(self.encode(method, attributes, peers=peers, signed=signed))

    def learn_nonce(self) -> Reply:
        reply = self.send(self.encode(Method.ALLOCATE, signed=False))
        nonce = reply.message.get(a.NONCE)
        assert reply.code == 401
        assert nonce is not None
        self.nonce = nonce
        return reply

    def allocate(self, *attributes: RawAttribute, protocol: int = UDP) -> Reply:
        return self.request(Method.ALLOCATE, a.REQUESTED_TRANSPORT.of(protocol), *attributes)

    def allocated(self, *attributes: RawAttribute, protocol: int = UDP) -> Reply:
        reply = self.allocate(*attributes, protocol=protocol)
        assert reply.code == 0, reply
        return reply

    def refresh(self, lifetime: int | None = None, *attributes: RawAttribute) -> Reply:
        if lifetime is not None:
            attributes = (a.LIFETIME.of(lifetime), *attributes)
        return self.request(Method.REFRESH, *attributes)

    def permit(self, *peers: Address) -> Reply:
        return self.request(Method.CREATE_PERMISSION, peers=peers)

    def bind(self, number: int, peer: Address = PEER) -> Reply:
        return self.request(Method.CHANNEL_BIND, a.CHANNEL_NUMBER.of(number), peers=[peer])
