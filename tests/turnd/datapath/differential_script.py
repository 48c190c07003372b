"""Random scripts for the differential test: what is done, in names that every engine shares.

A script is a list of steps, made from a seed alone; an engine's `Side` (`differential.py`) carries
them out. A step that names what is not there does nothing, so steps may be left out at will.
"""

from __future__ import annotations

import random

import attrs

from stun import Family
from tests.turnd.datapath.datapath_wire import COOKIE

UDP_CLIENTS = {"u0": "listen4", "u1": "listen4", "u2": "listen6", "u3": "any4", "u4": "any4"}
"""Each with the listener it sends to."""
STREAM_CLIENTS = ("tcp0", "tcp1", "tls0", "dtls0", "dtls6")
CLIENTS = (*UDP_CLIENTS, *STREAM_CLIENTS)
PEERS = {
    "p0": "127.0.0.2", "p1": "127.0.0.3", "p2": "127.0.0.2", "denied": "127.0.0.3",
    "dead4": "127.0.0.2", "q0": "::1", "q1": "::1", "dead6": "::1",
}  # fmt: skip
"""Peers and where they are. Nobody is at the dead ones: what goes there comes back as ICMP."""
DEAD = frozenset({"dead4", "dead6"})
CHANNELS = (0x4000, 0x4001, 0x4ABC, 0x7FFF)
ALLOCATIONS = range(1, 6)
"""Few numbers, and so few relays: strangers meet seldom otherwise."""
SIZES = (0, 1, 2, 3, 4, 5, 160, 160, 160, 1200, 1200, 5000)
LARGE = (20000, 65000, 65467, 65487, 65503)
LIFETIMES = (0.5, 1.0, 8.0, 64.0, 512.0, 512.0, 512.0)
# Binary fractions: nanoseconds as integers and seconds as floats tell the same of them.
PAUSES = (0.125, 0.125, 0.5, 0.5, 0.5, 1.0, 1.0, 8.0, 64.0)
RATES = (0, 0, 0, 1024, 8192)
TOS = (0, 0, 0, 0xB8, 0x02, 0x8B)
UNKNOWN, OPTIONAL, LIFETIME, PRIORITY = 0x7FF0, 0x8FF0, 0x000D, 0x0024


@attrs.frozen
class Step:
    """One call of a `Side`."""

    what: str
    arguments: tuple[object, ...] = ()


@attrs.frozen
class Attribute:
    """An attribute of a Send indication.

    Attributes:
        kind: "peer" (a valid XOR-PEER-ADDRESS) or "raw".
        peer: the peer's name.
        code: what type a raw one has.
        value: what is in it.

    """

    kind: str
    peer: str = ""
    code: int = 0
    value: bytes = b""


@attrs.frozen
class Packet:
    """One message of a client.

    Attributes:
        kind: "channel", "send" or "raw".
        channel: ChannelData's number.
        data: its payload, or all there is of a raw one.
        padding: how many bytes follow.
        lie: what is added to the length field.
        attributes: a Send indication's.
        transaction_id: its transaction id.
        cookie: its magic cookie.

    """

    kind: str
    channel: int = 0
    data: bytes = b""
    padding: int = 0
    lie: int = 0
    attributes: tuple[Attribute, ...] = ()
    transaction_id: bytes = bytes(12)
    cookie: bytes = COOKIE


@attrs.define
class Likely:
    """What the author takes an allocation to be, so that most steps find something to do."""

    client: str
    families: set[Family]
    channels: dict[int, str] = attrs.field(factory=dict)


