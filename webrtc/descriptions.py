"""The part of a peer connection that exchanges descriptions and candidates (W3C §4.4, JSEP)."""

from __future__ import annotations

import abc
import contextlib
import secrets
from collections.abc import AsyncIterator

import trio

from ice_client import Candidate
from ice_client.broadcast import Subscription
from ice_client.errors import AgentClosedError
from webrtc.local_candidates import LocalCandidates
from webrtc.peer_states import ConnectionClosedError, NeededOffers, PeerStates
from webrtc.sdp import (
    DescriptionType,
    Event,
    JsepSettings,
    SessionDescription,
    parse_description,
)
from webrtc.sdp.session import JsepSession
from webrtc.signalling import Description, IceCandidate


class PeerDescriptions(PeerStates, abc.ABC):
    """Negotiation: what it decides comes as events, which a peer connection follows.

    Args:
        settings: how the connection describes itself.

    """

    def __init__(self, settings: JsepSettings) -> None:
        super().__init__()
        self._jsep = JsepSession(settings, random_bytes=secrets.token_bytes)
        self._candidates = LocalCandidates()
        self._operations = trio.Lock()

    @abc.abstractmethod
    async def _follow(self, events: list[Event]) -> None:
        """Carry out what negotiation decided, in order."""

    @abc.abstractmethod
    def _check_open(self) -> trio.Nursery:
        """Return what tasks run in.

        Raises:
            ConnectionClosedError: the connection is closed, or its block was not entered.

        """

    async def create_offer(self, *, ice_restart: bool = False) -> Description:
        """Return an offer of what is wanted now; nothing changes until it is set.

        Raises:
            SignalingStateError: the peer's offer waits for an answer.
            ConnectionClosedError: the connection is closed.

        """
        async with self._operation():
            offer = self._jsep.create_offer(ice_restart=ice_restart)
            return Description(DescriptionType.OFFER, str(offer))

    async def create_answer(self) -> Description:
        """Return an answer to the peer's offer.

        Raises:
            SignalingStateError: there is none.
            ConnectionClosedError: the connection is closed.

        """
        async with self._operation():
            return Description(DescriptionType.ANSWER, str(self._jsep.create_answer()))

    async def set_local_description(self, description: Description | None = None) -> Description:
        """Put our description into force; gathering begins with the first.

        Args:
            description: what `create_offer` or `create_answer` gave; None makes what is due,
                which leaves no gap for others in between. A rollback takes our offer back.

        Returns:
            What to send to the peer, unless it is a rollback.

        Raises:
            SignalingStateError: it is not the time for such a description.
            ModifiedDescriptionError: it is not what was created last.
            ConnectionClosedError: the connection is closed.

        """
        async with self._operation():
            if description is None:
                events = self._jsep.set_local_description()
            else:
                events = self._jsep.set_local_description(description.type, _parsed(description))
            self._candidates.hold()
            try:
                await self._carry_out(events)
            finally:
                self._candidates.release()
        return self.local_description or Description(DescriptionType.ROLLBACK)

    async def set_remote_description(self, description: Description) -> None:
        """Put the peer's description into force; an offer of ours that it crosses is taken back.

        Raises:
            SdpParseError: it is no SDP.
            InvalidDescriptionError: it breaks a rule of offer and answer.
            SignalingStateError: it is not the time for such a description.
            ConnectionClosedError: the connection is closed.

        """
        async with self._operation():
            parsed = _parsed(description)
            await self._carry_out(self._jsep.set_remote_description(description.type, parsed))

    async def add_ice_candidate(self, candidate: IceCandidate | None) -> None:
        """Take one of the peer's candidates; None, or one without text, means no more.

        Candidates that cannot be used are ignored (RFC 8839 §5.1).

        Raises:
            CandidateTargetError: it belongs to no section.
            StaleCandidateError: it is of ICE credentials that are not in force.
            SignalingStateError: there is no description of the peer's yet.
            ConnectionClosedError: the connection is closed.

        """
        candidate = candidate or IceCandidate(candidate="")
        async with self._operation():
            await self._carry_out(
                self._jsep.add_remote_candidate(
                    candidate.candidate,
                    sdp_mid=candidate.sdp_mid,
                    sdp_m_line_index=candidate.sdp_m_line_index,
                    username_fragment=candidate.username_fragment,
                )
            )

    def local_candidates(self) -> Subscription[IceCandidate]:
        """Return an async iterator over our candidates, for the peer; to the connection's end.

        One without text says that a generation has no more; after an ICE restart others follow.
        """
        return self._candidates.subscribe()

    def _gathered(self, transport_id: int, candidate: Candidate | None) -> None:
        """Tell a candidate of ours, or that there are no more."""
        trickled = self._jsep.add_local_candidate(transport_id, candidate)
        if trickled is not None:
            self._candidates.add(
                IceCandidate(
                    candidate=trickled.candidate,
                    sdp_mid=trickled.sdp_mid,
                    sdp_m_line_index=trickled.sdp_m_line_index,
                    username_fragment=trickled.username_fragment,
                )
            )

    def restart_ice(self) -> None:
        """Have the next offer restart ICE: new credentials and candidates, while media goes on.

        Raises:
            ConnectionClosedError: the connection is closed.

        """
        self._check_open()
        self._jsep.restart_ice()
        self._look_for_need()

    @contextlib.asynccontextmanager
    async def _operation(self) -> AsyncIterator[None]:
        """Run one change of descriptions at a time, in the order in which they were asked for."""
        async with self._operations:
            self._check_open()
            yield
            self._look_for_need()

    async def _carry_out(self, events: list[Event]) -> None:
        # What was decided is in force: to be cancelled now would leave it half done for good.
        with trio.CancelScope(shield=True):
            try:
                await self._follow(events)
            except AgentClosedError as error:  # by `close`, in another task
                raise ConnectionClosedError("the peer connection is closed") from error

    def _look_for_need(self) -> None:
        if not self.is_closed:
            self._needed.set(self._jsep.is_negotiation_needed)

    def negotiation_needed(self) -> NeededOffers:
        """Return an async iterator that yields when an offer is due: something changed.

        W3C: the negotiationneeded event. `webrtc.negotiation` does all that follows from it.
        """
        return NeededOffers(self._needed.changes(), self._jsep)

    @property
    def local_description(self) -> Description | None:
        """Ours, with the candidates found so far; None before the first."""
        kind, description = self._jsep.local_type, self._jsep.local_description
        return None if kind is None else Description(kind, str(description))

    @property
    def remote_description(self) -> Description | None:
        """The peer's, with its candidates so far; None before the first."""
        kind, description = self._jsep.remote_type, self._jsep.remote_description
        return None if kind is None else Description(kind, str(description))


def _parsed(description: Description) -> SessionDescription | None:
    return parse_description(description.sdp) if description.sdp else None
