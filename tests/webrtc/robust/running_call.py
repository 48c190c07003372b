"""A call that goes on, and what an attack on it must not have changed."""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import attrs
import trio

from tests.webrtc.peer.media import pictures
from tests.webrtc.peer.peers import TIMEOUT, connect, two_peers
from webrtc import ChannelClosedError, ConnectionState, DataChannel, PeerConnection, RtpReceiver
from webrtc.media.frames import VideoFrame
from webrtc.media.pattern import read_pattern
from webrtc.transport import PeerTransport

BATCH = 32
"""Packets that are sent before others have their turn: a socket's buffer holds more."""
PICTURES = 5
"""As many must be seen after an attack."""
MAX_OBJECTS = 2_000
MAX_BYTES = 4_000_000
"""How much more than before there may be after an attack: codecs, queues and tasks are at work."""

MAX_ENTRIES = 300
"""As many more may be in one table or queue: packets of the call itself come and go."""
OURS = ("webrtc", "ice_client", "stun")

Send = Callable[[bytes], object]


def transport_of(peer: PeerConnection) -> PeerTransport:
    (transport,) = peer._transports.values()
    return transport


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _members(thing: object) -> Iterator[tuple[str, object]]:
    """Yield what an object of ours, or a container, holds."""
    if isinstance(thing, dict):
        yield from ((f"[{key!r:.40}]", value) for key, value in list(thing.items()))
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        yield from ((f"[{index}]", value) for index, value in enumerate(list(thing)))
    elif type(thing).__module__.split(".")[0] in OURS and not isinstance(thing, type):
        names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(thing, "__dict__", ()))
        yield from ((f".{name}", getattr(thing, name)) for name in names if hasattr(thing, name))


def container_sizes(root: object) -> dict[str, int]:
    """Return the size of each table, queue and byte buffer that is reachable by our own objects."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | set | deque | bytearray):
            sizes[path] = len(thing)
        waiting += [(path + name, member) for name, member in _members(thing)]
    return sizes


@attrs.define
class RunningCall:
    """A call with video from attacker to victim and a data channel that echoes.

    Attributes:
        attacker: a peer with all the keys of the call.
        victim: the other one.
        channel: the attacker's end.
        echoing: the victim's end.
        receiver: the victim's, of the attacker's video.
        pictures: counters that the victim saw.

    """

    attacker: PeerTransport
    victim: PeerTransport
    peers: tuple[PeerConnection, PeerConnection]
    channel: DataChannel
    echoing: DataChannel
    receiver: RtpReceiver
    pictures: list[int] = attrs.field(factory=list)

    async def watch(self) -> None:
        async for frame in self.receiver:
            assert isinstance(frame, VideoFrame)
            reading = read_pattern(frame)
            if reading is not None and reading.is_intact:
                self.pictures.append(reading.counter)

    def send(self, packet: bytes) -> None:
        """Send bytes from the attacker's validated address, as they are."""
        assert self.attacker.agent is not None
        self.attacker.agent.send_now(packet)

    def send_from_elsewhere(self, sock: socket.socket, packet: bytes) -> None:
        """Send bytes to the victim's port from an address that no check came from."""
        assert self.victim.agent is not None
        pair = self.victim.agent.selected_pair
        assert pair is not None
        address = pair.local.address
        with contextlib.suppress(BlockingIOError):
            sock.sendto(packet, (address.host, address.port))

    async def flood(self, packets: Iterable[bytes], send: Send) -> None:
        """Send packets as fast as the victim takes them."""
        for number, packet in enumerate(packets):
            send(packet)
            if number % BATCH == BATCH - 1:
                await trio.sleep(0)
                await trio.sleep(0)

    async def assert_going_on(self) -> None:
        """Assert that the state is as before, messages go through, and new pictures come."""
        with trio.fail_after(TIMEOUT):
            seen = len(self.pictures)
            await self.channel.send("still there?")
            assert await self.channel.receive() == "still there?"
            while len(self.pictures) < seen + PICTURES:
                await trio.sleep(0.05)
        assert self.pictures == sorted(set(self.pictures))
        for peer in self.peers:
            assert peer.connection_state is ConnectionState.CONNECTED

    async def assert_no_growth(self, packets: Callable[[], Iterable[bytes]], send: Send) -> None:
        """Attack twice, and assert that the second time leaves nothing behind."""
        await self.flood(packets(), send)
        await self.assert_going_on()
        gc.collect()
        tables = container_sizes(self.victim)
        assert len(tables) > 50  # it did look into all layers
        objects, size = len(gc.get_objects()), resident_bytes()
        await self.flood(packets(), send)
        await self.assert_going_on()
        gc.collect()
        assert self.victim.counters.faults == 0
        for path, count in container_sizes(self.victim).items():
            assert count - tables.get(path, 0) < MAX_ENTRIES, path
        assert len(gc.get_objects()) - objects < MAX_OBJECTS
        assert resident_bytes() - size < MAX_BYTES


async def _echo(channel: DataChannel) -> None:
    with contextlib.suppress(ChannelClosedError):
        async for message in channel:
            await channel.send(message)


@contextlib.asynccontextmanager
async def running_call() -> AsyncIterator[RunningCall]:
    async with two_peers() as (one, two), trio.open_nursery() as nursery:
        one.add_transceiver("video", pictures())
        channel = one.create_data_channel("echo")
        await connect(one, two, nursery)
        with trio.fail_after(TIMEOUT):
            track = await anext(two.tracks())
            echoing = await anext(two.data_channels())
        nursery.start_soon(_echo, echoing)
        call = RunningCall(
            transport_of(one), transport_of(two), (one, two), channel, echoing, track.receiver
        )
        nursery.start_soon(call.watch)
        await call.assert_going_on()
        yield call
        nursery.cancel_scope.cancel()