class Author:
    """Writes scripts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._likely: dict[int, Likely] = {}
        self._moves = [
            *[self._open] * 6, self._close, self._close_relay, self._move, self._reserve,
            *[self._permit] * 5, self._forbid, *[self._bind] * 6, self._unbind,
            *[self._advance] * 3, self._configure, self._attach, self._attach, self._reply,
            *[self._client] * 22, *[self._run] * 4, *[self._peer] * 14,
        ]  # fmt: skip

    def script(self, steps: int) -> list[Step]:
        """Write one: some allocations that can be used at once, then whatever comes."""
        start = [Step("configure", ("all", True, 0, True))]
        start += [self._open() for _ in range(8)]
        for number in self._likely:
            start += [Step("permit", (number, peer, 512.0, False)) for peer in ("p0", "p1", "q0")]
        start += [self._bind() for _ in range(12)]
        return [*start, *(self._random.choice(self._moves)() for _ in range(steps))]

    # What is picked

    def _number(self) -> int:
        return self._random.choice(ALLOCATIONS)

    def _live(self) -> int:
        """A number that is likely to be there."""
        if not self._likely or self._random.random() < 0.1:
            return self._number()
        return self._random.choice(list(self._likely))

    def _sender(self) -> str:
        if not self._likely or self._random.random() < 0.1:
            return self._random.choice(CLIENTS)
        return self._random.choice(list(self._likely.values())).client

    def _target(self) -> str:
        if self._random.random() < 0.35:
            number = self._live()
            likely = self._likely.get(number)
            family = self._random.choice(sorted(likely.families)) if likely else Family.IPV4
            return f"relay{number}.{4 if family is Family.IPV4 else 6}{self._random.choice('llp')}"
        if self._random.random() < 0.1:
            return self._random.choice(sorted(DEAD))
        return self._random.choice(list(PEERS))

    def _channel(self, client: str = "") -> int:
        bound = [each.channels for each in self._likely.values() if each.client == client]
        if bound and bound[0] and self._random.random() < 0.9:
            return self._random.choice(list(bound[0]))
        return self._random.choice(CHANNELS)

    def _payload(self) -> bytes:
        sizes = LARGE if self._random.random() < 0.05 else SIZES
        return self._random.randbytes(self._random.choice(sizes))

    # Rows

    def _open(self) -> Step:
        family = self._random.choice([Family.IPV4, Family.IPV4, Family.IPV6])
        public, reserved = self._random.random() < 0.3, self._random.random() < 0.2
        rate, client = self._random.choice(RATES), self._random.choice(CLIENTS)
        number = self._number()
        if number in self._likely:
            self._likely[number].families.add(family)
        elif all(client != other.client for other in self._likely.values()):
            self._likely[number] = Likely(client, {family})
        return Step("open", (number, client, family, public, rate, reserved))

    def _close(self) -> Step:
        number = self._number()
        self._likely.pop(number, None)
        return Step("close", (number,))

    def _close_relay(self) -> Step:
        return Step("close_relay", (self._number(), self._random.choice(list(Family))))

    def _move(self) -> Step:
        number, client = self._live(), self._random.choice(CLIENTS)
        if number in self._likely and all(client != each.client for each in self._likely.values()):
            self._likely[number].client = client
        return Step("move", (number, client))

    def _reserve(self) -> Step:
        return Step("reserve_and_release")

    def _permit(self) -> Step:
        lifetime, internal = self._random.choice(LIFETIMES), self._random.random() < 0.15
        return Step("permit", (self._live(), self._target(), lifetime, internal))

    def _forbid(self) -> Step:
        return Step("forbid", (self._live(), self._target()))

    def _bind(self) -> Step:
        lifetime, number = self._random.choice(LIFETIMES), self._live()
        channel, target = self._random.choice(CHANNELS), self._target()
        if number in self._likely:
            self._likely[number].channels[channel] = target
        return Step("bind", (number, channel, target, lifetime))

    def _unbind(self) -> Step:
        return Step("unbind", (self._live(), self._channel()))

    def _advance(self) -> Step:
        return Step("advance", (self._random.choice(PAUSES),))

    def _configure(self) -> Step:
        own = self._random.choice(["all", "all", "public", "none"])
        rate = self._random.choice([0, 0, 0, 2048])
        return Step(
            "configure", (own, self._random.random() < 0.7, rate, self._random.random() < 0.8)
        )

    def _attach(self) -> Step:
        manner = self._random.choice(["open", "open", "open", "full", "gone"])
        return Step("attach", (self._random.choice(STREAM_CLIENTS), manner))

    def _reply(self) -> Step:
        return Step("reply", (self._random.choice(CLIENTS), self._payload()[:1200]))

    # Packets

    def _channel_packet(self, client: str, data: bytes) -> Packet:
        odd = self._random.random()
        padding = self._random.choice([0, 1, 3, 4, 5]) if odd < 0.2 else -len(data) % 4
        lie = self._random.choice([-3, -1, 1, 2, 4, 30000]) if odd > 0.93 else 0
        return Packet("channel", self._channel(client), data, padding, max(lie, -len(data)))

    def _send_packet(self, data: bytes) -> Packet:
        chance = self._random
        attributes = [
            Attribute("peer", self._target()),
            Attribute("raw", code=0x0013, value=data[:20000]),
        ]
        odd = [
            Attribute("peer", self._target()),
            Attribute("raw", code=0x0013, value=chance.randbytes(chance.randrange(9))),
            Attribute("raw", code=0x001A),
            Attribute("raw", code=0x001A),
            Attribute("raw", code=0x0012, value=chance.randbytes(chance.choice([0, 4, 7, 9, 21]))),
            # An address that nobody has a permission for, of a family that may not exist.
            Attribute("raw", code=0x0012, value=bytes([0, chance.randrange(4), 1, 2, 9, 9, 9, 9])),
            Attribute("raw", code=0x0012, value=bytes([0, chance.randrange(4)]) + bytes(18)),
            Attribute("raw", code=chance.choice([0x0008, 0x001C]), value=bytes(20)),
            Attribute("raw", code=chance.choice([UNKNOWN, LIFETIME, PRIORITY]), value=bytes(4)),
            Attribute("raw", code=OPTIONAL, value=bytes(chance.randrange(6))),
        ]
        while chance.random() < 0.4:
            attributes.insert(chance.randrange(len(attributes) + 1), chance.choice(odd))
        if chance.random() < 0.1:
            chance.shuffle(attributes)
        if chance.random() < 0.05:
            del attributes[chance.randrange(len(attributes))]
        cookie = COOKIE if chance.random() < 0.97 else bytes(4)
        lie = chance.choice([-4, -1, 1, 4]) if chance.random() < 0.06 else 0
        ident = chance.randbytes(12)
        return Packet(
            "send", lie=lie, attributes=tuple(attributes), transaction_id=ident, cookie=cookie
        )

    def _raw_packet(self) -> Packet:
        chance = self._random
        first = bytes([chance.choice([0, 0, 1, 3, 4, 19, 20, 22, 63, 0x40, 0x7F, 0x80, 0xFF])])
        return Packet("raw", data=(first + chance.randbytes(chance.choice([0, 1, 3, 19, 40])))[:40])

    def _packet(self, client: str, data: bytes) -> Packet:
        odds = self._random.random()
        if odds < 0.5:
            return self._channel_packet(client, data)
        return self._send_packet(data) if odds < 0.85 else self._raw_packet()

    def _client(self) -> Step:
        """Packets of one client, all to the same peer."""
        client = self._sender()
        first = self._packet(client, self._payload())
        packets = [first]
        if len(first.data) <= 1200:
            packets *= self._random.choice([1, 1, 1, 3, 12])
        if first.kind == "channel" and not first.lie and self._random.random() < 0.5:
            packets = [self._another(first) for _ in packets]
        return Step("client", (client, tuple(packets), self._tos(), self._random.random() < 0.5))

    def _another(self, packet: Packet) -> Packet:
        """Another payload, of another size now and then."""
        size = len(packet.data) if self._random.random() < 0.8 else self._random.choice(SIZES)
        padding = -size % 4 if packet.padding < 4 else packet.padding
        return attrs.evolve(packet, data=self._random.randbytes(size), padding=padding)

    def _tos(self) -> tuple[int, ...]:
        """What the packets of a run have in turn."""
        return tuple(self._random.choice(TOS) for _ in range(self._random.choice([1, 1, 2, 5])))

    def _run(self) -> Step:
        """A piece of a stream with whole frames in it, all to the same peer."""
        streams = [each.client for each in self._likely.values() if each.client in STREAM_CLIENTS]
        client = self._random.choice(streams or STREAM_CLIENTS)
        packets = [self._payload() for _ in range(self._random.randrange(1, 6))]
        if self._random.random() < 0.7:
            number = self._channel(client)
            frames = [Packet("channel", number, data, -len(data) % 4) for data in packets]
        else:
            sent = attrs.evolve(self._send_packet(packets[0]), lie=0)
            frames = [sent] * len(packets)
        return Step("stream", (client, tuple(frames)))

    def _peer(self) -> Step:
        peer = self._random.choice([name for name in PEERS if name not in DEAD])
        packets, number = [self._payload()], self._live()
        if len(packets[0]) <= 1200:
            packets *= self._random.choice([1, 1, 3, 12])
        if self._random.random() < 0.5:
            packets = [data if self._random.random() < 0.8 else data[:-3] for data in packets]
        segmented = self._random.random() < 0.5
        return Step("peer", (peer, number, tuple(packets), self._tos(), segmented))
