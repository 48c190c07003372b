"""Answers: which offered sections are taken, and how (RFC 9429 §5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from webrtc.dtls.errors import SetupError
from webrtc.dtls.setup import Setup, answer_setup
from webrtc.sdp.attributes import Attribute, Flag, Group, IceOptions, Rid, RidDirection, Simulcast
from webrtc.sdp.codec import Codec, read_codecs
from webrtc.sdp.codec_matching import answered_codec, match_codecs
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.parameters import SimulcastLayer
from webrtc.sdp.payload_types import answered_extensions
from webrtc.sdp.remote import offered_extensions, offered_setup, remote_transport
from webrtc.sdp.sections import (
    RtpPart,
    TransportText,
    data_section,
    rejected_section,
    rtp_section,
)
from webrtc.sdp.settings import BundlePolicy
from webrtc.sdp.state import LocalEnd, State, TransportMap
from webrtc.sdp.transceiver import Transceiver


@attrs.frozen(kw_only=True)
class AnswerPlan:
    """An answer, and what holds once it is set.

    Attributes:
        media: its sections.
        attributes: of the session part.
        transports: of its sections.

    """

    media: tuple[MediaSection, ...]
    attributes: tuple[Attribute, ...]
    transports: TransportMap


def plan_answer(state: State, offer: SessionDescription) -> AnswerPlan:
    """Answer the peer's offer with what the transceivers want now.

    Args:
        state: of the session.
        offer: the peer's, each section with a name.

    """
    mids = tuple(section.mid or "" for section in offer.media)
    codecs = {mid: _codecs(state, s, mid) for mid, s in zip(mids, offer.media, strict=True)}
    taken = _taken(state, offer, mids, codecs)
    transports = _assign_transports(state, offer, taken)
    seen: set[int] = set()
    media = []
    for mid, section in zip(mids, offer.media, strict=True):
        if mid not in taken:
            media.append(rejected_section(section, mid))
            continue
        number = transports.ids[mid]
        text = TransportText(
            credentials=transports.ends[number].credentials,
            setup=_setup(state, offer, section, mid),
            is_repeated=number in seen,
        )
        seen.add(number)
        media.append(_section(state, offer, section, mid, text, codecs[mid]))
    return AnswerPlan(
        media=tuple(media),
        attributes=tuple(_session_attributes(state, offer, taken)),
        transports=transports,
    )


def _codecs(state: State, section: MediaSection, mid: str) -> tuple[Codec, ...]:
    transceiver = state.transceiver_of(mid)
    if transceiver is None or not section.is_rtp:
        return ()
    pairs = match_codecs(state.codecs_of(transceiver), read_codecs(section))
    if transceiver.codecs is not None:
        # RFC 9429 §5.3.1: the preferences of a program go before the offerer's order.
        order = state.codecs_of(transceiver)
        pairs = tuple(sorted(pairs, key=lambda pair: order.index(pair.ours)))
    return tuple(answered_codec(pair) for pair in pairs)


def _taken(
    state: State,
    offer: SessionDescription,
    mids: tuple[str, ...],
    codecs: dict[str, tuple[Codec, ...]],
) -> tuple[str, ...]:
    """Return the names of the sections that are not rejected."""
    taken: list[str] = []
    has_data = False
    for mid, section in zip(mids, offer.media, strict=True):
        if section.is_rejected or (section.is_bundle_only and not offer.bundle_of(mid)):
            continue
        if section.is_data:
            usable = not has_data
        else:
            usable = bool(codecs[mid]) and _is_wanted(state, section, mid)
        if usable and _has_transport(state, offer, mid, taken):
            taken.append(mid)
            has_data = has_data or section.is_data
    return tuple(taken)


def _is_wanted(state: State, section: MediaSection, mid: str) -> bool:
    transceiver = state.transceiver_of(mid)
    has_mux = section.has(Flag.RTCP_MUX) or section.has(Flag.RTCP_MUX_ONLY)
    return (
        transceiver is not None
        and transceiver.is_active
        and section.protocol.endswith("RTP/SAVPF")
        and (has_mux or not state.settings.requires_rtcp_mux)
    )


def _has_transport(state: State, offer: SessionDescription, mid: str, taken: list[str]) -> bool:
    """Tell whether it can be bundled or, if the policy lets it, live alone."""
    group = offer.bundle_of(mid)
    if state.settings.bundle_policy is not BundlePolicy.MAX_BUNDLE or not taken:
        return True
    # W3C webrtc-pc §4.2.5, max-bundle: of a peer that does not bundle one section is taken.
    return bool(group) and taken[0] in group


def _assign_transports(
    state: State, offer: SessionDescription, taken: tuple[str, ...]
) -> TransportMap:
    known = state.transports
    ids: dict[str, int] = {}
    ends: dict[int, LocalEnd] = {}
    for mid in taken:
        # Those that we reject tell too which transport the group goes on with.
        mates = [other for other in offer.bundle_of(mid) if _is_live(offer, other)] or [mid]
        known_ids = [known.ids[other] for other in mates if other in known.ids]
        given = [ids[other] for other in mates if other in ids]
        number = next(iter([*given, *known_ids]), _continued(state, offer, mid))
        if number is None:
            number = max([*known.ends, *ends], default=-1) + 1
            ends[number] = LocalEnd(state.new_credentials(), is_initiator=False)
        elif number not in ends:
            ends[number] = known.ends[number]
            if _restarts(state, offer, mid, number):
                ends[number] = attrs.evolve(ends[number], credentials=state.new_credentials())
        ids[mid] = number
    return TransportMap(ids, ends)


def _is_live(description: SessionDescription, mid: str) -> bool:
    section = description.section(mid)
    return section is not None and not section.is_rejected


def _continued(state: State, offer: SessionDescription, mid: str) -> int | None:
    """Return the transport that a new section goes on with, by the peer's credentials.

    All the sections that used it may end in this very offer.
    """
    numbers = state.transports.ends
    return next((n for n in numbers if _same_session(state, offer, mid, n)), None)


def _restarts(state: State, offer: SessionDescription, mid: str, number: int) -> bool:
    """RFC 8839 §4.4.3.1: other credentials than before begin ICE anew, at both ends."""
    return _same_session(state, offer, mid, number) is False


def _same_session(state: State, offer: SessionDescription, mid: str, number: int) -> bool | None:
    """Tell whether the offer has the credentials that a transport had; None if it had none."""
    now = remote_transport(offer, mid)
    for other, used in state.transports.ids.items():
        before = remote_transport(state.current_remote, other) if state.current_remote else None
        if used == number and before is not None and now is not None:
            return before.credentials == now.credentials
    return None


def _setup(state: State, offer: SessionDescription, section: MediaSection, mid: str) -> Setup:
    offered = offered_setup(offer, section)
    roles = (state.dtls_role_of(mid), state.settings.preferred_role)
    for role in (*(role for role in roles if role is not None), None):
        try:
            return answer_setup(offered, role)
        except SetupError:
            continue  # the offer leaves us no such choice
    raise AssertionError("the offer was checked when it was set")


def _section(
    state: State,
    offer: SessionDescription,
    section: MediaSection,
    mid: str,
    text: TransportText,
    codecs: tuple[Codec, ...],
) -> MediaSection:
    transport = tuple(text.attributes(state.settings))
    if section.is_data:
        return data_section(mid, transport, state.settings, like=section)
    # There is one, and one alone: else it would not have been taken.
    (transceiver,) = (t for t in state.transceivers if t.mid == mid)
    direction = transceiver.direction & section.direction.reversed
    lines, rids = (None, ()) if not direction.receives else _received_layers(transceiver, section)
    extensions = state.extensions_of(transceiver.kind)
    part = RtpPart(
        codecs=codecs,
        extensions=answered_extensions(extensions, offered_extensions(offer, section)),
        direction=direction,
        send_layers=_sent_layers(transceiver, section) if direction.sends else (),
        receive_layers=lines.send if lines else (),
        receive_rids=rids,
        reduced_size=section.has(Flag.RTCP_REDUCED_SIZE),
        mixed_extensions=section.has(Flag.EXTMAP_ALLOW_MIXED) or offer.has(Flag.EXTMAP_ALLOW_MIXED),
    )
    return rtp_section(transceiver, mid, part, transport, state.settings, protocol=section.protocol)


def _received_layers(
    transceiver: Transceiver, section: MediaSection
) -> tuple[Simulcast | None, tuple[Rid, ...]]:
    """Return the layers that the peer offers to send, if they are wanted, and their rid lines."""
    simulcast = section.first(Simulcast)
    offered = section.rids(RidDirection.SEND)
    if simulcast is None or not simulcast.send or not transceiver.accepts_simulcast:
        return None, ()
    named = {stream.rid for layer in simulcast.send for stream in layer}
    rids = {rid.id: rid for rid in reversed(offered) if rid.id in named}
    layers = tuple(tuple(s for s in layer if s.rid in rids) for layer in simulcast.send)
    kept = tuple(layer for layer in layers if layer)
    lines = tuple(
        Rid(rid.id, RidDirection.RECV, (), rid.restrictions) for rid in reversed(rids.values())
    )
    return (Simulcast(kept), lines) if kept else (None, ())


def _sent_layers(transceiver: Transceiver, section: MediaSection) -> tuple[SimulcastLayer, ...]:
    """Return those of our layers that the peer offers to receive (RFC 8853 §5.3.2)."""
    offered = {rid.id for rid in section.rids(RidDirection.RECV)}
    return tuple(layer for layer in transceiver.send_layers if layer.rid in offered)


def _session_attributes(
    state: State, offer: SessionDescription, taken: tuple[str, ...]
) -> Iterator[Attribute]:
    for group in offer.every(Group):
        if group.semantics == "BUNDLE":
            mids = tuple(mid for mid in group.mids if mid in taken)
            yield Group("BUNDLE", mids)
    yield from _lip_sync(state, offer, taken)
    yield IceOptions(("trickle", "ice2"))


def _lip_sync(state: State, offer: SessionDescription, taken: Iterable[str]) -> Iterator[Attribute]:
    """RFC 9429 §5.3.1: of each MediaStream of ours the sections that one offered LS group has."""
    streams: dict[str, set[str]] = {}
    for mid in taken:
        transceiver = state.transceiver_of(mid)
        for stream_id in transceiver.stream_ids if transceiver else ():
            streams.setdefault(stream_id, set()).add(mid)
    for mids in offer.groups("LS"):
        for ours in streams.values():
            shared = tuple(mid for mid in mids if mid in ours)
            if len(shared) > 1:
                yield Group("LS", shared)
