"""JSEP (RFC 9429) without I/O: the signaling states, and what setting a description does.

A peer connection owns one `JsepSession`, hands it what signalling brings, and acts on the events
that come back. `offer`, `answer`, `validation` and `derivation` are the steps it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from webrtc.sdp.answer import AnswerPlan, plan_answer
from webrtc.sdp.attributes import Direction
from webrtc.sdp.candidate_session import CandidateSession
from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.description import DescriptionType, Origin, SessionDescription
from webrtc.sdp.errors import (
    ModifiedDescriptionError,
    SignalingStateError,
)
from webrtc.sdp.events import (
    DataChanged,
    Event,
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
from webrtc.sdp.state import RandomBytes, Snapshot
from webrtc.sdp.transceiver import Transceiver
from webrtc.sdp.validation import check_answer, check_offer, check_restart

_S, _T = SignalingState, DescriptionType
_OFFERING = (_S.STABLE, _S.HAVE_LOCAL_OFFER)
_ANSWERING = (_S.HAVE_REMOTE_OFFER, _S.HAVE_LOCAL_PRANSWER)


class JsepSession(CandidateSession):
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

    # --- transitions --------------------------------------------------------------------------

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

    def _enter(self, state: SignalingState) -> list[Event]:
        if state is self._state:
            return []
        self._state = state
        return [SignalingStateChanged(state)]
