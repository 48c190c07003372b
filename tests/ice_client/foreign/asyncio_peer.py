"""An agent of aioice's or aiortc's in a process of its own: both are asyncio.

    python -m tests.ice_client.foreign.asyncio_peer OPTIONS

It tells and hears fragments on standard output and input, sends every packet back, and ends when
its input does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Protocol

from aioice import Candidate, Connection, TransportPolicy
from aiortc import RTCIceGatherer, RTCIceParameters, RTCIceServer, RTCIceTransport
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp, candidate_to_sdp

from tests.ice_client.foreign.fragment import Fragment, read_fragments
from tests.ice_client.foreign.peer_options import LIFETIME, PeerOptions


class Library(Protocol):
    """What both can do. Neither tells candidates before all are gathered, and neither restarts."""

    async def gather(self) -> Fragment: ...
    async def connect(self, theirs: Fragment) -> None: ...
    async def add(self, candidate: str | None) -> None: ...
    async def receive(self) -> bytes: ...
    async def send(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


class Aioice:
    """Made from aioice's `Connection`."""

    def __init__(self, options: PeerOptions) -> None:
        relay: dict[str, Any] = {
            "turn_server": (options.address, options.relay_port),
            "turn_username": options.username,
            "turn_password": options.password,
            "transport_policy": TransportPolicy.RELAY,
        }
        self._connection = Connection(
            ice_controlling=options.controlling,
            use_ipv6=False,
            **(relay if options.relay_port else {}),
        )

    async def gather(self) -> Fragment:
        await self._connection.gather_candidates()
        return Fragment(
            self._connection.local_username,
            self._connection.local_password,
            tuple(f"candidate:{each.to_sdp()}" for each in self._connection.local_candidates),
            ended=True,
        )

    async def connect(self, theirs: Fragment) -> None:
        self._connection.remote_username = theirs.username_fragment
        self._connection.remote_password = theirs.password
        self._connection.remote_is_lite = theirs.lite
        await self._connection.connect()

    async def add(self, candidate: str | None) -> None:
        parsed = candidate and Candidate.from_sdp(candidate.removeprefix("candidate:"))
        await self._connection.add_remote_candidate(parsed or None)

    async def receive(self) -> bytes:
        data: bytes = await self._connection.recv()
        return data

    async def send(self, data: bytes) -> None:
        await self._connection.send(data)

    async def close(self) -> None:
        await self._connection.close()


class Aiortc:
    """Made from aiortc's `RTCIceTransport`, as its RTCPeerConnection does."""

    def __init__(self, options: PeerOptions) -> None:
        servers, policy = [], RTCIceTransportPolicy.ALL
        if options.relay_port:
            url = f"turn:{options.address}:{options.relay_port}?transport=udp"
            servers = [RTCIceServer(url, options.username, options.password)]
            policy = RTCIceTransportPolicy.RELAY
        self._gatherer = RTCIceGatherer(servers, policy)
        self._transport = RTCIceTransport(self._gatherer)
        # As RTCPeerConnection does: there is no public way to set the role.
        self._transport._connection.ice_controlling = options.controlling

    async def gather(self) -> Fragment:
        await self._gatherer.gather()
        parameters = self._gatherer.getLocalParameters()
        return Fragment(
            parameters.usernameFragment or "",
            parameters.password or "",
            tuple(
                f"candidate:{candidate_to_sdp(each)}"
                for each in self._gatherer.getLocalCandidates()
            ),
            ended=True,
        )

    async def connect(self, theirs: Fragment) -> None:
        await self._transport.start(
            RTCIceParameters(theirs.username_fragment, theirs.password, theirs.lite)
        )
        assert self._transport.state == "completed"

    async def add(self, candidate: str | None) -> None:
        parsed = candidate and candidate_from_sdp(candidate.removeprefix("candidate:"))
        await self._transport.addRemoteCandidate(parsed or None)

    # `_recv` and `_send` are what its DTLS transport uses.

    async def receive(self) -> bytes:
        data: bytes = await self._transport._recv()
        return data

    async def send(self, data: bytes) -> None:
        await self._transport._send(data)

    async def close(self) -> None:
        await self._transport.stop()


LIBRARIES: dict[str, Callable[[PeerOptions], Library]] = {"aioice": Aioice, "aiortc": Aiortc}


async def echo(peer: Library, theirs: Fragment) -> None:
    await peer.connect(theirs)
    while True:
        await peer.send(await peer.receive())


async def talk(options: PeerOptions) -> None:
    peer = LIBRARIES[options.library](options)
    ours = await peer.gather()
    for fragment in ours.trickled() if options.trickle else [ours]:
        sys.stdout.write(str(fragment))
    sys.stdout.flush()
    heard = read_fragments(sys.stdin)
    tasks: list[asyncio.Task[None]] = []
    while theirs := await asyncio.to_thread(next, heard, None):
        for candidate in theirs.candidates:
            await peer.add(candidate)
        if theirs.ended:
            await peer.add(None)
        if theirs.username_fragment:
            tasks.append(asyncio.create_task(echo(peer, theirs)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await peer.close()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(talk(PeerOptions.from_json(sys.argv[1])), LIFETIME))
