"""What an offer and its answer mean for sending and receiving, section by section."""

from __future__ import annotations

from collections.abc import Iterable

from webrtc.sdp.attributes import (
    Direction,
    ExtMap,
    Flag,
    MaxMessageSize,
    Msid,
    RidDirection,
    SctpMap,
    SctpPort,
    Simulcast,
    SimulcastLayers,
    Ssrc,
    SsrcGroup,
)
from webrtc.sdp.codec import read_codecs
from webrtc.sdp.codec_matching import CodecPair, match_codecs
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.parameters import (
    DataParameters,
    ReceiveParameters,
    SendParameters,
    SimulcastLayer,
    Sources,
)
from webrtc.sdp.remote import offered_extensions

DEFAULT_MAX_MESSAGE_SIZE = 65536
"""RFC 8841 §6.1: where the peer says nothing."""

DEFAULT_SCTP_PORT = 5000


def agreed_direction(
    local: MediaSection, remote: MediaSection, *, answer_is_local: bool
) -> Direction:
    """Return what flows, as we see it: what the answer says (RFC 9429 §5.11)."""
    if local.is_rejected or remote.is_rejected:
        return Direction.INACTIVE
    return local.direction if answer_is_local else remote.direction.reversed


def agreed_codecs(
    local: MediaSection, remote: MediaSection, *, answer_is_local: bool
) -> tuple[CodecPair, ...]:
    """Return the codecs of both, in the answer's order of preference."""
    ours = read_codecs(local)
    pairs = match_codecs(ours, read_codecs(remote))
    if answer_is_local:
        return tuple(sorted(pairs, key=lambda pair: ours.index(pair.ours)))
    return pairs


def send_parameters(
    local: tuple[SessionDescription, MediaSection],
    remote: tuple[SessionDescription, MediaSection],
    *,
    answer_is_local: bool,
) -> SendParameters | None:
    """Return how to send; None if nothing is."""
    section, theirs = local[1], remote[1]
    direction = agreed_direction(section, theirs, answer_is_local=answer_is_local)
    pairs = agreed_codecs(section, theirs, answer_is_local=answer_is_local)
    if not direction.sends or not pairs:
        return None
    rates = [entry.rate_bps for entry in theirs.bandwidths if entry.rate_bps is not None]
    simulcast = theirs.first(Simulcast)
    ours = {rid.id: rid for rid in section.rids(RidDirection.SEND)}
    return SendParameters(
        mid=section.mid or "",
        codecs=tuple(pair.theirs for pair in pairs),
        header_extensions=_received_extensions(remote, local),
        layers=_layers(simulcast.recv, {*ours}, theirs, RidDirection.RECV) if simulcast else (),
        reduced_size_rtcp=theirs.has(Flag.RTCP_REDUCED_SIZE)
        and section.has(Flag.RTCP_REDUCED_SIZE),
        max_rate_bps=min(rates, default=None),
    )


def receive_parameters(
    local: tuple[SessionDescription, MediaSection],
    remote: tuple[SessionDescription, MediaSection],
    *,
    answer_is_local: bool,
) -> ReceiveParameters | None:
    """Return how media arrives; None if none may."""
    section, theirs = local[1], remote[1]
    direction = agreed_direction(section, theirs, answer_is_local=answer_is_local)
    pairs = agreed_codecs(section, theirs, answer_is_local=answer_is_local)
    if not direction.receives or not pairs:
        return None
    simulcast = theirs.first(Simulcast)
    ours = {rid.id for rid in section.rids(RidDirection.RECV)}
    return ReceiveParameters(
        mid=section.mid or "",
        codecs=tuple(pair.ours for pair in pairs),
        header_extensions=_received_extensions(local, remote),
        layers=_layers(simulcast.send, ours, theirs, RidDirection.SEND) if simulcast else (),
        sources=remote_sources(theirs),
        reduced_size_rtcp=theirs.has(Flag.RTCP_REDUCED_SIZE)
        and section.has(Flag.RTCP_REDUCED_SIZE),
    )


def _received_extensions(
    receiver: tuple[SessionDescription, MediaSection],
    sender: tuple[SessionDescription, MediaSection],
) -> tuple[ExtMap, ...]:
    """Return the header extensions that one end takes and the other knows."""
    known = {entry.uri for entry in offered_extensions(*sender)}
    return tuple(
        entry
        for entry in offered_extensions(*receiver)
        if entry.uri in known and (entry.direction or Direction.SENDRECV).receives
    )


def _layers(
    layers: SimulcastLayers, ours: set[str], remote: MediaSection, direction: RidDirection
) -> tuple[SimulcastLayer, ...]:
    """Return the peer's layers that we know too: of each the first alternative (RFC 8853 §5.1)."""
    rids = {rid.id: rid for rid in remote.rids(direction)}
    found = []
    for layer in layers:
        stream = next((s for s in layer if s.rid in ours and s.rid in rids), None)
        if stream is not None:
            restrictions = rids[stream.rid].restrictions
            entry = SimulcastLayer(rid=stream.rid, paused=stream.paused, restrictions=restrictions)
            found.append(entry)
    return tuple(found)


def remote_sources(section: MediaSection) -> tuple[Sources, ...]:
    """Return the SSRCs that a section announces, those that belong together as one."""
    cnames = {entry.ssrc: entry.value for entry in section.every(Ssrc) if entry.name == "cname"}
    rtx = _pairs(section.every(SsrcGroup), "FID")
    fec = _pairs(section.every(SsrcGroup), "FEC-FR")
    secondary = {*rtx.values(), *fec.values()}
    primary = dict.fromkeys(entry.ssrc for entry in section.every(Ssrc))
    return tuple(
        Sources(ssrc=ssrc, rtx_ssrc=rtx.get(ssrc), fec_ssrc=fec.get(ssrc), cname=cnames.get(ssrc))
        for ssrc in primary
        if ssrc not in secondary
    )


def _pairs(groups: Iterable[SsrcGroup], semantics: str) -> dict[int, int]:
    return {
        group.ssrcs[0]: group.ssrcs[1]
        for group in groups
        if group.semantics == semantics and len(group.ssrcs) == 2
    }


def remote_streams(section: MediaSection) -> tuple[tuple[str, ...], str | None]:
    """Return the MediaStreams that the peer's track is in, and the track's id (RFC 9429 §5.10)."""
    if not section.direction.sends or section.is_rejected:
        return (), None
    lines = section.every(Msid)
    streams = dict.fromkeys(line.stream_id for line in lines if line.stream_id != "-")
    return tuple(streams), next((line.track_id for line in lines if line.track_id), None)


def data_parameters(local: SessionDescription, remote: SessionDescription) -> DataParameters | None:
    """Return what was agreed on for data channels; None if nothing was."""
    for ours, theirs in zip(local.media, remote.media, strict=False):
        if ours.is_data and not ours.is_rejected and not theirs.is_rejected:
            size = theirs.first(MaxMessageSize)
            size_bytes = DEFAULT_MAX_MESSAGE_SIZE if size is None else size.size_bytes
            return DataParameters(
                mid=ours.mid or "",
                local_port=_port(ours),
                remote_port=_port(theirs),
                max_message_size=size_bytes or None,
            )
    return None


def _port(section: MediaSection) -> int:
    port = section.first(SctpPort) or section.first(SctpMap)
    return port.port if port else DEFAULT_SCTP_PORT
