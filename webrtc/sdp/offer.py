"""Offers: which sections, in which order, over which transports (RFC 9429 §5.2).

`plan_offer` changes nothing; `JsepSession` puts the plan into force when the offer is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from ice_client.core import Credentials
from webrtc.dtls.setup import Setup
from webrtc.sdp.attributes import Attribute, ExtMap, Flag, Group, IceOptions
from webrtc.sdp.codec import Codec
from webrtc.sdp.description import MediaSection
from webrtc.sdp.payload_types import ExtensionIds, PayloadTypes
from webrtc.sdp.sections import (
    DISCARD_PORT,
    RtpPart,
    TransportText,
    asked_layers,
    data_section,
    rejected_section,
    rtp_section,
)
from webrtc.sdp.settings import BundlePolicy
from webrtc.sdp.state import LocalEnd, State, TransportMap
from webrtc.sdp.transceiver import Transceiver


@attrs.define(kw_only=True)
class Slot:
    """A section of the offer to be.

    Attributes:
        mid: its name.
        previous: the section that stood there before, if any.
        transceiver: what it is about; None of data and of dead sections.
        is_data: whether it is for data channels.
        transport_id: which transport it uses; None of dead sections.
        is_bundle_only: whether it lives only if the peer bundles it.

    """

    mid: str
    previous: MediaSection | None = None
    transceiver: Transceiver | None = None
    is_data: bool = False
    transport_id: int | None = None
    is_bundle_only: bool = False

    @property
    def is_dead(self) -> bool:
        """Whether it is written as rejected."""
        return self.transceiver is None and not self.is_data


@attrs.frozen(kw_only=True)
class OfferPlan:
    """An offer, and what holds once it is set.

    Attributes:
        media: its sections.
        attributes: of the session part.
        places: mid and number of each transceiver.
        transports: of its sections.
        codecs: that it names.
        extensions: that it names.

    """

    media: tuple[MediaSection, ...]
    attributes: tuple[Attribute, ...]
    places: tuple[tuple[Transceiver, str, int], ...]
    transports: TransportMap
    codecs: tuple[Codec, ...]
    extensions: tuple[ExtMap, ...]


def plan_offer(state: State, *, restarts: bool) -> OfferPlan:
    """Make an offer of what the transceivers want now.

    Args:
        state: of the session.
        restarts: whether every transport gets new ICE credentials.

    Raises:
        TooManyFormatsError: there are more codecs than payload types.

    """
    slots = _slots(state)
    transports = _assign_transports(state, slots, restarts=restarts)
    payload_types, extension_ids = state.payload_types.copy(), state.extension_ids.copy()
    media: list[MediaSection] = []
    codecs: list[Codec] = []
    extensions: list[ExtMap] = []
    seen: set[int] = set()
    for slot in slots:
        if slot.transport_id is None:
            media += [rejected_section(old, slot.mid) for old in (slot.previous,) if old]
            continue
        credentials = transports.ends[slot.transport_id].credentials
        text = _transport_text(credentials, slot.transport_id, seen)
        section, part = _section(state, slot, text, payload_types, extension_ids)
        media.append(section)
        if part is not None:
            codecs += part.codecs
            extensions += part.extensions
    return OfferPlan(
        media=tuple(media),
        attributes=tuple(_session_attributes(slots)),
        places=tuple((s.transceiver, s.mid, i) for i, s in enumerate(slots) if s.transceiver),
        transports=transports,
        codecs=tuple(codecs),
        extensions=tuple(extensions),
    )


def _transport_text(credentials: Credentials, transport_id: int, seen: set[int]) -> TransportText:
    # RFC 8842 §5.2: offers are actpass, of an association that exists and stays too.
    is_repeated = transport_id in seen
    seen.add(transport_id)
    return TransportText(credentials=credentials, setup=Setup.ACTPASS, is_repeated=is_repeated)


def _section(
    state: State,
    slot: Slot,
    text: TransportText,
    payload_types: PayloadTypes,
    extension_ids: ExtensionIds,
) -> tuple[MediaSection, RtpPart | None]:
    # RFC 9143 §6: bundle-only comes with port 0, so that others reject the section.
    port = 0 if slot.is_bundle_only else DISCARD_PORT
    flags = [Flag.BUNDLE_ONLY] if slot.is_bundle_only else []
    settings = state.settings
    transport = tuple(text.attributes(settings))
    if slot.transceiver is None:
        return data_section(slot.mid, transport, settings, flags=flags, port=port), None
    transceiver = slot.transceiver
    codecs = payload_types.assign(state.codecs_of(transceiver))
    payload_types.note(codecs)
    extensions = extension_ids.assign(state.extensions_of(transceiver.kind))
    extension_ids.note(extensions)
    sends, receives = transceiver.direction.sends, transceiver.direction.receives
    layers, rids = asked_layers(transceiver.receive_layers if receives else ())
    part = RtpPart(
        codecs=codecs,
        extensions=extensions,
        direction=transceiver.direction,
        send_layers=transceiver.send_layers if sends else (),
        receive_layers=layers,
        receive_rids=rids,
    )
    if settings.requires_rtcp_mux:
        flags.append(Flag.RTCP_MUX_ONLY)
    section = rtp_section(transceiver, slot.mid, part, transport, settings, flags=flags, port=port)
    return section, part


def _session_attributes(slots: list[Slot]) -> Iterator[Attribute]:
    live = tuple(slot.mid for slot in slots if not slot.is_dead)
    if live:
        yield Group("BUNDLE", live)
    # RFC 9429 §5.2.1: sections with a MediaStream in common are to be played in step.
    streams: dict[str, list[str]] = {}
    for slot in slots:
        if slot.transceiver is not None and slot.transceiver.direction.sends:
            for stream_id in slot.transceiver.stream_ids:
                streams.setdefault(stream_id, []).append(slot.mid)
    for mids in dict.fromkeys(tuple(mids) for mids in streams.values() if len(mids) > 1):
        yield Group("LS", mids)
    yield IceOptions(("trickle", "ice2"))


def _slots(state: State) -> list[Slot]:
    names = _names(state)
    base = state.local.media if state.local else ()
    slots = [_old_slot(state, index, section) for index, section in enumerate(base)]
    new = [t for t in state.transceivers if t.mid is None and t.is_active]
    for index, slot in enumerate(slots):
        # RFC 9429 §5.2.2: a section that both know to be dead is used again, under a new name.
        if new and slot.is_dead and _is_recyclable(state, index):
            slots[index] = Slot(mid=next(names), previous=slot.previous, transceiver=new.pop(0))
    slots += [Slot(mid=next(names), transceiver=transceiver) for transceiver in new]
    if state.wants_data and not any(slot.is_data for slot in slots):
        slots.append(Slot(mid=next(names), is_data=True))
    return slots


def _names(state: State) -> Iterator[str]:
    """Yield mids that no section ever had; RFC 9429 §5.2.1 wants them short and telling nothing."""
    number = 0
    while True:
        if str(number) not in state.used_mids:
            yield str(number)
        number += 1


def _old_slot(state: State, index: int, section: MediaSection) -> Slot:
    mid = section.mid or ""
    slot = Slot(mid=mid, previous=section)
    transceiver = state.transceiver_of(mid)
    _, remote = state.section_pair(index)
    if section.is_data:
        refused = section.is_rejected or (remote is not None and remote.is_rejected)
        slot.is_data = not refused or (state.wants_data and _is_first_data(state, index))
    elif transceiver is not None and transceiver.is_active and transceiver.index == index:
        slot.transceiver = transceiver
    return slot


def _is_first_data(state: State, index: int) -> bool:
    media = state.local.media if state.local else ()
    return index == next((i for i, section in enumerate(media) if section.is_data), None)


def _is_recyclable(state: State, index: int) -> bool:
    local, remote = state.section_pair(index)
    return local is not None and remote is not None and (local.is_rejected or remote.is_rejected)


def _assign_transports(state: State, slots: list[Slot], *, restarts: bool) -> TransportMap:
    """Give each live slot a transport, by the bundle policy where none is agreed on."""
    known = state.transports
    ends = dict(known.ends)
    if restarts:
        ends = {
            key: attrs.evolve(end, credentials=state.new_credentials()) for key, end in ends.items()
        }
    bundled = _established(state, {slot.mid for slot in slots if not slot.is_dead})
    policy = state.settings.bundle_policy
    first_of: dict[object, int] = {}
    ids: dict[str, int] = {}
    for slot in slots:
        if slot.is_dead:
            continue
        kind: object = slot.transceiver.kind if slot.transceiver else "data"
        share_with = {
            BundlePolicy.MAX_BUNDLE: next(iter(first_of.values()), None),
            BundlePolicy.BALANCED: first_of.get(kind),
            BundlePolicy.MAX_COMPAT: None,
        }[policy]
        number = known.ids.get(slot.mid, bundled)
        if number is None:
            number = share_with
            slot.is_bundle_only = number is not None
        elif slot.mid not in known.ids:
            slot.is_bundle_only = policy is BundlePolicy.MAX_BUNDLE
        else:
            slot.is_bundle_only = _was_bundle_only(state, slot)
        if number is None:
            number = max(ends, default=-1) + 1
            ends[number] = LocalEnd(state.new_credentials(), is_initiator=True)
        first_of.setdefault(kind, number)
        slot.transport_id = ids[slot.mid] = number
    return TransportMap(ids, _used(ends, ids))


def _used(ends: Mapping[int, LocalEnd], ids: Mapping[str, int]) -> dict[int, LocalEnd]:
    return {number: end for number, end in ends.items() if number in ids.values()}


def _established(state: State, live: set[str]) -> int | None:
    """Return the transport that an exchange agreed to bundle over, if it goes on to be used.

    Of a group whose sections all end in this very offer a peer could not tell that a new section
    goes on with its transport.
    """
    answer = state.current_local if state.answer_is_local else state.current_remote
    for mids in answer.groups("BUNDLE") if answer else ():
        for mid in mids:
            if mid in state.transports.ids and mid in live:
                return state.transports.ids[mid]
    return None


def _was_bundle_only(state: State, slot: Slot) -> bool:
    # Known only from a pending offer: what it says still holds when the offer is made anew.
    settled = state.current_local.section(slot.mid) if state.current_local else None
    return settled is None and slot.previous is not None and slot.previous.is_bundle_only
