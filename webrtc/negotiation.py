"""Perfect negotiation over any signalling (W3C webrtc-pc §10.7): either end may change anything.

Each message is a JSON object with one key, ``description`` or ``candidate``, as in the example that
every WebRTC tutorial has; the far end may be a browser that runs it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import trio

from webrtc.errors import WebRtcError
from webrtc.peer_connection import PeerConnection
from webrtc.peer_states import ConnectionClosedError
from webrtc.sdp import (
    Decision,
    DescriptionType,
    ModifiedDescriptionError,
    PerfectNegotiation,
    SignalingStateError,
    StaleCandidateError,
)
from webrtc.signalling import Description, IceCandidate


class Signalling(Protocol):
    """A way to the peer that loses nothing and keeps the order; iterating gives its messages."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; it can be written as JSON."""

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        """Return an async iterator over the peer's messages, until it leaves."""


async def negotiate(peer: PeerConnection, signalling: Signalling, *, polite: bool) -> None:
    """Offer when something changed, answer, trickle candidates.

    It returns when signalling ends, or the connection is closed. Messages that have neither key
    are ignored: signalling may carry more. If iterating over it is an async generator, that is
    closed at the end.

    Args:
        peer: the connection; add and remove channels and tracks whenever you like.
        signalling: the way to the peer.
        polite: whether this end gives way when offers cross; one of the two ends must.

    Raises:
        WebRtcError: the peer's message cannot be read or applied. This and what `signalling`
            raises come as they are, in no exception group.

    """
    negotiator = _Negotiator(peer, signalling, polite=polite)
    failures: list[Exception] = []

    async def run(part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except Exception as error:
            if not (isinstance(error, ConnectionClosedError) and peer.is_closed):
                failures.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for part in (negotiator.make_offers, negotiator.tell_candidates, negotiator.read):
            nursery.start_soon(run, part)
    if failures:
        raise failures[0]


class _Negotiator:
    def __init__(self, peer: PeerConnection, signalling: Signalling, *, polite: bool) -> None:
        self._peer = peer
        self._signalling = signalling
        self._rules = PerfectNegotiation(is_polite=polite)
        self._sending = trio.Lock()

    async def _send(self, key: str, value: dict[str, Any]) -> None:
        async with self._sending:
            await self._signalling.send({key: value})

    async def tell_candidates(self) -> None:
        async for candidate in self._peer.local_candidates():
            await self._send("candidate", candidate.to_json())

    async def make_offers(self) -> None:
        async for _ in self._peer.negotiation_needed():
            self._rules.begin_offer()
            try:
                offer = await self._peer.create_offer()
                offer = await self._peer.set_local_description(offer)
                await self._send("description", offer.to_json())
            except (SignalingStateError, ModifiedDescriptionError):
                pass  # the peer's offer came in between; afterwards it is needed again
            finally:
                self._rules.end_offer()

    async def read(self) -> None:
        messages = aiter(self._signalling)
        try:
            async for message in messages:
                if "description" in message:
                    await self._take(Description.from_json(message["description"]))
                elif "candidate" in message:
                    await self._take_candidate(message["candidate"])
        finally:
            if isinstance(messages, AsyncGenerator):
                # Nobody else can, and trio complains of those that are left to the collector.
                with trio.CancelScope(shield=True):
                    await messages.aclose()

    async def _take(self, description: Description) -> None:
        decision = self._rules.receive(description.type, self._peer.signaling_state)
        if decision is Decision.IGNORE:
            return
        try:
            await self._peer.set_remote_description(description)
        finally:
            self._rules.applied()
        if description.type is DescriptionType.OFFER:
            answer = await self._peer.set_local_description()
            await self._send("description", answer.to_json())

    async def _take_candidate(self, value: Mapping[str, Any] | None) -> None:
        try:
            candidate = None if value is None else IceCandidate.from_json(value)
            await self._peer.add_ice_candidate(candidate)
        except StaleCandidateError:
            pass  # the peer's offer of an ICE restart was ignored, and its candidates came late
        except WebRtcError:
            if not self._rules.ignores_candidates:
                raise
