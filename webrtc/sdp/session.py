"""JSEP (RFC 9429) without I/O: the signaling states, and what setting a description does.

A peer connection owns one `JsepSession`, hands it what signalling brings, and acts on the events
that come back. `offer`, `answer`, `validation` and `derivation` are the steps it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ice_client.core import Candidate, parse_candidate
from ice_client.errors import CandidateError
from webrtc.sdp.answer import AnswerPlan, plan_answer
from webrtc.sdp.attributes import Direction
from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.description import DescriptionType, Origin, SessionDescription
from webrtc.sdp.errors import (
    CandidateTargetError,
    ModifiedDescriptionError,
    SignalingStateError,
)
from webrtc.sdp.events import (
    DataChanged,
    Event,
    RemoteCandidateAdded,
    SignalingState,
    SignalingStateChanged,
    TransceiverAdded,
    TransceiverRemoved,
    TransceiverStopped,
)
from webrtc.sdp.offer import OfferPlan, plan_offer
from webrtc.sdp.parameters import SimulcastLayer, Sources
from webrtc.sdp.peer_offer import name_sections, take_offer
from webrtc.sdp.settings import JsepSettings
from webrtc.sdp.signaling import next_state
from webrtc.sdp.state import RandomBytes, Snapshot, TransportMap
from webrtc.sdp.transceiver import Transceiver
from webrtc.sdp.trickle import (
    TrickledCandidate,
    find_target,
    trickled,
    with_remote_candidate,
)
from webrtc.sdp.validation import check_answer, check_offer, check_restart
from webrtc.sdp.view import SessionView

_S, _T = SignalingState, DescriptionType
_OFFERING = (_S.STABLE, _S.HAVE_LOCAL_OFFER)
_ANSWERING = (_S.HAVE_REMOTE_OFFER, _S.HAVE_LOCAL_PRANSWER)


class JsepSession(SessionView):
    """The descriptions of one peer connection.

    Args:
        settings: how it describes itself.
        random_bytes: draws unpredictable bytes (`secrets.token_bytes`).

    """

    def __init__(self, settings: JsepSettings, *, random_bytes: RandomBytes) -> None:
        super().__init__(settings, random_bytes=random_bytes)
        # RFC 9429 §5.2.1: 62 random bits, the highest of the 64 being zero.
        self._session_id = int.from_bytes(random_bytes(8)) >> 2
        self._version = 0
        self._created: tuple[DescriptionType, SessionDescription, OfferPlan | AnswerPlan] | None
        self._created = None
        self._snapshot: Snapshot | None = None
        self._settled = TransportMap()

    # --- what is wanted -----------------------------------------------------------------------

    def add_transceiver(
        self,
        kind: MediaKind,
        *,
        track_id: str,
        direction: Direction = Direction.SENDRECV,
        stream_ids: Iterable[str] = (),
        sources: Iterable[Sources] = (),
        send_layers: Iterable[SimulcastLayer] = (),
        receive_layers: Iterable[SimulcastLayer] = (),
        codecs: Iterable[Codec] | None = None,
        added_by_track: bool = False,
    ) -> Transceiver:
        """Make a transceiver, which the next offer asks a section for.

        See `Transceiver` for the arguments.

        Raises:
            SignalingStateError: the session is closed.

        """
        self._check_open()
        transceiver = Transceiver(
            kind=kind,
            direction=direction,
            track_id=track_id,
            stream_ids=tuple(stream_ids),
            sources=tuple(sources),
            send_layers=tuple(send_layers),
            receive_layers=tuple(receive_layers),
            codecs=None if codecs is None else tuple(codecs),
            added_by_track=added_by_track,
        )
        self._data.transceivers.append(transceiver)
        return transceiver

    def want_data(self) -> None:
        """Have the next offer ask for data channels, if there are none yet."""
        self._data.wants_data = True

    def restart_ice(self) -> None:
        """Have the next offer restart ICE on every transport (W3C restartIce)."""
        ends = self._data.transports.ends.values()
        self._replaced_ufrags |= {end.credentials.username_fragment for end in ends}

    def close(self) -> list[Event]:
        """End it: nothing can be set any more."""
        if self._state is _S.CLOSED:
            return []
        self._state = _S.CLOSED
        return [SignalingStateChanged(self._state)]

    # --- offers and answers -------------------------------------------------------------------

    def create_offer(self, *, ice_restart: bool = False) -> SessionDescription:
        """Make an offer of what is wanted now; it takes effect when it is set.

        Args:
            ice_restart: restart ICE on every transport.

        Raises:
            SignalingStateError: an offer of the peer's waits for its answer, or it is closed.
            TooManyFormatsError: there are more codecs than payload types.

        """
        self._check_state(_OFFERING, "an offer")
        ends = self._data.transports.ends.values()
        asked = any(end.credentials.username_fragment in self._replaced_ufrags for end in ends)
        plan = plan_offer(self._data, restarts=ice_restart or asked)
        return self._describe(_T.OFFER, plan)

    def create_answer(self) -> SessionDescription:
        """Answer the peer's offer with what is wanted now; it takes effect when it is set.

        Raises:
            SignalingStateError: there is no offer of the peer's, or it is closed.

        """
        self._check_state(_ANSWERING, "an answer")
        return self._describe(_T.ANSWER, plan_answer(self._data, self._offer_of_peer()))

    def _offer_of_peer(self) -> SessionDescription:
        offer = self._data.pending_remote
        if offer is None:
            raise SignalingStateError("there is no offer")
        return offer

    def _describe(self, kind: DescriptionType, plan: OfferPlan | AnswerPlan) -> SessionDescription:
        description = SessionDescription(
            origin=Origin(session_id=self._session_id, session_version=self._version),
            attributes=plan.attributes,
            media=plan.media,
        )
        self._created = (kind, description, plan)
        return description

    def set_local_description(
        self, kind: DescriptionType | None = None, description: SessionDescription | None = None
    ) -> list[Event]:
        """Put our description into force.

        Args:
            kind: None: an offer or an answer, whichever is due.
            description: what `create_offer` or `create_answer` made last, unchanged; None: one
                that is made now.

        Raises:
            SignalingStateError: it is not the time for it.
            ModifiedDescriptionError: it is another than was created.

        """
        if kind is None:
            kind = _T.ANSWER if self._state in _ANSWERING else _T.OFFER
        if kind is _T.ROLLBACK:
            return self._roll_back()
        state = next_state(self._state, kind, is_local=True)
        is_offer = kind is _T.OFFER
        if description is None:
            description = self.create_offer() if is_offer else self.create_answer()
        created = self._created
        if created is None or created[1] != description or (created[0] is _T.OFFER) != is_offer:
            # RFC 9429 §5.4: what is wanted is told to the session, not written into its text.
            raise ModifiedDescriptionError("it is not what was created last")
        self._created = None
        self._version += 1
        self._begin_exchange(is_offer=is_offer)
        plan = created[2]
        self._data.transports = plan.transports
        self._data.pending_local = description
        self._data.used_mids |= {section.mid or "" for section in description.media}
        if isinstance(plan, OfferPlan):
            self._data.payload_types.note(plan.codecs)
            self._data.extension_ids.note(plan.extensions)
            for transceiver, mid, index in plan.places:
                transceiver.mid, transceiver.index = mid, index
        return self._finish(state, kind, is_local=True)

    def set_remote_description(
        self, kind: DescriptionType, description: SessionDescription | None = None
    ) -> list[Event]:
        """Put the peer's description into force; an offer of ours under way is rolled back.

        Args:
            kind: what it is.
            description: None for a rollback alone.

        Raises:
            SignalingStateError: it is not the time for it.
            InvalidDescriptionError: it breaks a rule; nothing has changed then.

        """
        if kind is _T.ROLLBACK:
            return self._roll_back()
        state = next_state(self._state, kind, is_local=False)
        if description is None:
            raise SignalingStateError("there is no description to set")
        events: list[Event] = []
        if kind is _T.OFFER:
            description = name_sections(
                description, self._data.current_remote, self._data.used_mids
            )
            check_offer(description, self._data.current_remote, self._data.current_local)
            if self._state is _S.HAVE_LOCAL_OFFER:
                events += self._roll_back()
            self._begin_exchange(is_offer=True)
            events += [TransceiverAdded(made) for made in take_offer(self._data, description)]
        else:
            offer = self._data.pending_local
            if offer is None:
                raise SignalingStateError("there is no offer")
            description = name_sections(description, offer, self._data.used_mids)
            is_mux_required = self._data.settings.requires_rtcp_mux
            check_answer(description, offer, is_mux_required=is_mux_required)
            data = self._data
            check_restart(description, offer, data.current_local, data.current_remote)
        self._created = None
        self._data.pending_remote = description
        self._data.used_mids |= {section.mid or "" for section in description.media}
        return events + self._finish(state, kind, is_local=False)

    # --- candidates ---------------------------------------------------------------------------

    def add_local_candidate(
        self, transport_id: int, candidate: Candidate | None
    ) -> TrickledCandidate | None:
        """Keep a candidate of ours for the descriptions; return it as it is to be signalled.

        Args:
            transport_id: of the transport it was gathered for.
            candidate: None: there will be no more.

        Returns:
            None if the transport is gone.

        """
        transport = next((t for t in self.transports if t.id == transport_id), None)
        local = self._data.local
        if transport is None or local is None:
            return None
        ufrag = transport.local_credentials.username_fragment
        self._candidates.add(ufrag, candidate)
        return trickled(local, transport.mids[0], ufrag, candidate)

    def add_remote_candidate(
        self,
        candidate: str | None,
        *,
        sdp_mid: str | None = None,
        sdp_m_line_index: int | None = None,
        username_fragment: str | None = None,
    ) -> list[Event]:
        """Take a trickled candidate of the peer's.

        One that cannot be used here is dropped (RFC 8839 §5.1). One whose transport is not in
        force yet comes with the transport later.

        Args:
            candidate: ``candidate:…``; empty or None: there will be no more.
            sdp_mid: the section's name.
            sdp_m_line_index: its number, where there is no name.
            username_fragment: the ICE session it belongs to.

        Raises:
            SignalingStateError: there is no description of the peer's, or it is closed.
            CandidateTargetError: there is no such section or ICE session.

        """
        self._check_open()
        if self._data.remote is None:
            raise SignalingStateError("a candidate comes after its description")
        if sdp_mid is None and sdp_m_line_index is None:
            if candidate:
                raise CandidateTargetError("a candidate names its section")
            sdp_m_line_index = 0  # W3C: the end of all; one BUNDLE group is told by its first
        try:
            parsed = parse_candidate(candidate) if candidate else None
        except CandidateError:
            return []
        ufrag = username_fragment or (parsed.username_fragment if parsed else None)
        place = (sdp_mid, sdp_m_line_index, ufrag)
        try:
            is_pending = self._data.pending_remote is not None
            index = find_target(self._data.remote, *place)
        except CandidateTargetError:
            # A candidate of the session that an offer under way is about to replace.
            if self._data.current_remote is None:
                raise
            is_pending = False
            index = find_target(self._data.current_remote, *place)
        return self._take_candidate(index, parsed, is_pending=is_pending)

    def _take_candidate(
        self, index: int, candidate: Candidate | None, *, is_pending: bool
    ) -> list[Event]:
        data = self._data
        description = data.pending_remote if is_pending else data.current_remote
        if description is None:
            return []  # the caller has found a section of it
        mid = description.media[index].mid or ""
        description = with_remote_candidate(description, index, candidate)
        if is_pending:
            data.pending_remote = description
        else:
            data.current_remote = description
        before = {transport.id for transport in self.transports if transport.remote}
        for _ in self._update():
            pass  # only what this candidate changed, which is told by itself
        number = self._data.transports.ids.get(mid)
        is_in_force = not is_pending or self._state in (
            _S.HAVE_LOCAL_PRANSWER,
            _S.HAVE_REMOTE_PRANSWER,
        )
        if number is None or number not in before or not is_in_force:
            return []
        return [RemoteCandidateAdded(number, candidate)]

    # --- transitions --------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._state is _S.CLOSED:
            raise SignalingStateError("the session is closed")

    def _check_state(self, states: tuple[SignalingState, ...], what: str) -> None:
        if self._state not in states:
            raise SignalingStateError(f"{what} cannot be made in {self._state.value}")

    def _begin_exchange(self, *, is_offer: bool) -> None:
        if is_offer and self._snapshot is None:
            self._snapshot = Snapshot(self._data)

    def _roll_back(self) -> list[Event]:
        if self._snapshot is None or self._state not in (
            _S.HAVE_LOCAL_OFFER,
            _S.HAVE_REMOTE_OFFER,
        ):
            raise SignalingStateError(f"nothing to roll back in {self._state.value}")
        gone = self._snapshot.restore(self._data)
        self._snapshot = None
        self._created = None
        events: list[Event] = [TransceiverRemoved(transceiver) for transceiver in gone]
        return events + self._update() + self._enter(_S.STABLE)

    def _finish(
        self, state: SignalingState, kind: DescriptionType, *, is_local: bool
    ) -> list[Event]:
        events: list[Event] = []
        if kind is _T.PRANSWER:
            self._data.pranswer_is_local = is_local
        elif kind is _T.ANSWER:
            events += self._settle(answer_is_local=is_local)
        return events + self._update() + self._enter(state)

    def _settle(self, *, answer_is_local: bool) -> list[Event]:
        """Make the exchange under way the current one."""
        data = self._data
        data.current_local, data.current_remote = data.pending_local, data.pending_remote
        data.pending_local = data.pending_remote = None
        data.answer_is_local = answer_is_local
        self._snapshot = None
        data.transports = data.agreed_transports()
        self._settled = data.transports
        ufrags = {e.credentials.username_fragment for e in data.transports.ends.values()}
        self._candidates.keep(ufrags)
        self._replaced_ufrags &= ufrags
        events: list[Event] = [TransceiverStopped(each) for each in data.stop_rejected()]
        if data.wants_data and data.is_data_refused:
            # Not asked again by itself, which would be for ever.
            data.wants_data = False
            if self.data is None:  # else it is derived
                events.append(DataChanged(None))
        return events

    def _update(self) -> list[Event]:
        return list(self._derived.update(self._data, self._settled))

    def _enter(self, state: SignalingState) -> list[Event]:
        if state is self._state:
            return []
        self._state = state
        return [SignalingStateChanged(state)]
