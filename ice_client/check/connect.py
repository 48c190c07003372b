"""Two machines, one ICE session: descriptions copied by hand, then a way found and measured.

A description is one line of text, small enough for a chat: the user name fragment, the
password and the candidates, packed. Whoever gets it can take part in this one session and
learns the addresses in it, so it belongs to the other side alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import struct
import zlib
from collections.abc import Iterable

import attrs
import msgspec
import trio

from ice_client import (
    Agent,
    CandidateError,
    Credentials,
    IceError,
    IceServer,
    SelectedPair,
    TlsOptions,
    format_candidate,
)
from ice_client.check.network_results import RoundTrips
from ice_client.check.round_trips import overtaken, summarise
from ice_client.check.target import Target, TargetError

PREFIX = "ice1."
MOST_CANDIDATES = 100
LARGEST_DESCRIPTION = 20_000
"""Bytes of a description, packed or not: no honest one comes near."""
GATHERING = 8.0
"""Seconds to wait for candidates."""
PINGS, PING_INTERVAL = 50, 0.02
LINGER = 1.0
"""Seconds to answer the other side's last pings."""
_PING, _PONG, _DONE = 0, 1, 2
_PACKET = struct.Struct("!8sBI")
_TOKEN = b"icecheck"


class Description(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one side tells the other."""

    fragment: str
    password: str
    candidates: tuple[str, ...] = ()


def pack(description: Description) -> str:
    """Return the line of text to copy."""
    packed = zlib.compress(msgspec.msgpack.encode(description), 9)
    return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack(text: str) -> Description:
    """Read the line of text.

    Raises:
        TargetError: it is none, or was cut short.

    """
    text = "".join(text.split())  # chats and terminals break lines
    if not text.startswith(PREFIX) or len(text) > LARGEST_DESCRIPTION:
        raise TargetError(f"a description begins with {PREFIX}")
    encoded = text[len(PREFIX) :]
    try:
        packed = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        unzip = zlib.decompressobj()
        # Bounded, as it comes from another machine.
        data = unzip.decompress(packed, LARGEST_DESCRIPTION)
        if not unzip.eof:
            raise TargetError("the description is cut short, or too long")
        description = msgspec.msgpack.decode(data, type=Description)
    except (binascii.Error, ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise TargetError(f"the description is damaged: {error}") from error
    if len(description.candidates) > MOST_CANDIDATES:
        raise TargetError(f"more than {MOST_CANDIDATES} candidates")
    return description


@attrs.frozen(slots=True)
class Connected:
    """How two machines found each other.

    Attributes:
        pair: what was selected.
        seconds: from knowing the other side's description.
        round_trips: over that pair.

    """

    pair: SelectedPair
    seconds: float
    round_trips: RoundTrips


async def describe(agent: Agent) -> Description:
    """Wait for the agent's candidates, and return what to tell the other side.

    What a slow server has not given after `GATHERING` seconds is left out.
    """
    lines: list[str] = []
    with trio.move_on_after(GATHERING):
        async for candidate in agent.local_candidates():
            # Not a comprehension: what was there when time was up has to be kept.
            lines.append(format_candidate(candidate))  # noqa: PERF401
    credentials = agent.local_credentials
    return Description(
        credentials.username_fragment, credentials.password, tuple(lines[:MOST_CANDIDATES])
    )


async def connect(agent: Agent, other: Description) -> Connected:
    """Find a way to the other side, and measure it.

    Both sides call this, within the other's patience: an agent checks pairs for about half a
    minute before it gives up.

    Raises:
        TargetError: the other side's description makes no sense.
        ConnectError: there is no way.

    """
    started = trio.current_time()
    try:
        agent.set_remote_credentials(Credentials(other.fragment, other.password))
    except ValueError as error:
        raise TargetError(f"the description is damaged: {error}") from error
    for line in other.candidates:
        # RFC 8839 §5.1: a candidate of a kind, or for a component, that is not known is ignored.
        with contextlib.suppress(CandidateError, ValueError):
            await agent.add_remote_candidate(line)
    await agent.add_remote_candidate(None)
    await agent.connected()
    seconds = trio.current_time() - started
    round_trips = await _Measurement(agent).run()
    pair = agent.selected_pair
    if pair is None:
        raise TargetError("the connection was lost while it was measured")
    return Connected(pair, seconds, round_trips)


class _Measurement:
    """Pings the other side and answers its pings, until both are through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._sent: list[float] = []
        self._times: dict[int, float] = {}
        self._order: list[int] = []
        self._other_done = trio.Event()

    async def run(self) -> RoundTrips:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            start = trio.current_time()
            for number in range(PINGS):
                await trio.sleep_until(start + number * PING_INTERVAL)
                self._sent.append(trio.current_time())
                await self._send(_PING, number)
            await trio.sleep(LINGER)
            with trio.move_on_after(LINGER):
                # Often, as one may be lost; the other side answers no more once it has left.
                for _ in range(5):
                    await self._send(_DONE, 0)
                await self._other_done.wait()
            nursery.cancel_scope.cancel()
        times = [self._times.get(number) for number in range(len(self._sent))]
        return summarise(times, overtaken(self._order))

    async def _send(self, kind: int, number: int) -> None:
        # A pair that breaks in between is the agent's to replace; the packet counts as lost.
        with contextlib.suppress(IceError):
            await self._agent.send(_PACKET.pack(_TOKEN, kind, number))

    async def _listen(self) -> None:
        while True:
            data = await self._agent.receive()
            if len(data) != _PACKET.size:
                continue
            token, kind, number = _PACKET.unpack(data)
            if token != _TOKEN:
                continue
            if kind == _PING:
                await self._send(_PONG, number)
            elif kind == _PONG and number < len(self._sent) and number not in self._times:
                self._times[number] = trio.current_time() - self._sent[number]
                self._order.append(number)
            elif kind == _DONE:
                self._other_done.set()


def ice_servers(targets: Iterable[Target], wall_time: float) -> list[IceServer]:
    """Return targets as an ICE agent wants them.

    Certificates are not insisted on, as everywhere in ice-check.

    Raises:
        TargetError: one of them cannot be used.

    """
    try:
        return [
            IceServer(each.uris, each.credentials(wall_time), TlsOptions(verify=False))
            for each in targets
        ]
    except IceError as error:
        raise TargetError(str(error)) from error
