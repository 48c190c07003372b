"""Whether an exchange is needed to bring about what the transceivers want (W3C §4.7.3)."""

from __future__ import annotations

from webrtc.sdp.attributes import Msid
from webrtc.sdp.description import MediaSection
from webrtc.sdp.state import State
from webrtc.sdp.transceiver import Transceiver


def is_negotiation_needed(state: State, replaced_ufrags: frozenset[str]) -> bool:
    """Tell whether what was agreed on is other than what is wanted.

    Args:
        state: of a session that is stable.
        replaced_ufrags: credentials that an ICE restart, which was asked for, has to replace.

    """
    ends = state.transports.ends.values()
    if any(end.credentials.username_fragment in replaced_ufrags for end in ends):
        return True
    if state.wants_data and not state.has_data:
        return True
    return any(_differs(state, transceiver) for transceiver in state.transceivers)


def _differs(state: State, transceiver: Transceiver) -> bool:
    if transceiver.mid is None or transceiver.index is None:
        return transceiver.is_active
    if transceiver.stopping:
        return True
    ours, theirs = state.section_pair(transceiver.index)
    if ours is None or theirs is None:
        return True
    if transceiver.direction.sends and _streams(ours) != _wanted_streams(transceiver):
        return True
    if state.answer_is_local:
        # What we answered could not be more than was offered: only less, or other, is news.
        return ours.direction is not transceiver.direction & theirs.direction.reversed
    return transceiver.direction not in (ours.direction, theirs.direction.reversed)


def _streams(section: MediaSection) -> set[str]:
    return {line.stream_id for line in section.every(Msid)}


def _wanted_streams(transceiver: Transceiver) -> set[str]:
    return set(transceiver.stream_ids) or {"-"}
