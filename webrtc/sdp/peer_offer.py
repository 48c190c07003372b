"""What a peer's offer does to the transceivers (RFC 9429 §5.10)."""

from __future__ import annotations

import attrs

from webrtc.sdp.attributes import Direction, Mid
from webrtc.sdp.codec import MediaKind, read_codecs
from webrtc.sdp.description import SessionDescription
from webrtc.sdp.remote import offered_extensions
from webrtc.sdp.state import State
from webrtc.sdp.transceiver import Transceiver

TRACK_ID_BYTES = 16


def name_sections(
    description: SessionDescription, like: SessionDescription | None, used: set[str]
) -> SessionDescription:
    """Give sections without a mid one: that of the section they stand for, or a new one.

    Args:
        description: the peer's.
        like: the description whose sections these are, as far as there are.
        used: mids that are taken.

    """
    taken = used | {section.mid for section in description.media if section.mid}
    media = []
    for index, section in enumerate(description.media):
        if section.mid is not None:
            media.append(section)
            continue
        known = like.media[index].mid if like and index < len(like.media) else None
        mid = known or next(f"u{n}" for n in range(len(taken) + 1) if f"u{n}" not in taken)
        taken.add(mid)
        media.append(attrs.evolve(section, attributes=(Mid(mid), *section.attributes)))
    return description.with_media(media)


def take_offer(state: State, offer: SessionDescription) -> list[Transceiver]:
    """Find or make the transceivers of a peer's offer; return those that were made."""
    made = []
    kinds = {kind.value: kind for kind in MediaKind}
    for index, section in enumerate(offer.media):
        kind = kinds.get(section.media)
        if kind is None or section.is_rejected:
            continue
        state.payload_types.note(read_codecs(section))
        state.extension_ids.note(offered_extensions(offer, section))
        transceiver = state.transceiver_of(section.mid)
        if transceiver is None and section.direction.receives:
            transceiver = _free_transceiver(state, kind)
        if transceiver is None:
            transceiver = _new_transceiver(state, kind)
            made.append(transceiver)
        transceiver.mid, transceiver.index = section.mid, index
    return made


def _free_transceiver(state: State, kind: MediaKind) -> Transceiver | None:
    """Return one that a track was added to and that has no section: the peer's may be its."""
    return next(
        (
            t
            for t in state.transceivers
            if t.kind is kind and t.added_by_track and t.mid is None and t.is_active
        ),
        None,
    )


def _new_transceiver(state: State, kind: MediaKind) -> Transceiver:
    track_id = state.random_bytes(TRACK_ID_BYTES).hex()
    made = Transceiver(kind=kind, track_id=track_id, direction=Direction.RECVONLY)
    made.is_from_peer = True
    state.transceivers.append(made)
    return made
