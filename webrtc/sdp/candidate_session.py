"""The part of a `JsepSession` that takes candidates, ours and the peer's (RFC 8840)."""

from __future__ import annotations

from ice_client.core import Candidate, parse_candidate
from ice_client.errors import CandidateError
from webrtc.sdp.errors import CandidateTargetError, SignalingStateError
from webrtc.sdp.events import Event, RemoteCandidateAdded, SignalingState
from webrtc.sdp.trickle import (
    TrickledCandidate,
    find_target,
    trickled,
    with_remote_candidate,
)
from webrtc.sdp.view import SessionView

_S = SignalingState


class CandidateSession(SessionView):
    """Candidates go into the descriptions, and to the transports that are in force."""

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

    def _check_open(self) -> None:
        if self._state is _S.CLOSED:
            raise SignalingStateError("the session is closed")

    def _update(self) -> list[Event]:
        return list(self._derived.update(self._data, self._settled))
